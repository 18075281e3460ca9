/** Every octet that a server has written and that is still there: files, their names, files without a name, its output. */
import { open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** What a source is read in; a page of zeros, as preallocated files have thousands, becomes one zero. */
const PAGE_OCTETS = 4096;
const CHUNK_OCTETS = 256 * PAGE_OCTETS;
const ZEROS = Buffer.alloc(PAGE_OCTETS);

export interface Written {
  /** A path relative to its directory, or a description. */
  readonly place: string;
  readonly octets: Buffer;
}

/** Files below a directory, and their names. A file that vanishes meanwhile is passed over. */
export async function* filesBelow(directory: string): AsyncGenerator<Written> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const names = entries.map(({ parentPath, name }) => relative(directory, join(parentPath, name)));
  yield { place: 'file names', octets: Buffer.from(names.join('\n')) };
  for (const [index, entry] of entries.entries()) {
    if (!entry.isFile()) continue;
    const octets = await readIfThere(join(directory, names[index]!));
    if (octets !== null) yield { place: names[index]!, octets };
  }
}

/** Files that a process holds open and that have no name any more. */
export async function namelessFiles(pid: number): Promise<Written[]> {
  const found: Written[] = [];
  for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${descriptor}`;
    const target = await readlink(path).catch(() => '');
    if (!target.startsWith('/') || !target.endsWith(' (deleted)')) continue;
    if (!(await stat(path)).isFile()) continue;
    const octets = await readIfThere(path);
    if (octets !== null) found.push({ place: `nameless ${target}`, octets });
  }
  return found;
}

/** Upper bound of a core dump, as the kernel has it for the process. */
export async function coreLimit(pid: number): Promise<string> {
  const limits = await readFile(`/proc/${pid}/limits`, 'latin1');
  return /^Max core file size +(\S+) +(\S+)/m.exec(limits)!.slice(1).join(' ');
}

async function readIfThere(path: string): Promise<Buffer | null> {
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  try {
    const pages: Buffer[] = [];
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_OCTETS), 0, CHUNK_OCTETS);
      if (bytesRead === 0) return Buffer.concat(pages);
      for (let at = 0; at < bytesRead; at += PAGE_OCTETS) {
        const page = buffer.subarray(at, Math.min(at + PAGE_OCTETS, bytesRead));
        pages.push(page.equals(ZEROS) ? ZEROS.subarray(0, 1) : page);
      }
    }
  } finally {
    await file.close();
  }
}
