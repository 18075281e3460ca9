/**
 * Users and organizations together with what belongs to them: keys, a mailbox. A crash in between leaves a user in
 * state 'creating' or 'removing', or an organization without keys; `finish`, run at every start, or the next attempt
 * goes on from there.
 */
import { availableParallelism } from 'node:os';
import { IntegrityError, RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { DkimAlgorithm, DkimKeyRow } from '../keys/key-store.ts';
import type { Keyring, LocksOf } from '../keys/keyring.ts';
import { LOGIN_HASHES_AT_ONCE, MAILBOXES_CREATED_AT_ONCE } from '../limits.ts';
import type { MailStore } from '../store/types.ts';
import { canonicalDomain } from './address.ts';
import type { Directory } from './directory.ts';
import { hashPassword } from './password.ts';
import type { Domain, Organization, User } from './types.ts';

export interface AccountRequest {
  readonly address: string;
  readonly displayName?: string | undefined;
  /** null: no limit. Absent: the default. */
  readonly quotaOctets?: number | null | undefined;
  /** null: cannot log in until a password is set. A hash: for bulk accounts that share one password on purpose. */
  readonly password: string | null | { readonly hash: string };
}

export interface AccountParts {
  readonly directory: Directory;
  readonly keyring: Pick<
    Keyring,
    | 'createOrganizationKeys'
    | 'removeOrganizationKeys'
    | 'directoryKey'
    | 'createManyMailboxKeys'
    | 'removeMailboxKeys'
    | 'ownerHandle'
    | 'checkpoint'
    | 'endLease'
    | 'locks'
    | 'createDkimKeys'
    | 'dkimKeys'
    | 'activateDkimKeys'
    | 'removeDkimKeys'
  >;
  readonly store: Pick<MailStore, 'createMailbox' | 'removeMailbox'>;
  /** Of users that are made without one of their own; null: no limit. */
  readonly defaultQuotaOctets: number | null;
}

export class Accounts {
  readonly directory: Directory;
  readonly #keyring: AccountParts['keyring'];
  readonly #store: AccountParts['store'];
  readonly #defaultQuotaOctets: number | null;
  /** Accounts are changed one call after the other: each takes several steps, with awaits between them. */
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor(parts: AccountParts) {
    this.directory = parts.directory;
    this.#keyring = parts.keyring;
    this.#store = parts.store;
    this.#defaultQuotaOctets = parts.defaultQuotaOctets;
  }

  /** Keyring.checkpoint: a line; null when no key was ever used. */
  checkpoint(): Promise<string | null> {
    return this.#keyring.checkpoint();
  }

  /** @throws RefusedError 'already-exists', 'invalid', 'key-denied'; UnavailableError 'key-service-down'. */
  createOrganization(name: string, keyId: string | null, principal: string): Promise<Organization> {
    return this.#change(async () => {
      const organization = this.directory.createOrganization(name, keyId);
      try {
        await this.#ensureKeys(organization, principal);
      } catch (error) {
        this.directory.removeOrganization(organization.id);
        throw error;
      }
      await this.#ensureQueue(organization.id, principal);
      return organization;
    });
  }

  /** @throws RefusedError 'nonexistent', 'in-use' while it has domains or users. */
  removeOrganization(idOrName: string, principal: string): Promise<void> {
    return this.#change(async () => {
      const { id } = this.directory.organization(idOrName);
      if (this.directory.domains(id).length > 0 || this.directory.users({ organization: id }).length > 0) {
        throw new RefusedError('in-use', 'The organization still has domains or users');
      }
      await this.#removeQueue(id, principal);
      this.directory.setDirectoryKey(id, null);
      await this.#keyring.removeOrganizationKeys(id, principal);
      this.directory.removeOrganization(id);
    });
  }

  /**
   * All or none of the rows; then keys and mailboxes, many at a time. Users that an earlier attempt left in state
   * 'creating' are finished.
   * @throws RefusedError 'already-exists', 'nonexistent' (domain), 'invalid'; what went wrong first with keys or
   *   mailboxes, with the users concerned left in state 'creating'.
   */
  async createUsers(requests: readonly AccountRequest[], principal: string): Promise<User[]> {
    const hashes = await hashed(requests);
    return this.#change(async () => {
      const users = this.directory.createUsers(
        requests.map((request, index) => ({
          ...request,
          quotaOctets: request.quotaOctets === undefined ? this.#defaultQuotaOctets : request.quotaOctets,
          passwordHash: hashes[index]!,
        })),
      );
      const [failure] = await this.#complete(users, principal);
      if (failure !== undefined) throw failure;
      return users.map((user) => ({ ...user, state: 'active' }));
    });
  }

  /** Never touches a mail key: a forgotten password loses nothing. @throws RefusedError 'nonexistent', 'invalid'. */
  async setPassword(address: string, password: string): Promise<void> {
    this.directory.user(address);
    const hash = await hashPassword(password);
    this.directory.setPasswordHash(this.directory.user(address).id, hash);
  }

  /** The user, its mailbox, its keys. The mail cannot be had back. @throws RefusedError 'nonexistent'. */
  removeUser(address: string, principal: string): Promise<void> {
    return this.#change(async () => {
      const user = this.directory.user(address);
      this.directory.setUserState(user.id, 'removing');
      await this.#remove(user, principal);
    });
  }

  /**
   * Nobody opens the user's mailbox from now on. Waits for no other change: an import may take minutes.
   * @throws RefusedError 'nonexistent'; UnavailableError as Locks.lockMailbox does.
   */
  lockMailbox(address: string, principal: string, reason: string): Promise<void> {
    return this.#keyring.locks.lockMailbox(this.directory.user(address).mailbox, principal, reason);
  }

  unlockMailbox(address: string, principal: string): Promise<void> {
    return this.#keyring.locks.unlockMailbox(this.directory.user(address).mailbox, principal);
  }

  /** Nor any mailbox of the organization. */
  lockOrganization(idOrName: string, principal: string, reason: string): Promise<void> {
    return this.#keyring.locks.lockOrganization(this.directory.organization(idOrName).id, principal, reason);
  }

  unlockOrganization(idOrName: string, principal: string): Promise<void> {
    return this.#keyring.locks.unlockOrganization(this.directory.organization(idOrName).id, principal);
  }

  /** What keeps a mailbox locked; without a mailbox, all those of an organization. */
  locksOf(organization: OrganizationId, mailbox: MailboxId | null): LocksOf {
    return this.#keyring.locks.of(organization, mailbox);
  }

  /**
   * Goes on with what a crash, or a key service that was down, left half done. What fails for one organization or user
   * stops no other.
   * @param signal Ends it early, between two users.
   * @returns Why something is not finished still, an error for each organization or user; never rejects.
   */
  finish(principal: string, signal?: AbortSignal): Promise<readonly unknown[]> {
    return this.#change(async () => {
      const failures: unknown[] = [];
      const attempt = async (work: () => Promise<void>): Promise<void> => {
        if (signal?.aborted) return;
        await work().catch((error: unknown) => failures.push(error));
      };
      for (const organization of this.directory.organizations()) {
        await attempt(async () => {
          await this.#ensureKeys(organization, principal);
          await this.#ensureQueue(organization.id, principal);
        });
      }
      for (const user of this.directory.users({ state: 'removing' })) {
        await attempt(() => this.#remove(user, principal));
      }
      const creating = this.directory.users({ state: 'creating' });
      return [...failures, ...(await this.#complete(creating, principal, signal))];
    });
  }

  /** With its DKIM keys. @throws RefusedError 'nonexistent', 'in-use' while it has addresses. */
  removeDomain(name: string, principal: string): Promise<void> {
    return this.#change(async () => {
      const { name: domain } = this.domain(name);
      this.directory.removeDomain(domain);
      await this.#keyring.removeDkimKeys(domain, null, principal);
    });
  }

  /** @throws RefusedError 'nonexistent'. */
  domain(name: string): Domain {
    const canonical = canonicalDomain(name);
    const domain = this.directory.domains().find((known) => known.name === canonical);
    if (domain === undefined) throw new RefusedError('nonexistent', 'There is no such domain');
    return domain;
  }

  /** Keys that sign nothing yet. @throws RefusedError 'nonexistent', 'too-many', 'key-denied'; UnavailableError. */
  createDkimKeys(
    name: string,
    algorithms: readonly DkimAlgorithm[],
    principal: string,
  ): Promise<readonly DkimKeyRow[]> {
    const { organization, name: domain } = this.domain(name);
    return this.#keyring.createDkimKeys(organization, domain, algorithms, principal);
  }

  /** Of one domain, or of all. @throws RefusedError 'nonexistent'. */
  dkimKeys(name: string | null): readonly DkimKeyRow[] {
    return name === null ? this.#keyring.dkimKeys() : this.#keyring.dkimKeys(this.domain(name).name);
  }

  /** The keys that wait sign from now on, those that signed are retired. @throws RefusedError 'nonexistent'. */
  activateDkimKeys(name: string): Promise<void> {
    return this.#keyring.activateDkimKeys(this.domain(name).name);
  }

  /** @throws RefusedError 'nonexistent'. */
  async removeDkimKey(name: string, selector: string, principal: string): Promise<void> {
    const removed = await this.#keyring.removeDkimKeys(this.domain(name).name, selector, principal);
    if (removed === 0) throw new RefusedError('nonexistent', 'The domain has no such DKIM key');
  }

  /** Resolves when no change is under way. */
  async idle(): Promise<void> {
    await this.#lastChange;
  }

  /** @returns what went wrong, for whole organizations or for users; all others are active. */
  async #complete(users: readonly User[], principal: string, signal?: AbortSignal): Promise<unknown[]> {
    const failures: unknown[] = [];
    for (const [organization, members] of Map.groupBy(users, (user) => user.organization)) {
      if (signal?.aborted) break;
      const made: number[] = [];
      try {
        await this.#ensureKeys(this.directory.organization(organization), principal);
        await this.#keyring.createManyMailboxKeys(
          members.map(({ mailbox }) => ({ organization, mailbox, principal })),
        );
        await inParallel(members, MAILBOXES_CREATED_AT_ONCE, async (user) => {
          if (signal?.aborted) return;
          await this.#createMailbox(user, principal).then(
            () => made.push(user.id),
            (error: unknown) => failures.push(error),
          );
        });
        this.directory.setUserStates(made, 'active');
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }

  async #createMailbox({ organization, mailbox, quotaOctets }: User, principal: string): Promise<void> {
    const owner = this.#keyring.ownerHandle({
      organization,
      mailbox,
      quotaOctets,
      principal,
      protocol: 'admin',
      address: 'local',
      reason: 'create mailbox',
      isBackground: true,
    });
    try {
      await this.#store.createMailbox(owner);
    } finally {
      this.#keyring.endLease(mailbox);
    }
  }

  /**
   * Keys for an organization that was left without, and the copy of its directory key in the directory.
   * @throws IntegrityError 'missing-key' when it had keys: new ones would not open its mail, and hide the loss.
   */
  async #ensureKeys({ id, keyId }: Pick<Organization, 'id' | 'keyId'>, principal: string): Promise<void> {
    const hadKeys = this.directory.directoryKey(id) !== null;
    const hasKeys = this.#keyring.directoryKey(id) !== null;
    if (hadKeys && hasKeys) return;
    if (hadKeys) throw new IntegrityError('missing-key', 'The keys of an organization are gone');
    if (!hasKeys) await this.#keyring.createOrganizationKeys(id, keyId ?? undefined, principal);
    this.directory.setDirectoryKey(id, this.#keyring.directoryKey(id));
  }

  /** The mailbox of the organization's outgoing mail; every step may be done twice. */
  async #ensureQueue(organization: OrganizationId, principal: string): Promise<void> {
    if (this.directory.queueMailbox(organization) !== null) return;
    const mailbox = this.directory.nameQueueMailbox(organization);
    const purpose = 'queue';
    await this.#keyring.createManyMailboxKeys([{ organization, mailbox, principal, purpose }]);
    const owner = this.#keyring.ownerHandle({
      organization,
      mailbox,
      quotaOctets: null,
      principal,
      protocol: 'admin',
      address: 'local',
      reason: 'create queue',
      isBackground: true,
      purpose,
    });
    try {
      await this.#store.createMailbox(owner, purpose);
    } finally {
      this.#keyring.endLease(mailbox);
    }
    this.directory.setQueueReady(organization);
  }

  /** With what is still in it. */
  async #removeQueue(organization: OrganizationId, principal: string): Promise<void> {
    const mailbox = this.directory.nameQueueMailbox(organization);
    await this.#store.removeMailbox({ kind: 'maintenance', organization, mailbox, principal });
    await this.#keyring.removeMailboxKeys(mailbox, principal);
  }

  async #remove(user: User, principal: string): Promise<void> {
    const { organization, mailbox } = user;
    await this.#store.removeMailbox({ kind: 'maintenance', organization, mailbox, principal });
    await this.#keyring.removeMailboxKeys(mailbox, principal);
    this.directory.deleteUser(user.id);
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const change = this.#lastChange.then(work);
    this.#lastChange = change.catch(() => undefined);
    return change;
  }
}

/** A hash, with a salt of its own, for each. */
async function hashed(requests: readonly AccountRequest[]): Promise<(string | null)[]> {
  const hashes: (string | null)[] = [];
  // Threads do the work; the event loop takes little of a core meanwhile.
  const workers = Math.min(availableParallelism(), LOGIN_HASHES_AT_ONCE);
  await inParallel([...requests.entries()], workers, async ([index, { password }]) => {
    if (typeof password === 'string') hashes[index] = await hashPassword(password);
    else hashes[index] = password?.hash ?? null;
  });
  return hashes;
}

/** Resolves or rejects when no work is under way any more; after an error none begins. */
async function inParallel<T>(
  items: readonly T[],
  workers: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const remaining = items.values();
  let isBroken = false;
  const worker = async (): Promise<void> => {
    for (const item of remaining) {
      if (isBroken) return;
      await work(item).catch((error: unknown) => {
        isBroken = true;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(workers, items.length) }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
