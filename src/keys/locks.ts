/**
 * Which mailboxes and organizations are locked: their keys are opened for nobody. Mail goes on to arrive, since
 * receiving needs no key.
 *
 * keys.db has the locks; here is their copy in memory, asked each time that somebody wants a lease. A lock is in force
 * when the method that sets it has called the store: what was opened is forgotten in the same step, an opening in
 * flight yields nothing, and what a cache holds was sealed with a salt, or under a cache key, that is
 * gone. An organization's lock is its own:
 * taking it away unlocks no mailbox that was locked by itself.
 */
import { randomBytes } from 'node:crypto';
import { RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { KeyOperation, KeyUser, UsedKey } from './journal-record.ts';
import { CACHE_SALT_OCTETS, type KeyStore, type Lock } from './key-store.ts';
import { administration, type KeyUse } from './key-use.ts';
import type { LeaseCache } from './lease-cache.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

export interface LocksOf {
  /** Of the mailbox itself. */
  readonly mailbox: Lock | null;
  readonly organization: Lock | null;
}

export interface LockParts {
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly keeper: LeaseKeeper;
  readonly cache: LeaseCache | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class Locks {
  readonly #parts: LockParts;
  readonly #organizations: Map<OrganizationId, Lock>;
  readonly #mailboxes: Map<MailboxId, Lock>;

  constructor(parts: LockParts) {
    this.#parts = parts;
    const { organizations, mailboxes } = parts.store.locks();
    this.#organizations = new Map(organizations);
    this.#mailboxes = new Map(mailboxes);
  }

  /** @param mailbox Null for the organization alone. */
  of(organization: OrganizationId, mailbox: MailboxId | null): LocksOf {
    return {
      mailbox: (mailbox === null ? undefined : this.#mailboxes.get(mailbox)) ?? null,
      organization: this.#organizations.get(organization) ?? null,
    };
  }

  /** @throws RefusedError 'locked', in the same words for either lock: whoever is locked out asks the same people. */
  refuse(organization: OrganizationId, mailbox: MailboxId): void {
    if (this.#mailboxes.has(mailbox) || this.#organizations.has(organization)) {
      throw new RefusedError('locked', 'This mailbox is locked: ask your administrator.');
    }
  }

  /**
   * In force and durable when it resolves. A mailbox that is locked keeps the time of its lock and gets the new reason.
   * @throws RefusedError 'nonexistent'. UnavailableError: 'busy' when the old salt is not overwritten yet; what
   *   UseJournal.intent throws when the lock is not on record. It is in force in both cases, for a lock that waited for
   *   its record would leave the mailbox open.
   */
  async lockMailbox(mailbox: MailboxId, principal: string, reason: string): Promise<void> {
    const { store, keeper, cache, now } = this.#parts;
    const user = administration(principal, reason || 'lock mailbox');
    let forgotten: Promise<void> | undefined;
    await this.#inAnyCase(this.#mailboxKey(mailbox), user, () => {
      const lock = { since: this.#mailboxes.get(mailbox)?.since ?? now(), reason };
      store.lockMailbox(mailbox, lock, randomBytes(CACHE_SALT_OCTETS));
      this.#mailboxes.set(mailbox, lock);
      keeper.forget(mailbox);
      forgotten = cache?.forget(mailbox, store.epochsOf(mailbox));
    });
    await forgotten;
    store.emptyWal();
  }

  /** The same for all mailboxes of an organization: its cache key goes instead of their salts. */
  async lockOrganization(organization: OrganizationId, principal: string, reason: string): Promise<void> {
    const { store, keeper, cache, now } = this.#parts;
    const user = administration(principal, reason || 'lock organization');
    await this.#inAnyCase(this.#organizationKey(organization), user, () => {
      const lock = { since: this.#organizations.get(organization)?.since ?? now(), reason };
      store.lockOrganization(organization, lock);
      this.#organizations.set(organization, lock);
      cache?.forgetOrganization(organization);
      keeper.forgetAll((mailbox) => store.organizationOf(mailbox) === organization);
    });
    store.emptyWal();
  }

  /** Nothing happens, but on record, when it is not locked. @throws RefusedError 'nonexistent'; UnavailableError. */
  async unlockMailbox(mailbox: MailboxId, principal: string): Promise<void> {
    const key = this.#mailboxKey(mailbox);
    await this.#recorded(key, administration(principal, 'unlock mailbox'), 'unlock', () => {
      this.#parts.store.unlockMailbox(mailbox);
      this.#mailboxes.delete(mailbox);
    });
  }

  async unlockOrganization(organization: OrganizationId, principal: string): Promise<void> {
    const key = this.#organizationKey(organization);
    await this.#recorded(key, administration(principal, 'unlock organization'), 'unlock', () => {
      this.#parts.store.unlockOrganization(organization);
      this.#organizations.delete(organization);
    });
  }

  /** To be called when the keys, and with them the lock, were removed. */
  forget(removed: MailboxId | OrganizationId): void {
    this.#mailboxes.delete(removed as MailboxId);
    this.#organizations.delete(removed as OrganizationId);
  }

  async #inAnyCase(key: UsedKey, user: KeyUser, lock: () => void): Promise<void> {
    let isTried = false;
    const once = (): void => {
      isTried = true;
      lock();
    };
    try {
      await this.#recorded(key, user, 'lock', once);
    } catch (error) {
      if (!isTried) once();
      throw error;
    }
  }

  async #recorded(key: UsedKey, user: KeyUser, operation: KeyOperation, work: () => void): Promise<void> {
    await this.#parts.keyUse.recorded(key, user, operation, async () => {
      work();
      return { requestId: null };
    });
  }

  #mailboxKey(mailbox: MailboxId): UsedKey {
    const { store } = this.#parts;
    const organization = store.organizationOf(mailbox);
    if (organization === undefined) throw new RefusedError('nonexistent', 'There is no such mailbox.');
    const keyId = store.keyIdOf(organization, mailbox);
    return { organization, mailbox, epoch: null, purpose: 'mailbox', keyId };
  }

  #organizationKey(organization: OrganizationId): UsedKey {
    const row = this.#parts.store.organization(organization);
    if (row === undefined) throw new RefusedError('nonexistent', 'The organization has no keys.');
    return { organization, mailbox: null, epoch: null, purpose: 'directory', keyId: row.keyId };
  }
}
