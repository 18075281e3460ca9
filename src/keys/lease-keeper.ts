/**
 * Opened keys in memory, by mailbox and epoch, each for a bounded time: a while after its last use, and an absolute time
 * after the key service's unwrap. Concurrent requests for the same keys share one unwrap.
 *
 * Dropping a lease zeroes the index key and lets go of identity and memos. Copies that the runtime or OpenSSL made
 * stay until their memory is reused: JavaScript cannot do better.
 */
import { UnavailableError } from '../errors.ts';
import type { MailboxId } from '../ids.ts';
import type { Identity } from '../seal/recipient.ts';
import type { Clock } from './clock.ts';
import type { LeaseSource } from './journal-record.ts';
import type { Lease } from './lease.ts';
import type { OpenedKeys } from './opened-keys.ts';

export interface LeaseTimes {
  /** Milliseconds from the last use. */
  readonly idleMs: number;
  /** Milliseconds from the unwrap. */
  readonly absoluteMs: number;
}

export interface Acquired {
  readonly lease: HeldLease;
  /** Where the keys of the request came from that had them opened; `memory` for all that it served besides. */
  readonly source: LeaseSource;
}

interface Opening {
  readonly mailbox: MailboxId;
  readonly lease: Promise<HeldLease>;
  isForgotten: boolean;
}

export class LeaseKeeper {
  readonly #clock: Clock;
  readonly #times: LeaseTimes;
  readonly #leases = new Map<string, HeldLease>();
  readonly #openings = new Map<string, Opening>();

  constructor(clock: Clock, times: LeaseTimes) {
    this.#clock = clock;
    this.#times = times;
  }

  /**
   * A live lease, from memory or through `open`. Does not count as a use: HeldLease.touch does.
   * @param open Is given what tells whether the mailbox was forgotten meanwhile.
   * @throws what `open` throws; UnavailableError 'busy' when the lease was forgotten while it was opened.
   */
  async acquire(
    mailbox: MailboxId,
    epoch: number,
    open: (isForgotten: () => boolean) => Promise<OpenedKeys>,
  ): Promise<Acquired> {
    const slot = slotOf(mailbox, epoch);
    const held = this.#leases.get(slot);
    if (held?.isLive) return { lease: held, source: 'memory' };
    const shared = this.#openings.get(slot);
    if (shared !== undefined) return { lease: await shared.lease, source: 'memory' };
    const opening: Opening = {
      mailbox,
      isForgotten: false,
      lease: this.#open(mailbox, epoch, open, () => opening.isForgotten).finally(() => {
        if (this.#openings.get(slot) === opening) this.#openings.delete(slot);
      }),
    };
    this.#openings.set(slot, opening);
    const lease = await opening.lease;
    return { lease, source: lease.source };
  }

  /** Ends the leases of a mailbox now; an unwrap in flight yields none. */
  forget(mailbox: MailboxId): void {
    this.forgetAll((other) => other === mailbox);
  }

  /** The same for all, or for those that are meant. */
  forgetAll(isMeant: (mailbox: MailboxId) => boolean = () => true): void {
    for (const [slot, lease] of this.#leases) if (isMeant(lease.mailbox)) this.#drop(slot, lease);
    for (const [slot, opening] of this.#openings) if (isMeant(opening.mailbox)) this.#abandon(slot, opening);
  }

  /** Leases held now. */
  get size(): number {
    return this.#leases.size;
  }

  async #open(
    mailbox: MailboxId,
    epoch: number,
    open: (isForgotten: () => boolean) => Promise<OpenedKeys>,
    isForgotten: () => boolean,
  ): Promise<HeldLease> {
    const opened = await open(isForgotten);
    if (isForgotten()) {
      opened.indexKey.fill(0);
      throw new UnavailableError('busy', 'The mailbox was locked while its keys were opened.');
    }
    const slot = slotOf(mailbox, epoch);
    const lease = new HeldLease(mailbox, epoch, opened, this.#clock, this.#times, () =>
      this.#drop(slot, lease),
    );
    const previous = this.#leases.get(slot);
    if (previous !== undefined) this.#drop(slot, previous);
    this.#leases.set(slot, lease);
    return lease;
  }

  #drop(slot: string, lease: HeldLease): void {
    lease.end();
    if (this.#leases.get(slot) === lease) this.#leases.delete(slot);
  }

  #abandon(slot: string, opening: Opening): void {
    opening.isForgotten = true;
    this.#openings.delete(slot);
  }
}

const slotOf = (mailbox: MailboxId, epoch: number): string => `${mailbox}/${epoch}`;

/** A lease that the keeper granted. */
export class HeldLease implements Lease {
  readonly mailbox: MailboxId;
  readonly epoch: number;
  readonly expiresAt: number;
  /** Of the unwrap that opened the keys, and the key that did it. */
  readonly requestId: string;
  readonly keyId: string;
  readonly source: Exclude<LeaseSource, 'memory'>;
  readonly #clock: Clock;
  readonly #idleMs: number;
  #opened: OpenedKeys | null;
  #lastUse: number;
  readonly #memos = new Map<symbol, unknown>();
  readonly #cancelAbsolute: () => void;
  #cancelIdle: () => void;

  constructor(
    mailbox: MailboxId,
    epoch: number,
    opened: OpenedKeys,
    clock: Clock,
    { idleMs, absoluteMs }: LeaseTimes,
    onExpiry: () => void,
  ) {
    this.mailbox = mailbox;
    this.epoch = epoch;
    this.requestId = opened.requestId;
    this.keyId = opened.keyId;
    this.#opened = opened;
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#lastUse = clock.now();
    this.source = opened.cachedUntil === undefined ? 'key-service' : 'redis';
    // What a cache had ends when it would have ended without the cache, and never later than a new unwrap's keys.
    const leftMs = Math.min(absoluteMs, (opened.cachedUntil ?? Number.POSITIVE_INFINITY) - this.#lastUse);
    this.expiresAt = this.#lastUse + leftMs;
    // The timers run whatever becomes of the wall clock; `isLive` holds whenever a timer is late.
    this.#cancelAbsolute = clock.after(leftMs, onExpiry);
    const watchIdle = (ms: number): (() => void) =>
      clock.after(ms, () => {
        const idleLeftMs = this.#lastUse + idleMs - clock.now();
        if (idleLeftMs <= 0) onExpiry();
        else this.#cancelIdle = watchIdle(Math.min(idleLeftMs, idleMs));
      });
    this.#cancelIdle = watchIdle(idleMs);
  }

  get isLive(): boolean {
    if (this.#opened === null) return false;
    const now = this.#clock.now();
    return now < this.expiresAt && now < this.#lastUse + this.#idleMs;
  }

  /** Counts as a use. Background work does not call this. */
  touch(): void {
    this.#lastUse = this.#clock.now();
  }

  get identity(): Identity {
    return this.#keys().identity;
  }

  get indexKey(): Uint8Array {
    return this.#keys().indexKey;
  }

  memo<T>(slot: symbol, make: () => T): T {
    this.#keys();
    if (!this.#memos.has(slot)) this.#memos.set(slot, make());
    return this.#memos.get(slot) as T;
  }

  /** Forgets everything. Idempotent. */
  end(): void {
    this.#cancelAbsolute();
    this.#cancelIdle();
    this.#opened?.indexKey.fill(0);
    this.#opened = null;
    this.#memos.clear();
  }

  #keys(): OpenedKeys {
    if (this.#opened === null || !this.isLive) {
      throw new UnavailableError('timeout', "The time for which this mailbox's keys were opened has ended.");
    }
    return this.#opened;
  }
}
