/**
 * Background work that folds newly arrived digests and file keys into pages, and merges pages. docs/format.md, "Pages".
 *
 * It works under leases that clients have taken: it asks for none, extends none, and stops when one ends, wherever it is;
 * what it had not committed is made anew by whoever has the next lease. One mailbox at a time, in slices, and it rests
 * longer than it works.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { IntegrityError, LetterlockError } from '../../errors.ts';
import type { MailboxId } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { BACKGROUND_REST, LOOP_SLICE_MS } from '../../limits.ts';
import type { OwnerHandle } from '../handles.ts';
import type { Bodies } from './bodies.ts';
import type { MailboxOwner } from './mailbox-owner.ts';
import { type Pace, PageWork } from './page-work.ts';

/** The lease has ended, or is of no use: what is under way is given up. */
export class LeaseEnded extends Error {}

export interface AbsorberOptions {
  readonly bodies: Bodies;
  /** False: what is left of the disk is for expunges. Nothing is begun, and what is under way is given up. */
  readonly hasSpace: () => boolean;
  /** Pages of this mailbox were written: their index is to be synced and its WAL carried over some time. */
  readonly written: (mailbox: MailboxId) => void;
  /** So often the root or a page of this mailbox did not open; what was in them is folded in anew. */
  readonly damaged: (mailbox: MailboxId, times: number) => void;
  readonly onBug: (error: unknown) => void;
}

export class Absorber {
  readonly #options: AbsorberOptions;
  /** In the order in which they have their turn. Their owners are pinned. */
  readonly #waiting = new Map<MailboxOwner, OwnerHandle>();
  /** Whose lease was seen last. */
  readonly #handles = new WeakMap<MailboxOwner, OwnerHandle>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: AbsorberOptions) {
    this.#options = options;
  }

  /** A client has just been granted a lease through this handle. */
  offer(owner: MailboxOwner, handle: OwnerHandle): void {
    this.#handles.set(owner, handle);
    if (owner.hasPageWork) this.#enqueue(owner, handle);
  }

  /** There may be work in the mailbox: it is begun if somebody's lease is there to do it. */
  wake(owner: MailboxOwner): void {
    const handle = this.#handles.get(owner);
    if (handle !== undefined && handle.heldLease() !== null) this.#enqueue(owner, handle);
  }

  /** All that there is to do in the mailbox, at once and without rest, with a lease that is asked for. For maintenance. */
  async absorb(owner: MailboxOwner, handle: OwnerHandle, pace: Pace): Promise<void> {
    await handle.lease();
    // Whatever works in the background must not work on the same rows.
    if (this.#waiting.delete(owner)) owner.pins--;
    while (this.#running !== null) await this.#running.catch(() => undefined);
    owner.pins++;
    const work = async (): Promise<void> => {
      while (await this.#step(owner, handle, pace)) await pace.pause();
    };
    this.#running = work().finally(() => {
      owner.pins--;
      this.#running = null;
      this.#start();
    });
    await this.#running;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#running?.catch(() => undefined);
  }

  #enqueue(owner: MailboxOwner, handle: OwnerHandle): void {
    if (this.#stopping.signal.aborted || !this.#options.hasSpace()) return;
    if (!this.#waiting.has(owner)) owner.pins++;
    this.#waiting.set(owner, handle);
    this.#start();
  }

  #start(): void {
    if (this.#stopping.signal.aborted || this.#running !== null || this.#waiting.size === 0) return;
    this.#running = this.#run()
      .catch((error) => {
        if (!this.#stopping.signal.aborted) this.#options.onBug(error);
      })
      .finally(() => {
        this.#running = null;
        this.#start();
      });
  }

  async #run(): Promise<void> {
    const pace = backgroundPace(this.#stopping.signal);
    for (let next = firstOf(this.#waiting); next !== undefined; next = firstOf(this.#waiting)) {
      const [owner, handle] = next;
      this.#waiting.delete(owner);
      let hasMore = false;
      try {
        hasMore = await this.#step(owner, handle, pace);
      } finally {
        // Behind the others, if there is more.
        if (hasMore && !this.#waiting.has(owner)) this.#waiting.set(owner, handle);
        else owner.pins--;
      }
      await pace.pause();
    }
  }

  /** @returns whether there is more to do, and a lease to do it with. */
  async #step(owner: MailboxOwner, handle: OwnerHandle, pace: Pace): Promise<boolean> {
    const lease = (): Lease => {
      const held = owner.isRemoved ? null : handle.heldLease();
      if (held === null || this.#stopping.signal.aborted) throw new LeaseEnded();
      return held;
    };
    if (owner.damagedPages > 0) this.#options.damaged(owner.id, owner.damagedPages);
    owner.damagedPages = 0;
    try {
      const { bodies, hasSpace, written } = this.#options;
      const hasMore = await new PageWork(owner, bodies, lease, hasSpace, pace).step();
      if (hasMore) written(owner.id);
      return hasMore;
    } catch (error) {
      if (error instanceof LeaseEnded) return false;
      // The lease ended between a look at it and its use, or the mailbox is gone. Damage is the reader's to report.
      if (error instanceof LetterlockError && !(error instanceof IntegrityError)) return false;
      throw error;
    }
  }
}

const firstOf = <K, V>(map: ReadonlyMap<K, V>): [K, V] | undefined => map.entries().next().value;

/** Works for LOOP_SLICE_MS, then rests BACKGROUND_REST times as long as it took. @throws AbortError when stopped. */
function backgroundPace(signal: AbortSignal): Pace {
  let since = performance.now();
  return {
    pause() {
      const worked = performance.now() - since;
      if (worked < LOOP_SLICE_MS) return undefined;
      return sleep(worked * BACKGROUND_REST, undefined, { signal, ref: false }).then(() => {
        since = performance.now();
      });
    },
  };
}
