/**
 * The accept journal: the one commit point of the store. docs/format.md, "Accept journal".
 *
 * Operations that arrive while a sync is under way share the next one. `apply` is called in journal order, after the
 * sync; the promise of `append` resolves after `apply`. A failed write or sync is never retried: `fatal` must end the
 * process, for after a failed fsync nobody knows what is on the disk.
 */
import { randomInt } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IntegrityError, RefusedError, UnavailableError } from '../../errors.ts';
import {
  JOURNAL_ENTRY_OCTETS,
  JOURNAL_QUEUE_OCTETS,
  JOURNAL_RECORD_OCTETS,
  JOURNAL_SEGMENTS,
  MIB,
} from '../../limits.ts';
import { Durations } from '../../tally.ts';
import type { Operation } from '../operation.ts';
import {
  blobOffsets,
  decodeSegmentHeader,
  encodeRecord,
  encodeSegmentHeader,
  frameRecord,
  type PendingRecord,
  readRecords,
  SEGMENT_HEADER_OCTETS,
} from './segment.ts';
import { syncDirectory } from './sync.ts';

/** A segment file. `number` is 0 while it is free; it changes when the file is reused. */
export interface Segment {
  readonly path: string;
  readonly file: FileHandle;
  number: number;
  seed: number;
  /** Where the next record goes. */
  offset: number;
  /** Records before this are durable and applied. */
  appliedOffset: number;
}

/** A record on stable storage. */
export interface CommittedRecord {
  readonly operation: Operation;
  readonly blobs: readonly Buffer[];
  readonly segment: Segment;
  /** Where the record starts in the segment, and each of its blobs. */
  readonly offset: number;
  readonly blobOffsets: readonly number[];
  /** Who asked, for FolderChange. Not recorded. */
  readonly origin: unknown;
}

interface Waiting {
  readonly operation: Operation;
  readonly origin: unknown;
  readonly record: PendingRecord;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface AcceptJournalOptions {
  readonly directory: string;
  readonly segmentOctets: number;
  readonly apply: (records: readonly CommittedRecord[]) => Promise<void>;
  /** A segment will get no more records; `release` it when everything behind it is synced. */
  readonly full: (segment: Segment) => void;
  readonly fatal: (error: unknown) => void;
}

/** A segment that was not free when the journal was opened, and where its intact records end. */
export interface SurvivingSegment {
  readonly segment: Segment;
  readonly firstSequence: number;
  readonly lastSequence: number;
}

/** A sync takes 0.1 ms on a fast disk, 10 on a slow one; what takes longer is a disk that stalls. */
const SYNC_BOUNDS_MS = [0.25, 0.5, 1, 2.5, 5, 10, 25, 100, 500, 2_500];

export class AcceptJournal {
  readonly syncs = new Durations(SYNC_BOUNDS_MS);
  #records = 0;
  #syncBegunAt: number | null = null;
  readonly #options: AcceptJournalOptions;
  readonly #free: Segment[] = [];
  readonly #segments: Segment[] = [];
  #current: Segment | null = null;
  #number = 0;
  #sequence = 0;
  #queue: Waiting[] = [];
  #queueOctets = 0;
  #running: Promise<void> | null = null;
  #applied: Promise<void> = Promise.resolve();
  #spare: Promise<void> | null = null;
  #freed: (() => void) | null = null;
  #isClosed = false;
  /** After it nothing is recorded: what lies behind a hole would not be found again. */
  #failure: Error | null = null;

  private constructor(options: AcceptJournalOptions) {
    this.#options = options;
  }

