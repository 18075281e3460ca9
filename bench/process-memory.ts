/** Memory of a process and all that it started: PSS shares out what several of them map. proc(5), smaps_rollup. */
import { readdirSync, readFileSync } from 'node:fs';

/** Octets of PSS of a process and its descendants; those that end meanwhile count nothing. */
export function proportionalSetSize(pid: number): number {
  let octets = 0;
  try {
    const kilobytes = /^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    octets = Number(kilobytes?.[1] ?? 0) * 1024;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
      if (children !== '')
        for (const child of children.split(' ')) octets += proportionalSetSize(Number(child));
    }
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
  }
  return octets;
}
