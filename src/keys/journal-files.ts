/** The files of the key-use journal in a keys directory, and their lines. docs/format.md, "Key-use journal". */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIT_LOOK_AGAIN_MS, KIB, USE_JOURNAL_LINE_OCTETS } from '../limits.ts';
import { lineHash, NO_PREVIOUS } from './journal-record.ts';

export const journalDirectory = (keysDirectory: string): string => join(keysDirectory, 'journal');
export const checkpointFile = (keysDirectory: string): string =>
  join(journalDirectory(keysDirectory), 'checkpoints.log');
export const checkpointKeyFile = (keysDirectory: string): string => join(keysDirectory, 'checkpoint.key');
export const journalName = (boot: string): string => `use-${boot}.log`;

/** The boot id that a journal's name has; '' when it has none. */
export const bootOf = (path: string): string => NAME.exec(basename(path))?.[1] ?? '';

const NAME = /^use-([0-9a-z-]{1,64})\.log$/;
const LF = 0x0a;
const SPACE = 0x20;
const CHUNK_OCTETS = 256 * KIB;

/** The boot ids of the journals that there are, in order of name; none when there is no directory. */
export async function listJournals(keysDirectory: string): Promise<string[]> {
  try {
    const names = await readdir(journalDirectory(keysDirectory));
    return names
      .map(bootOf)
      .filter((boot) => boot !== '')
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * The lines of a file that may be written while it is read: those that were whole when it was opened. Behind them may be
 * space written ahead, which is no part of a line.
 */
export class LineFile {
  readonly #file: FileHandle;
  readonly #end: number;
  /** What follows the last line is no space: a crash, or a cut, tore a line. */
  readonly isTorn: boolean;

  /** @throws the file system's error. */
  static async open(path: string): Promise<LineFile> {
    const file = await open(path, 'r');
    try {
      let last = await findEnd(file);
      // Torn, or just being written: octets of a write appear one page after the other.
      for (let isMoving = last.isTorn; isMoving; ) {
        await sleep(AUDIT_LOOK_AGAIN_MS);
        const next = await findEnd(file);
        isMoving = next.isTorn && (next.end !== last.end || next.tail !== last.tail);
        last = next;
      }
      return new LineFile(file, last.end, last.isTorn);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(file: FileHandle, end: number, isTorn: boolean) {
    this.#file = file;
    this.#end = end;
    this.isTorn = isTorn;
  }

  /** Octets of all lines. */
  get octets(): number {
    return this.#end;
  }

  /**
   * Some lines at a time, in order, without LF; null stands for one that is longer than `most`. They are good until the
   * next are asked for.
   */
  async *batches(most = USE_JOURNAL_LINE_OCTETS): AsyncGenerator<readonly (Buffer | null)[]> {
    let rest: Buffer = Buffer.alloc(0);
    let isOverlong = false;
    for (let at = 0; at < this.#end; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_OCTETS, this.#end - at));
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) return; // cut while it was read
      at += bytesRead;
      const octets = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      const lines: (Buffer | null)[] = [];
      let start = 0;
      for (let end = octets.indexOf(LF); end !== -1; end = octets.indexOf(LF, start)) {
        lines.push(isOverlong || end - start > most ? null : octets.subarray(start, end));
        isOverlong = false;
        start = end + 1;
      }
      rest = octets.subarray(start);
      if (rest.length > most) {
        isOverlong = true;
        rest = Buffer.alloc(0);
      }
      yield lines;
    }
  }

  /** What follows the last line, as far as it would be one: a line whose LF was lost. Empty when it is longer. */
  async rest(most: number): Promise<Buffer> {
    const octets = Buffer.alloc(most + 1);
    const { bytesRead } = await this.#file.read(octets, 0, octets.length, this.#end);
    return octets.subarray(0, bytesRead > most ? 0 : bytesRead);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** How many lines a journal has, and the hash of the last: without a look at what they say. */
export async function endOfJournal(path: string): Promise<{ readonly lines: number; readonly head: string }> {
  const file = await LineFile.open(path);
  try {
    let lines = 0;
    let head = NO_PREVIOUS;
    for await (const batch of file.batches()) {
      lines += batch.length;
      const last = batch.at(-1);
      if (last != null) head = lineHash(last);
    }
    return { lines, head };
  } finally {
    await file.close();
  }
}

/** Where the last line ends, looked for from behind; `tail` is the size of what follows it up to the last octet that is no space. */
async function findEnd(file: FileHandle): Promise<{ end: number; tail: number; isTorn: boolean }> {
  const { size } = await file.stat();
  let printed = 0; // behind the last octet that is no space
  for (let from = size; from > 0; ) {
    const start = Math.max(0, from - CHUNK_OCTETS);
    const chunk = Buffer.alloc(from - start);
    await file.read(chunk, 0, chunk.length, start);
    if (printed === 0) {
      const last = chunk.findLastIndex((octet) => octet !== SPACE);
      if (last !== -1) printed = start + last + 1;
    }
    const lf = chunk.lastIndexOf(LF);
    if (lf !== -1) {
      const end = start + lf + 1;
      return { end, tail: printed - end, isTorn: printed > end };
    }
    from = start;
  }
  return { end: 0, tail: printed, isTorn: printed > 0 };
}
