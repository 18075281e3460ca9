/**
 * The key-use journal of this start of the process: an append-only hash chain of who used which key and why.
 * docs/format.md, "Key-use journal".
 *
 * An intent is on stable storage before the key service is called. Outcomes and leases are written with the next
 * group, at the latest USE_JOURNAL_LAZY_MS later. Records that come together share one sync. Space is written ahead,
 * so that a full disk does not at once stop those who would free it. When a record cannot be written, keys cannot be
 * used: intents and leases throw. Nothing else in the process stops: receiving needs no key.
 */
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UnavailableError } from '../errors.ts';
import {
  USE_JOURNAL_AHEAD_OCTETS,
  USE_JOURNAL_LAZY_MS,
  USE_JOURNAL_RESERVE_OCTETS,
  USE_JOURNAL_STEP_OCTETS,
} from '../limits.ts';
import type { JournalEnd } from './checkpoint.ts';
import {
  CHAIN_OCTETS,
  chainRecord,
  encodeRecord,
  type KeyOperation,
  type KeyUser,
  type LeaseSource,
  lineHash,
  NO_PREVIOUS,
  type UsedKey,
  type UseRecord,
} from './journal-record.ts';
import { syncDirectory } from './root-key-file.ts';

/** The part of a file that the journal uses; node's FileHandle is one. */
export interface JournalFile {
  write(
    octets: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface UseJournalOptions {
  /** Must not exist; its directory must. */
  readonly path: string;
  readonly bootId: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Told once when the journal can no longer be written, and each time that space runs out. */
  readonly onFailure: (error: unknown) => void;
  readonly openFile?: (path: string) => Promise<JournalFile>;
}

interface Entry {
  readonly record: string;
  /** Upper bound of the line's length, LF included. */
  readonly octets: number;
  /** Of an intent: called with its `seq` once it is durable. */
  readonly waiter: { resolve(seq: number): void; reject(error: Error): void } | null;
}

const SPACES = Buffer.alloc(USE_JOURNAL_STEP_OCTETS, ' ');
const BOOT_ID = /^[0-9a-z-]{1,64}$/;

export class UseJournal {
  readonly #bootId: string;
  readonly #now: () => number;
  readonly #onFailure: (error: unknown) => void;
  #file: JournalFile | null = null;
  /** End of the last record, and end of the space written ahead. */
  #position = 0;
  #allocated = 0;
  #seq = 0;
  #prev = NO_PREVIOUS;
  /** The last record on stable storage. */
  #durable = { lines: 0, head: NO_PREVIOUS };
  #isClosed = false;
  #queue: Entry[] = [];
  #queuedOctets = 0;
  #flushing: Promise<void> | null = null;
  #lazyTimer: NodeJS.Timeout | null = null;
  #isFull = false;
  #failure: UnavailableError | null = null;

  /**
   * Never rejects because of the disk: a journal that cannot be made is one that cannot be written, and mail is to be
   * received all the same.
   * @throws Error when the file exists or the boot id is no name: a bug of the caller.
   */
  static async open(options: UseJournalOptions): Promise<UseJournal> {
    if (!BOOT_ID.test(options.bootId)) throw new Error('A boot id is 1 to 64 of 0-9, a-z and hyphen.');
    const journal = new UseJournal(options);
    await journal.#create(options.path, options.openFile ?? ((path) => open(path, 'wx', 0o600)));
    return journal;
  }

  private constructor(options: UseJournalOptions) {
    this.#bootId = options.bootId;
    this.#now = options.now;
    this.#onFailure = options.onFailure;
  }

  /** Whether key uses can be recorded now. */
  get isWritable(): boolean {
    return this.#failure === null && !this.#isFull;
  }

  /** What a checkpoint may say of this journal. It has ended once it was closed whole: after a failure nobody knows. */
  get end(): JournalEnd {
    return { boot: this.#bootId, ...this.#durable, isEnded: this.#isClosed };
  }

  /**
   * Resolves, with the record's `seq`, when the intent is on stable storage.
   * @throws UnavailableError 'disk-full', 'key-service-down' or 'shutting-down': the key must not be used.
   */
  intent(key: UsedKey, user: KeyUser, operation: KeyOperation): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#enqueue(this.#entry({ ...key, ...user, event: 'intent', operation }, { resolve, reject }));
      this.#flushSoon();
    });
  }