  /**
   * Opens the segments and returns what survives of each, oldest first. The caller replays those, then calls
   * `release` for each, and only then appends.
   * @throws IntegrityError when a segment's header is of another format.
   */
  static async open(options: AcceptJournalOptions): Promise<[AcceptJournal, SurvivingSegment[]]> {
    const journal = new AcceptJournal(options);
    try {
      return [journal, await journal.#openSegments()];
    } catch (error) {
      await journal.closeFiles();
      throw error;
    }
  }

  /**
   * Resolves when the operation is durable and applied. Rejects with UnavailableError 'shutting-down' when nothing was
   * recorded. Operations are recorded in the order of the calls.
   */
  append(operation: Operation, blobs: readonly Buffer[], origin?: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#assertOpen();
      const record = encodeRecord(operation, blobs);
      if (record.length > this.#mostRecordOctets) {
        throw new RangeError(`A journal record of ${record.length} octets fits no segment`);
      }
      this.#queue.push({ operation, origin, record, resolve, reject });
      this.#queueOctets += record.length;
      this.#running ??= this.#run();
    });
  }

  /**
   * Called before anything is assigned that an operation would record.
   * @throws UnavailableError 'busy' when the disk does not keep up, 'shutting-down'.
   */
  assertRoom(): void {
    this.#assertOpen();
    if (this.#queueOctets > JOURNAL_QUEUE_OCTETS) {
      throw new UnavailableError('busy', 'The disk does not keep up; try again later');
    }
  }

  /**
   * Called before anything is assigned to the entries of an operation.
   * @throws RefusedError 'too-big' when the operation, with blobs of so many octets, may not fit one record.
   */
  assertFits(blobOctets: number, entries: number): void {
    if (blobOctets + (entries + 1) * JOURNAL_ENTRY_OCTETS > this.#mostRecordOctets) {
      throw new RefusedError('too-big', 'That is too much for one step');
    }
  }

  /** Records on stable storage, since the start. */
  get records(): number {
    return this.#records;
  }

  get segmentsInUse(): number {
    return this.#segments.length - this.#free.length;
  }

  /** For how long a sync has been under way; 0 when none is. */
  get syncingMs(): number {
    return this.#syncBegunAt === null ? 0 : performance.now() - this.#syncBegunAt;
  }

  /** False while `assertRoom` throws. */
  get hasRoom(): boolean {
    return !this.#isClosed && this.#failure === null && this.#queueOctets <= JOURNAL_QUEUE_OCTETS;
  }

  /** The segment that takes records now, for a checkpoint of a part of it; null before the first record. */
  get current(): Segment | null {
    return this.#current;
  }

  /**
   * Marks a segment as free for reuse, oldest first. Everything that its records name must be synced elsewhere.
   * Durable when it resolves: were an older segment to come back after a newer one was freed, the next start would
   * find a gap.
   */
  async release(segment: Segment): Promise<void> {
    await segment.file.write(Buffer.alloc(SEGMENT_HEADER_OCTETS), 0, SEGMENT_HEADER_OCTETS, 0);
    await segment.file.datasync();
    await this.#makeFree(segment);
  }

  /** Stops taking operations and waits until all that were taken are applied; then ends the current segment. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    await this.#applied;
    await this.#spare?.catch(() => undefined);
    const last = this.#current;
    this.#current = null;
    if (last !== null) this.#options.full(last);
  }

  get #mostRecordOctets(): number {
    return Math.min(JOURNAL_RECORD_OCTETS, this.#options.segmentOctets - SEGMENT_HEADER_OCTETS);
  }

  #assertOpen(): void {
    if (!this.#isClosed && this.#failure === null) return;
    throw new UnavailableError('shutting-down', 'The server is shutting down', this.#failure ?? undefined);
  }

  /** Nothing that waits is recorded any more. */
  #fail(error: unknown): void {
    this.#failure ??= error as Error;
    this.#options.fatal(error);
    for (const waiting of this.#queue.splice(0)) waiting.reject(this.#failure);
  }

