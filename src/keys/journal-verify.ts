/**
 * Checks the hash chain of one key-use journal. docs/format.md, "Key-use journal".
 *
 * The chain shows lines that were changed, removed or exchanged within it. It cannot show that its end was cut off or
 * that it was written anew from some line on: for that, compare `head` with one that left the machine earlier.
 */
import { createReadStream } from 'node:fs';
import { lineHash, NO_PREVIOUS } from './journal-record.ts';

export interface JournalProblem {
  /** Of the line, from 1. */
  readonly line: number;
  /**
   * `unreadable`: no record. `chain`: it does not continue the line before it, so one of the two was changed.
   * `gap`, `order`: its sequence number is too high, or not ascending. `boot`: of another start of the process.
   * `torn`: the end of the file is no whole line, as a crash may leave it.
   */
  readonly kind: 'unreadable' | 'chain' | 'gap' | 'order' | 'boot' | 'torn';
}

export interface JournalReport {
  readonly lines: number;
  /** SHA-256 of the last line, in hex: what a checkpoint vouches for. */
  readonly head: string;
  readonly problems: readonly JournalProblem[];
}

/** @throws the file system's error when the file cannot be read. */
export async function verifyUseJournal(path: string): Promise<JournalReport> {
  const check = new ChainCheck();
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const octets = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = octets.indexOf(LF); end !== -1; end = octets.indexOf(LF, start)) {
      check.line(octets.subarray(start, end));
      start = end + 1;
    }
    // Space written ahead is no part of a line; without this a MiB of it would be copied with every chunk.
    rest = isBlank(octets, start) ? Buffer.alloc(0) : octets.subarray(start);
  }
  return check.end(rest.length > 0);
}

const LF = 0x0a;
const SPACE = 0x20;

class ChainCheck {
  #lines = 0;
  #head = NO_PREVIOUS;
  #seq = 0;
  #boot: string | null = null;
  readonly #problems: JournalProblem[] = [];

  line(octets: Buffer): void {
    this.#lines += 1;
    const place = readPlace(octets);
    if (place === null) {
      this.#report('unreadable');
    } else {
      this.#boot ??= place.boot;
      if (place.boot !== this.#boot) this.#report('boot');
      if (place.seq > this.#seq + 1) this.#report('gap');
      else if (place.seq <= this.#seq) this.#report('order');
      if (place.prev !== this.#head) this.#report('chain');
    }
    this.#seq = place?.seq ?? this.#seq + 1;
    this.#head = lineHash(octets);
  }

  end(isTorn: boolean): JournalReport {
    if (isTorn) this.#problems.push({ line: this.#lines + 1, kind: 'torn' });
    return { lines: this.#lines, head: this.#head, problems: this.#problems };
  }

  #report(kind: JournalProblem['kind']): void {
    this.#problems.push({ line: this.#lines, kind });
  }
}

function readPlace(line: Buffer): { boot: string; seq: number; prev: string } | null {
  try {
    const { boot, seq, prev } = JSON.parse(line.toString()) as Record<string, unknown>;
    return typeof boot === 'string' && Number.isSafeInteger(seq) && typeof prev === 'string'
      ? { boot, seq: seq as number, prev }
      : null;
  } catch {
    return null;
  }
}

function isBlank(octets: Buffer, start: number): boolean {
  for (let i = start; i < octets.length; i++) if (octets[i] !== SPACE) return false;
  return true;
}
