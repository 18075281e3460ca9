/**
 * Opened keys in Redis, between the leases in memory and the key service: a process that starts anew, or another one,
 * need not ask the key service for what was opened a moment ago. docs/format.md, "Lease cache in Redis".
 *
 * Redis is not trusted. What it gives is opened under keys that it never had, for the mailbox and epoch that were asked
 * for, proven against the row in keys.db as if the key service had answered, and ends when the unwrap that it stands
 * for would have ended. All else counts as absent, and the key service is asked. Redis is not needed either: nothing
 * here throws what the key service did not.
 */
import { IntegrityError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { LEASE_ABSOLUTE_MS, LEASE_ENTRY_LEAST_MS } from '../limits.ts';
import { type CacheKey, CacheKeys } from './cache-keys.ts';
import type { Clock } from './clock.ts';
import type { KeyUser } from './journal-record.ts';
import type { KeyStore, MailboxKeyRow } from './key-store.ts';
import type { KeyUse } from './key-use.ts';
import { type EntryContent, type EntryFlaw, entryName, openEntry, sealEntry } from './lease-entry.ts';
import type { HeldLease, LeaseTimes } from './lease-keeper.ts';
import { type OpenedKeys, openKeys, openWithSeed } from './opened-keys.ts';
import type { RedisLink } from './redis-link.ts';

export interface LeaseCacheParts {
  readonly redis: RedisLink;
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly clock: Clock;
  readonly times: LeaseTimes;
}

export interface CachedOpening {
  /** Whether the mailbox was locked or removed since: then nobody is asked any more. */
  readonly isForgotten: () => boolean;
  /** False for background work: it makes no entry, as it extends none. */
  readonly isKept: boolean;
}

/** A queue asks the key service: it is one mailbox, and works whether or not anybody waits. */
const PURPOSE = 'mailbox';

/** An entry's time in Redis is renewed by use once in this part of the idle time: not with every command. */
const REFRESHES_PER_IDLE_TIME = 4;

export class LeaseCache {
  readonly #parts: LeaseCacheParts;
  readonly #keys: CacheKeys;
  readonly #refreshedAt = new WeakMap<HeldLease, number>();

  constructor(parts: LeaseCacheParts) {
    this.#parts = parts;
    this.#keys = new CacheKeys({ ...parts, absoluteMs: parts.times.absoluteMs, log: parts.redis.log });
  }

  get isAnswering(): boolean {
    return this.#parts.redis.isAnswering;
  }

  /**
   * Opens the keys of a row from Redis, else through the key service.
   * @throws as openKeys does; UnavailableError 'busy' when the mailbox was forgotten meanwhile.
   */
  async open(row: MailboxKeyRow, user: KeyUser, opening: CachedOpening): Promise<OpenedKeys> {
    const { redis, store, keyUse, clock, times } = this.#parts;
    const name = entryName(row.mailbox, row.epoch);
    // The salt of this moment: an entry that is made after a lock, by an opening from before it, opens for nobody.
    const salt = store.cacheSalt(row.mailbox);
    const sealed = await redis.read(name);
    refuseForgotten(opening);
    if (sealed.length > 0) {
      const opened = await this.#opened(row, salt, sealed);
      refuseForgotten(opening);
      if (opened !== null) return opened;
    }
    if (!opening.isKept || salt === undefined) return await openKeys(row, keyUse, user, PURPOSE);
    // Asked for before the unwrap, so that a lock of the organization, which takes the key away, comes before or after.
    const key = this.#keys.get(row.organization);
    return await openKeys(row, keyUse, user, PURPOSE, (seed, { keyId, requestId }) => {
      const content = {
        seed: Buffer.from(seed),
        keyId,
        requestId,
        expiresAt: clock.now() + times.absoluteMs,
      };
      void this.#keep(row, salt, key, content);
    });
  }

  /** A use of a lease that no background work made. */
  used(lease: HeldLease): void {
    const { redis, clock, times } = this.#parts;
    const now = clock.now();
    const refreshedAt = this.#refreshedAt.get(lease);
    // What the key service answered was written just now; what Redis had may be about to go.
    const isDue =
      refreshedAt === undefined
        ? lease.source === 'redis'
        : now - refreshedAt >= times.idleMs / REFRESHES_PER_IDLE_TIME;
    if (refreshedAt === undefined || isDue) this.#refreshedAt.set(lease, now);
    const ttlMs = Math.min(times.idleMs, lease.expiresAt - now);
    if (isDue && ttlMs > 0) void redis.extend(entryName(lease.mailbox, lease.epoch), ttlMs);
  }

  /** Removes what is cached of a mailbox. Resolves after a deadline at the latest, and never rejects. */
  async forget(mailbox: MailboxId, epochs: readonly number[]): Promise<void> {
    await Promise.all(epochs.map((epoch) => this.#parts.redis.remove(entryName(mailbox, epoch))));
  }

  /** To be called when the organization's cache key was removed: nothing that was sealed under it opens any more. */
  forgetOrganization(organization: OrganizationId): void {
    this.#keys.forget(organization);
  }

  close(): void {
    this.#keys.close();
    this.#parts.redis.close();
  }

  /** @returns null for an entry that does not open, which is removed, and when there is no key to open it with. */
  async #opened(
    row: MailboxKeyRow,
    salt: Uint8Array | undefined,
    sealed: Buffer,
  ): Promise<OpenedKeys | null> {
    const { redis, clock } = this.#parts;
    const entryKey = salt && (await this.#keys.get(row.organization))?.entryKey(salt);
    if (!entryKey) return null;
    const bounds = { now: clock.now(), leastMs: LEASE_ENTRY_LEAST_MS, mostMs: LEASE_ABSOLUTE_MS };
    const entry = openEntry(entryKey, row, sealed, bounds);
    entryKey.fill(0);
    const opened = typeof entry === 'string' ? entry : proven(row, entry);
    if (typeof opened !== 'string') return opened;
    // An old entry that a cache kept is no event; one that was changed is.
    redis.log?.[opened === 'expired' ? 'debug' : 'warn'](
      { mailbox: row.mailbox, epoch: row.epoch, flaw: opened },
      'an entry of the lease cache is not what was stored; the key service is asked',
    );
    void redis.remove(entryName(row.mailbox, row.epoch));
    return null;
  }

  async #keep(
    row: MailboxKeyRow,
    salt: Uint8Array,
    awaitedKey: Promise<CacheKey | null>,
    content: EntryContent,
  ): Promise<void> {
    const { redis, clock, times } = this.#parts;
    let sealed: Buffer | null = null;
    try {
      const entryKey = (await awaitedKey)?.entryKey(salt);
      if (!entryKey) return;
      sealed = sealEntry(entryKey, row, content);
      entryKey.fill(0);
    } finally {
      content.seed.fill(0);
    }
    const ttlMs = Math.min(times.idleMs, content.expiresAt - clock.now());
    if (sealed !== null && ttlMs > 0) {
      await redis.write(entryName(row.mailbox, row.epoch), sealed, ttlMs);
    }
  }
}

/** What openKeys proves of a seed that the key service gave. Zeroes the seed. */
function proven(row: MailboxKeyRow, entry: EntryContent): OpenedKeys | EntryFlaw | 'not-of-the-row' {
  const { seed, keyId, requestId, expiresAt } = entry;
  try {
    return { ...openWithSeed(row, seed, { keyId, requestId }), cachedUntil: expiresAt };
  } catch (error) {
    if (error instanceof IntegrityError) return 'not-of-the-row';
    throw error;
  } finally {
    seed.fill(0);
  }
}

function refuseForgotten({ isForgotten }: CachedOpening): void {
  if (isForgotten()) throw new UnavailableError('busy', 'The mailbox was locked while its keys were opened.');
}
