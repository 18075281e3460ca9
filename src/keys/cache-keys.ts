/**
 * The cache keys of organizations: what the entries of the lease cache are sealed under. docs/format.md, "Lease cache in
 * Redis".
 *
 * Wrapped they stand in keys.db; opened they are in memory alone, and no longer than a lease may be: so a right that was
 * withdrawn at the key service ends what the cache holds, too. Where a key cannot be had there is no cache; that is
 * never an error of whoever logs in.
 */
import { randomBytes } from 'node:crypto';
import { IntegrityError, LetterlockError } from '../errors.ts';
import type { OrganizationId } from '../ids.ts';
import { CACHE_KEY_RETRY_MS, CACHE_KEY_WAIT_MS } from '../limits.ts';
import { deriveKey, KEY_OCTETS } from '../seal/primitives.ts';
import type { Clock } from './clock.ts';
import type { KeyUser } from './journal-record.ts';
import type { KeyStore, WrappedKey } from './key-store.ts';
import { cachePlace, type KeyUse } from './key-use.ts';
import { ENTRY_KEY_INFO } from './lease-entry.ts';
import type { CacheLog } from './redis-link.ts';

/** In the key-use journal: the key is opened for whoever of the organization comes next, not for one user. */
const USER: KeyUser = {
  principal: 'lease-cache',
  protocol: 'redis',
  address: '',
  reason: 'open the cache key of an organization',
};

/** An opened cache key, until it ends. */
export class CacheKey {
  #octets: Buffer | null;

  constructor(octets: Buffer) {
    this.#octets = octets;
  }

  /** @returns the key of a mailbox's entries; null once this key has ended: zeroed octets would be everybody's key. */
  entryKey(salt: Uint8Array): Buffer | null {
    return this.#octets === null ? null : deriveKey(this.#octets, salt, ENTRY_KEY_INFO);
  }

  end(): void {
    this.#octets?.fill(0);
    this.#octets = null;
  }
}

export interface CacheKeyParts {
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly clock: Clock;
  /** How long an opened key stays: that of a lease, from the unwrap. */
  readonly absoluteMs: number;
  readonly log: CacheLog | undefined;
}

interface Obtaining {
  readonly key: Promise<CacheKey | null>;
  isAbandoned: boolean;
}

interface Held {
  readonly key: CacheKey;
  readonly until: number;
  readonly cancel: () => void;
}

export class CacheKeys {
  readonly #parts: CacheKeyParts;
  readonly #held = new Map<OrganizationId, Held>();
  readonly #obtaining = new Map<OrganizationId, Obtaining>();
  /** When those may be asked for again that could not be had. */
  readonly #failedUntil = new Map<OrganizationId, number>();
  #isClosed = false;

  constructor(parts: CacheKeyParts) {
    this.#parts = parts;
  }

  /**
   * The organization's key, made when there is none. Two calls at the key service at most for whoever asks meanwhile.
   * @returns null when it cannot be had, or not within CACHE_KEY_WAIT_MS. Never rejects.
   */
  async get(organization: OrganizationId): Promise<CacheKey | null> {
    const now = this.#parts.clock.now();
    const held = this.#held.get(organization);
    if (held !== undefined && now < held.until) return held.key;
    if (this.#isClosed || now < (this.#failedUntil.get(organization) ?? 0)) return null;
    const { key } = this.#obtaining.get(organization) ?? this.#begin(organization);
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, CACHE_KEY_WAIT_MS, null);
    });
    return await Promise.race([key, patience]).finally(() => clearTimeout(timer));
  }

  /** Ends the key now; one that is on its way is nobody's. Called when the stored one is removed. */
  forget(organization: OrganizationId): void {
    const obtaining = this.#obtaining.get(organization);
    if (obtaining !== undefined) obtaining.isAbandoned = true;
    this.#obtaining.delete(organization);
    this.#failedUntil.delete(organization);
    this.#end(organization);
  }

  close(): void {
    this.#isClosed = true;
    for (const organization of [...this.#held.keys(), ...this.#obtaining.keys()]) this.forget(organization);
  }

  #begin(organization: OrganizationId): Obtaining {
    const obtaining: Obtaining = {
      isAbandoned: false,
      key: this.#obtain(organization, () => obtaining.isAbandoned)
        .catch((error: unknown) => {
          if (!obtaining.isAbandoned) this.#failed(organization, error);
          return null;
        })
        .finally(() => {
          if (this.#obtaining.get(organization) === obtaining) this.#obtaining.delete(organization);
        }),
    };
    this.#obtaining.set(organization, obtaining);
    return obtaining;
  }

  async #obtain(organization: OrganizationId, isAbandoned: () => boolean): Promise<CacheKey | null> {
    const { store, clock, absoluteMs } = this.#parts;
    // The journal's intent is awaited first: what comes of it never runs before `#begin` has returned.
    const octets =
      (await this.#unwrapStored(store.cacheKey(organization), organization)) ??
      (await this.#make(organization, isAbandoned));
    if (octets === null || isAbandoned()) {
      octets?.fill(0);
      return null;
    }
    const key = new CacheKey(octets);
    this.#end(organization);
    this.#failedUntil.delete(organization);
    const cancel = clock.after(absoluteMs, () => this.#end(organization));
    this.#held.set(organization, { key, until: clock.now() + absoluteMs, cancel });
    return key;
  }

  async #unwrapStored(stored: WrappedKey | undefined, organization: OrganizationId): Promise<Buffer | null> {
    if (stored === undefined) return null;
    const { clear } = await this.#parts.keyUse.unwrap(cachePlace(organization), stored, USER);
    if (clear.length === KEY_OCTETS) return clear;
    clear.fill(0);
    throw new IntegrityError('format', 'The cache key of an organization has a wrong length.');
  }

  /** As all keys are made: wrapped, on stable storage, read back, unwrapped once, compared, and only then used. */
  async #make(organization: OrganizationId, isAbandoned: () => boolean): Promise<Buffer | null> {
    const { store, keyUse, clock } = this.#parts;
    const owner = store.organization(organization);
    if (owner === undefined) throw new IntegrityError('missing-key', 'This organization has no keys.');
    const made = randomBytes(KEY_OCTETS);
    try {
      const wrapped = await keyUse.wrap(cachePlace(organization), owner.keyId, USER, made);
      if (isAbandoned()) return null;
      store.setCacheKey(organization, wrapped, clock.now());
      const stored = await this.#unwrapStored(store.readBackCacheKey(organization), organization);
      if (stored?.equals(made)) return stored;
      stored?.fill(0);
      throw new IntegrityError('format', 'The key store did not return what was written.');
    } finally {
      made.fill(0);
    }
  }

  #failed(organization: OrganizationId, error: unknown): void {
    const { clock, log } = this.#parts;
    this.#failedUntil.set(organization, clock.now() + CACHE_KEY_RETRY_MS);
    const code = error instanceof LetterlockError ? error.code : 'bug';
    log?.warn({ organization, code }, 'the lease cache has no key: the key service is asked for each lease');
  }

  #end(organization: OrganizationId): void {
    const held = this.#held.get(organization);
    this.#held.delete(organization);
    held?.cancel();
    held?.key.end();
  }
}