  async closeFiles(): Promise<void> {
    for (const segment of this.#segments) await segment.file.close();
  }

  async #openSegments(): Promise<SurvivingSegment[]> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const surviving: SurvivingSegment[] = [];
    for (const name of await readdir(directory)) {
      if (!/^accept-[0-9a-f]+\.log$/.test(name)) continue;
      const path = join(directory, name);
      const file = await open(path, 'r+');
      const segment = newSegment(path, file);
      this.#segments.push(segment);
      const octets = Buffer.alloc(SEGMENT_HEADER_OCTETS);
      const { bytesRead } = await file.read(octets, 0, octets.length, 0);
      const header = decodeSegmentHeader(octets.subarray(0, bytesRead));
      if (header === null) {
        await this.#makeFree(segment);
        continue;
      }
      segment.number = header.number;
      segment.seed = header.seed;
      surviving.push(await survey(segment));
    }
    surviving.sort((a, b) => a.segment.number - b.segment.number);
    assertInSequence(surviving);
    this.#number = surviving.at(-1)?.segment.number ?? 0;
    this.#sequence = Math.max(0, ...surviving.map(({ lastSequence }) => lastSequence));
    return surviving;
  }

  /** A segment of another size (the setting changed, or its preallocation was cut short) is made anew. */
  async #makeFree(segment: Segment): Promise<void> {
    const { size } = await segment.file.stat();
    if (size !== this.#options.segmentOctets) await fillWithZeros(segment.file, this.#options.segmentOctets);
    segment.number = 0;
    this.#free.push(segment);
    this.#freed?.();
    this.#freed = null;
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0) await this.#commitGroup();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = null;
    }
  }

  async #commitGroup(): Promise<void> {
    const segment = await this.#segmentFor(this.#queue[0]!.record.length);
    if (this.#failure !== null) throw this.#failure;
    const buffers: Buffer[] = [];
    const group: Waiting[] = [];
    const committed: CommittedRecord[] = [];
    const start = segment.offset;
    for (const waiting of this.#queue) {
      const { operation, origin, record } = waiting;
      if (segment.offset + record.length > this.#options.segmentOctets) break;
      buffers.push(...frameRecord(record, ++this.#sequence, segment.seed));
      committed.push({
        operation,
        blobs: record.blobs,
        segment,
        offset: segment.offset,
        blobOffsets: blobOffsets(record, segment.offset),
        origin,
      });
      group.push(waiting);
      segment.offset += record.length;
    }
    await writeAll(segment.file, buffers, start);
    const begunAt = performance.now();
    this.#syncBegunAt = begunAt;
    await segment.file.datasync();
    this.#syncBegunAt = null;
    this.syncs.add(performance.now() - begunAt);
    this.#records += group.length;
    this.#queue = this.#queue.slice(group.length);
    for (const waiting of group) this.#queueOctets -= waiting.record.length;
    const end = segment.offset;
    // Applied while the next group is being synced, and always in order.
    this.#applied = this.#applied.then(async () => {
      try {
        if (this.#failure !== null) throw this.#failure;
        await this.#options.apply(committed);
        segment.appliedOffset = end;
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        if (this.#failure === null) this.#fail(error);
        for (const waiting of group) waiting.reject(error as Error);
      }
    });
    if (this.#queue.length === 0) await this.#applied;
  }

  async #segmentFor(recordOctets: number): Promise<Segment> {
    const current = this.#current;
    if (current !== null && current.offset + recordOctets <= this.#options.segmentOctets) return current;
    if (current !== null) {
      this.#current = null;
      await this.#applied;
      this.#options.full(current);
    }
    const next = await this.#takeFree();
    next.number = ++this.#number;
    next.seed = randomInt(2 ** 32);
    next.offset = SEGMENT_HEADER_OCTETS;
    next.appliedOffset = SEGMENT_HEADER_OCTETS;
    const header = encodeSegmentHeader(next);
    await next.file.write(header, 0, header.length, 0);
    this.#current = next;
    // Made ahead; when it cannot be (a full disk), the segments there are go round.
    if (this.#free.length === 0) this.#makeSpare().catch(() => undefined);
    return next;
  }

  async #takeFree(): Promise<Segment> {
    for (;;) {
      const free = this.#free.shift();
      if (free !== undefined) return free;
      if (this.#segments.length < JOURNAL_SEGMENTS) {
        await this.#makeSpare().catch((error: unknown) => {
          if (this.#segments.length === 0) throw error;
        });
        if (this.#free.length > 0) continue;
      }
      if (this.#free.length === 0) {
        await new Promise<void>((resolve) => {
          this.#freed = resolve;
        });
      }
    }
  }

  #makeSpare(): Promise<void> {
    this.#spare ??= this.#addSpare().finally(() => {
      this.#spare = null;
    });
    return this.#spare;
  }

  async #addSpare(): Promise<void> {
    if (this.#segments.length >= JOURNAL_SEGMENTS) return;
    const path = this.#freePath();
    const file = await open(path, 'wx+', 0o600);
    try {
      await fillWithZeros(file, this.#options.segmentOctets);
      await syncDirectory(this.#options.directory);
    } catch (error) {
      await file.close();
      await unlink(path);
      throw error;
    }
    const segment = newSegment(path, file);
    this.#segments.push(segment);
    this.#free.push(segment);
    this.#freed?.();
    this.#freed = null;
  }

  #freePath(): string {
    const taken = new Set(this.#segments.map(({ path }) => path));
    for (let number = 0; ; number++) {
      const name = `accept-${number.toString(16).padStart(2, '0')}.log`;
      const path = join(this.#options.directory, name);
      if (!taken.has(path)) return path;
    }
  }
}

/**
 * A segment gets its first record only after all of the one before it was synced, so a torn append can only be at the
 * very end. A gap means that a segment was damaged or removed: to go on would lose acknowledged mail.
 */
function assertInSequence(surviving: readonly SurvivingSegment[]): void {
  let last = 0;
  for (const { segment, firstSequence, lastSequence } of surviving) {
    if (firstSequence === 0) continue;
    if (last !== 0 && firstSequence !== last + 1) {
      const message = `The accept journal has a gap before ${basename(segment.path)}; restore the missing segment`;
      throw new IntegrityError('format', message);
    }
    last = lastSequence;
  }
}

const newSegment = (path: string, file: FileHandle): Segment => ({
  path,
  file,
  number: 0,
  seed: 0,
  offset: SEGMENT_HEADER_OCTETS,
  appliedOffset: SEGMENT_HEADER_OCTETS,
});

/** Finds the intact records' end, and their sequence numbers (0 when there are none). */
async function survey(segment: Segment): Promise<SurvivingSegment> {
  let firstSequence = 0;
  let lastSequence = 0;
  const { size } = await segment.file.stat();
  for (const record of readRecords(segment.file.fd, segment.seed, SEGMENT_HEADER_OCTETS, size)) {
    if (lastSequence !== 0 && record.sequence !== lastSequence + 1) break;
    firstSequence ||= record.sequence;
    lastSequence = record.sequence;
    segment.offset = record.end;
    segment.appliedOffset = record.end;
  }
  return { segment, firstSequence, lastSequence };
}

async function fillWithZeros(file: FileHandle, octets: number): Promise<void> {
  const zeros = Buffer.alloc(MIB);
  await file.truncate(0);
  for (let at = 0; at < octets; at += zeros.length) {
    await file.write(zeros, 0, Math.min(zeros.length, octets - at), at);
  }
  await file.sync();
}

async function writeAll(file: FileHandle, buffers: readonly Buffer[], position: number): Promise<void> {
  // The kernel takes at most 1,024 buffers at once (IOV_MAX).
  let at = position;
  for (let from = 0; from < buffers.length; from += 1024) {
    const slice = buffers.slice(from, from + 1024);
    const expected = slice.reduce((sum, buffer) => sum + buffer.length, 0);
    const { bytesWritten } = await file.writev(slice, at);
    if (bytesWritten !== expected) throw new Error('A write to the accept journal was cut short');
    at += expected;
  }
}
