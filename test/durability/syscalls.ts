/**
 * System calls of a process and all its threads, as `strace -f -y` writes them down.
 *
 * strace stops a thread at the entry and at the exit of each call and writes in the order in which it saw the stops, so
 * that the order of lines is the order of things, stricter than timestamps: a call that another thread's line
 * interrupts is written as two, `<unfinished ...>` and `<... resumed>`.
 */
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnAsRoot } from '../support/as-root.ts';

/** Octets of a buffer that are written down: a journal record of 22 mailboxes names the last within them. */
const STRING_OCTETS = 4096;
const TRACED = 'read,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync';
const ATTACH_DEADLINE_MS = 10_000;

export interface Syscall {
  readonly name: string;
  /** What the descriptor in the first argument is: a path, or `socket:[inode]`. */
  readonly target: string;
  /** Arguments as they are printed. */
  readonly text: string;
  /** null when the process ended within the call. */
  readonly result: number | null;
  /** Lines on which the call was entered and left; the same when nothing was seen in between. */
  readonly start: number;
  readonly end: number;
}

/**
 * Attaches to a running process.
 * @returns What waits until the process has ended and gives its calls.
 */
export async function traceSyscalls(pid: number, file: string): Promise<() => Promise<Syscall[]>> {
  const strace = spawnAsRoot(
    ...(['strace', '-f', '-y', '-v', '-q', '-s', String(STRING_OCTETS), '-e', `trace=${TRACED}`] as const),
    ...['-o', file, '-p', String(pid)],
  );
  const exited = once(strace, 'exit');
  const deadline = performance.now() + ATTACH_DEADLINE_MS;
  while (!(await isTraced(pid))) {
    if (strace.exitCode !== null || performance.now() > deadline) throw new Error('strace does not attach.');
    await sleep(20);
  }
  return async () => {
    await exited;
    return parseTrace(await readFile(file, 'latin1'));
  };
}

async function isTraced(pid: number): Promise<boolean> {
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'latin1');
    if (/^TracerPid:\t0$/m.test(status)) return false;
  }
  return true;
}

const LINE = /^(\d+) +(.*)$/;
const RESUMED = /^<\.\.\. \w+ resumed>/;
const UNFINISHED = / <unfinished \.\.\.>$/;
const CALL = /^(\w+)\((\d+)<([^>]*)>(.*)\) += (-?\d+|\?)/;

/** Lines that are no call on a descriptor (signals, exits) are passed over. */
export function parseTrace(text: string): Syscall[] {
  const calls: Syscall[] = [];
  const unfinished = new Map<string, { readonly text: string; readonly start: number }>();
  for (const [at, line] of text.split('\n').entries()) {
    const [, thread, rest] = LINE.exec(line) ?? [];
    if (thread === undefined || rest === undefined) continue;
    if (UNFINISHED.test(rest)) {
      unfinished.set(thread, { text: rest.replace(UNFINISHED, ''), start: at });
      continue;
    }
    const begun = RESUMED.test(rest) ? unfinished.get(thread) : undefined;
    const whole = begun === undefined ? rest : begun.text + rest.replace(RESUMED, '');
    unfinished.delete(thread);
    const [, name, , target, args, result] = CALL.exec(whole) ?? [];
    if (name === undefined) continue;
    calls.push({
      name,
      target: target!,
      text: args!,
      result: result === '?' ? null : Number(result),
      start: begun?.start ?? at,
      end: at,
    });
  }
  return calls;
}
