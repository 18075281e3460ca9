/**
 * Decides when the checkpoint thread runs, and over which part of the accept journal. One run at a time, oldest segment
 * first; after one that failed none follows, since a newer segment must not be freed before an older one.
 */
import { Worker } from 'node:worker_threads';
import type { MailboxId } from '../../ids.ts';
import { CHECKPOINT_IDLE_MS } from '../../limits.ts';
import { Durations } from '../../tally.ts';
import type { Segment } from './accept-journal.ts';
import type {
  CheckpointReply,
  CheckpointRequest,
  CheckpointThreadData,
  MailboxGarbage,
  MailboxPlaces,
} from './checkpoint-protocol.ts';
import { SEGMENT_HEADER_OCTETS } from './segment.ts';

export interface CheckpointerOptions {
  readonly thread: CheckpointThreadData;
  /** The segment that takes records now. */
  readonly current: () => Segment | null;
  /** Messages that no entry names any more, as of now. */
  readonly garbage: () => readonly MailboxGarbage[];
  /** Tells the indexes where records are now. */
  readonly placed: (places: readonly MailboxPlaces[]) => Promise<void>;
  /** Files of the records before `offset` are in place; `isWhole` when the segment has no more records. */
  readonly done: (segment: Segment, offset: number, isWhole: boolean) => Promise<void>;
  /** The bodies of these messages are gone. */
  readonly removed: (garbage: readonly MailboxGarbage[]) => void;
  /** Mailboxes whose indexes were written to besides, since this was asked last. */
  readonly written: () => readonly MailboxId[];
  /** The disk refused: nothing behind the journal can be trusted to be synced. */
  readonly fatal: (error: unknown) => void;
}

/** A quiet store is done in milliseconds, a full segment in seconds. */
const RUN_BOUNDS_MS = [10, 50, 250, 1_000, 5_000, 30_000, 120_000];

export class Checkpointer {
  readonly runs = new Durations(RUN_BOUNDS_MS);
  readonly #options: CheckpointerOptions;
  readonly #thread: Worker;
  readonly #doneTo = new Map<Segment, number>();
  #chain: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  /** When the oldest change came that no run has begun with, and that the run under way began with. */
  #changedAt: number | null = null;
  #runningFor: number | null = null;
  #answer: ((reply: CheckpointReply) => void) | null = null;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#thread = new Worker(new URL(`./checkpoint-thread.${extension}`, import.meta.url), {
      workerData: options.thread,
    });
    this.#thread.on('message', (reply: CheckpointReply) => this.#answer?.(reply));
    this.#thread.on('error', (error) => options.fatal(error));
    this.#thread.unref();
  }

  /** Something changed: a checkpoint follows soon, even if no segment fills. */
  nudge(): void {
    this.#changedAt ??= performance.now();
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.runNow().catch(this.#options.fatal);
    }, CHECKPOINT_IDLE_MS).unref();
  }

  /** For how long the oldest change has waited to be carried over; 0 when none does. */
  get lagMs(): number {
    const since = this.#runningFor ?? this.#changedAt;
    return since === null ? 0 : performance.now() - since;
  }

  /** The segment gets no more records. */
  finish(segment: Segment): void {
    this.#enqueue(segment, true).catch(this.#options.fatal);
  }

  /** Carries over all that is applied by now, and waits for it. @throws what made a run fail. */
  async runNow(): Promise<void> {
    const segment = this.#options.current();
    await this.#chain;
    if (segment !== null && segment === this.#options.current()) await this.#enqueue(segment, false);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#chain.catch(() => undefined);
    await this.#thread.terminate();
  }

  #enqueue(segment: Segment, isWhole: boolean): Promise<void> {
    this.#chain = this.#chain.then(() => this.#run(segment, isWhole));
    return this.#chain;
  }

  async #run(segment: Segment, isWhole: boolean): Promise<void> {
    const begunAt = performance.now();
    this.#runningFor = this.#changedAt ?? begunAt;
    this.#changedAt = null;
    const from = this.#doneTo.get(segment) ?? SEGMENT_HEADER_OCTETS;
    const to = segment.appliedOffset;
    const garbage = this.#options.garbage();
    const written = this.#options.written();
    if (to > from || garbage.length > 0 || written.length > 0) {
      const range = { path: segment.path, seed: segment.seed, from, to };
      await this.#options.placed(await this.#ask({ kind: 'carry-over', range, garbage }));
      await this.#ask({ kind: 'settle', garbage, written });
      this.#options.removed(garbage);
    }
    if (isWhole) this.#doneTo.delete(segment);
    else this.#doneTo.set(segment, to);
    await this.#options.done(segment, to, isWhole);
    this.runs.add(performance.now() - begunAt);
    this.#runningFor = null;
  }

  async #ask(request: CheckpointRequest): Promise<readonly MailboxPlaces[]> {
    this.#thread.ref();
    const reply = await new Promise<CheckpointReply>((resolve) => {
      this.#answer = resolve;
      this.#thread.postMessage(request);
    });
    this.#thread.unref();
    if (!reply.ok) throw new Error(`The checkpoint failed: ${reply.error}`);
    return reply.places;
  }
}
