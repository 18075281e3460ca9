/**
 * The records of all key-use journals of a keys directory, in the order of their time, without holding more of them than
 * a few hundred KiB: journals follow one another, so only those that overlap are open together.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { USE_JOURNAL_LINE_OCTETS } from '../limits.ts';
import { journalDirectory, journalName, LineFile, listJournals } from './journal-files.ts';
import type { KeyOperation } from './journal-record.ts';

/** A record as it stands in its journal. */
export interface JournalRecord {
  readonly boot: string;
  readonly seq: number;
  readonly at: string;
  readonly event: 'intent' | 'outcome' | 'lease';
  readonly organization: string;
  readonly mailbox?: string;
  readonly epoch?: number;
  readonly purpose: string;
  readonly keyId: string;
  readonly principal: string;
  readonly protocol: string;
  readonly address: string;
  readonly reason: string;
  readonly operation?: KeyOperation;
  readonly intent?: number;
  readonly source?: string;
  readonly requestId?: string;
  readonly outcome?: string;
}

/**
 * @param onUnreadable Called for each line that is no record, which is passed over.
 * @throws the file system's error.
 */
export async function* journalRecords(
  keysDirectory: string,
  onUnreadable: () => void,
): AsyncGenerator<JournalRecord> {
  const pending: { readonly path: string; readonly firstAt: string }[] = [];
  for (const boot of await listJournals(keysDirectory)) {
    const path = join(journalDirectory(keysDirectory), journalName(boot));
    const firstAt = await timeOfFirst(path);
    if (firstAt !== null) pending.push({ path, firstAt });
  }
  pending.sort((a, b) => (a.firstAt < b.firstAt ? 1 : -1)); // the earliest last
  const reading: Reading[] = [];
  try {
    for (;;) {
      let [next] = reading;
      for (const other of reading) if (other.record.at < next!.record.at) next = other;
      const begins = pending.at(-1);
      if (begins !== undefined && (next === undefined || begins.firstAt <= next.record.at)) {
        pending.pop();
        const begun = await Reading.open(begins.path, onUnreadable);
        if (begun !== null) reading.push(begun);
      } else if (next === undefined) {
        return;
      } else {
        yield next.record;
        if (!next.advanceInBatch() && !(await next.advance())) reading.splice(reading.indexOf(next), 1);
      }
    }
  } finally {
    for (const { file } of reading) await file.close();
  }
}

/** One journal, at a record. */
class Reading {
  readonly file: LineFile;
  record!: JournalRecord;
  readonly #batches: AsyncGenerator<readonly (Buffer | null)[]>;
  readonly #onUnreadable: () => void;
  #batch: readonly (Buffer | null)[] = [];
  #next = 0;

  /** At its first record; null when it has none. */
  static async open(path: string, onUnreadable: () => void): Promise<Reading | null> {
    const reading = new Reading(await LineFile.open(path), onUnreadable);
    return (await reading.advance()) ? reading : null;
  }

  private constructor(file: LineFile, onUnreadable: () => void) {
    this.file = file;
    this.#batches = file.batches();
    this.#onUnreadable = onUnreadable;
  }

  /** To the next record of those that are read already. @returns false when there is none. */
  advanceInBatch(): boolean {
    while (this.#next < this.#batch.length) {
      const record = parse(this.#batch[this.#next++]!);
      if (record !== null) {
        this.record = record;
        return true;
      }
      this.#onUnreadable();
    }
    return false;
  }

  /** To the next record. @returns false at the end; the file is closed then. */
  async advance(): Promise<boolean> {
    while (!this.advanceInBatch()) {
      const { value, done } = await this.#batches.next();
      if (done === true) {
        await this.file.close();
        return false;
      }
      this.#batch = value;
      this.#next = 0;
    }
    return true;
  }
}

async function timeOfFirst(path: string): Promise<string | null> {
  const file = await open(path, 'r');
  try {
    const octets = Buffer.alloc(USE_JOURNAL_LINE_OCTETS);
    const { bytesRead } = await file.read(octets, 0, octets.length, 0);
    const end = octets.subarray(0, bytesRead).indexOf('\n');
    if (end === -1) return bytesRead < octets.length ? null : '';
    return parse(octets.subarray(0, end))?.at ?? '';
  } finally {
    await file.close();
  }
}

function parse(line: Buffer | null): JournalRecord | null {
  if (line === null) return null;
  try {
    const record = JSON.parse(line.toString()) as Partial<JournalRecord>;
    return typeof record.at === 'string' && typeof record.event === 'string'
      ? (record as JournalRecord)
      : null;
  } catch {
    return null;
  }
}