  /** How the use that `intent` announced ended: `ok` or an error's code. */
  outcome(
    key: UsedKey,
    user: KeyUser,
    end: { operation: KeyOperation; intent: number; requestId: string | null; outcome: string },
  ): void {
    if (this.#failure !== null) return;
    this.#enqueue(this.#entry({ ...key, ...user, event: 'outcome', ...end }, null));
    this.#flushLazily();
  }

  /**
   * A lease granted. Does not wait for the disk.
   * @param grant.requestId Of the unwrap that opened the keys.
   * @throws UnavailableError as intent does: the lease must not be granted.
   */
  lease(key: UsedKey, user: KeyUser, grant: { source: LeaseSource; requestId: string }): void {
    if (this.#failure !== null) throw this.#failure;
    const entry = this.#entry({ ...key, ...user, event: 'lease', ...grant }, null);
    if (this.#isFull && this.#room() < entry.octets + USE_JOURNAL_RESERVE_OCTETS) {
      this.#flushSoon();
      throw diskFull();
    }
    this.#enqueue(entry);
    this.#flushLazily();
  }

  /** Writes what waits, gives back unused space, closes. Idempotent. */
  async close(): Promise<void> {
    do await this.#flush();
    while (this.#queue.length > 0 && this.isWritable);
    const file = this.#file;
    const isWhole = this.#failure === null;
    this.#file = null;
    this.#failure ??= new UnavailableError('shutting-down', 'Letterlock is shutting down.');
    if (file === null) return;
    try {
      if (isWhole) {
        await file.truncate(this.#position);
        await file.datasync();
        this.#isClosed = true;
      }
    } catch (error) {
      this.#onFailure(error);
    } finally {
      await file.close();
    }
  }

  async #create(path: string, openFile: (path: string) => Promise<JournalFile>): Promise<void> {
    try {
      this.#file = await openFile(path);
      await this.#writeAhead();
      await this.#file.datasync();
      await syncDirectory(dirname(path));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw error;
      this.#fail(error);
    }
  }

  #entry(record: UseRecord, waiter: Entry['waiter']): Entry {
    const encoded = encodeRecord(record, this.#now());
    return { record: encoded, octets: CHAIN_OCTETS + Buffer.byteLength(encoded), waiter };
  }

  #enqueue(entry: Entry): void {
    this.#queue.push(entry);
    this.#queuedOctets += entry.octets;
  }

  /** Octets left for records, those that wait already subtracted. */
  #room(): number {
    return this.#allocated - this.#position - this.#queuedOctets;
  }

  /** At the end of this turn of the loop, so that what comes in one turn shares a sync. */
  #flushSoon(): void {
    setImmediate(() => void this.#flush());
  }

  #flushLazily(): void {
    this.#lazyTimer ??= setTimeout(() => void this.#flush(), USE_JOURNAL_LAZY_MS);
  }

  /** One at a time; whoever comes while one runs is served by it. Never rejects. */
  #flush(): Promise<void> {
    if (this.#lazyTimer !== null) clearTimeout(this.#lazyTimer);
    this.#lazyTimer = null;
    this.#flushing ??= this.#writeGroups().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  async #writeGroups(): Promise<void> {
    try {
      do {
        await this.#writeAhead();
      } while (await this.#writeGroup());
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Writes and syncs what fits of the queue. @returns whether there is more to do. */
  async #writeGroup(): Promise<boolean> {
    const file = this.#file;
    if (file === null || this.#failure !== null) return false;
    const { lines, durable, left } = this.#takeGroup();
    this.#queue = [...left];
    this.#queuedOctets = left.reduce((sum, entry) => sum + entry.octets, 0);
    if (lines.length === 0) return false;
    const octets = Buffer.from(lines.join(''));
    try {
      await writeAll(file, octets, this.#position);
      await file.datasync();
    } catch (error) {
      // Nobody knows what is on the disk after a failed sync: the chain ends here.
      const failure = this.#fail(error);
      for (const { waiter } of durable) waiter.reject(failure);
      return false;
    }
    this.#position += octets.length;
    this.#durable = { lines: this.#seq, head: this.#prev };
    for (const { waiter, seq } of durable) waiter.resolve(seq);
    return this.#queue.length > left.length;
  }

  /** Gives entries their places in the chain, in order. Intents that do not fit are refused, other entries wait. */
  #takeGroup(): {
    readonly lines: string[];
    readonly durable: { waiter: NonNullable<Entry['waiter']>; seq: number }[];
    readonly left: Entry[];
  } {
    const lines: string[] = [];
    const durable: { waiter: NonNullable<Entry['waiter']>; seq: number }[] = [];
    const left: Entry[] = [];
    let room = this.#allocated - this.#position;
    for (const entry of this.#queue) {
      const { record, octets, waiter } = entry;
      const needed = waiter === null ? octets : octets + USE_JOURNAL_RESERVE_OCTETS;
      if (needed > room || (waiter === null && left.length > 0)) {
        if (waiter === null) left.push(entry);
        else waiter.reject(diskFull());
        continue;
      }
      room -= octets;
      this.#seq += 1;
      const line = chainRecord(this.#bootId, this.#seq, this.#prev, record);
      this.#prev = lineHash(line);
      lines.push(`${line}\n`);
      if (waiter !== null) durable.push({ waiter, seq: this.#seq });
    }
    return { lines, durable, left };
  }

  /**
   * Extends the file with spaces where less than USE_JOURNAL_AHEAD_OCTETS would be left. Without space the journal
   * goes on with what it has; the next flush tries again.
   */
  async #writeAhead(): Promise<void> {
    while (this.#file !== null && this.#failure === null && this.#room() < USE_JOURNAL_AHEAD_OCTETS) {
      try {
        const { bytesWritten } = await this.#file.write(SPACES, 0, SPACES.length, this.#allocated);
        this.#allocated += bytesWritten;
        this.#isFull = false;
      } catch (error) {
        this.#isFull = true;
        this.#onFailure(error);
        return;
      }
    }
  }

  #fail(cause: unknown): UnavailableError {
    if (this.#failure === null) {
      this.#failure = new UnavailableError(
        'key-service-down',
        'Keys cannot be used now, because their use cannot be recorded.',
        cause,
      );
      this.#onFailure(cause);
    }
    for (const { waiter } of this.#queue) waiter?.reject(this.#failure);
    this.#queue = [];
    this.#queuedOctets = 0;
    return this.#failure;
  }
}

async function writeAll(file: JournalFile, octets: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < octets.length) {
    const { bytesWritten } = await file.write(octets, done, octets.length - done, position + done);
    done += bytesWritten;
  }
}

const diskFull = (): UnavailableError =>
  new UnavailableError('disk-full', 'Keys cannot be used now, because there is no space to record it.');
