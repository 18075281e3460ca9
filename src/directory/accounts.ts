/**
 * Users and organizations together with what belongs to them: keys, a mailbox. A crash in between leaves a user in
 * state 'creating' or 'removing'; `finish`, run at every start, or the next attempt goes on from there.
 */
import { availableParallelism } from 'node:os';
import { RefusedError } from '../errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import { MAILBOXES_CREATED_AT_ONCE } from '../limits.ts';
import type { MailStore } from '../store/types.ts';
import type { Directory } from './directory.ts';
import { hashPassword } from './password.ts';
import type { Organization, User } from './types.ts';

export interface AccountRequest {
  readonly address: string;
  readonly displayName?: string | undefined;
  /** null: no limit. */
  readonly quotaOctets?: number | null | undefined;
  /** null: cannot log in until a password is set. */
  readonly password: string | null;
}

export class Accounts {
  readonly directory: Directory;
  readonly #keyring: Keyring;
  readonly #store: MailStore;

  constructor(parts: { directory: Directory; keyring: Keyring; store: MailStore }) {
    this.directory = parts.directory;
    this.#keyring = parts.keyring;
    this.#store = parts.store;
  }

  /** @throws RefusedError 'already-exists', 'invalid', 'key-denied'; UnavailableError 'key-service-down'. */
  async createOrganization(name: string, keyId: string | null, principal: string): Promise<Organization> {
    const organization = this.directory.createOrganization(name, keyId);
    try {
      await this.#keyring.createOrganizationKeys(organization.id, keyId ?? undefined, principal);
    } catch (error) {
      this.directory.removeOrganization(organization.id);
      throw error;
    }
    return organization;
  }

  /** @throws RefusedError 'nonexistent', 'in-use' while it has domains or users. */
  async removeOrganization(idOrName: string, principal: string): Promise<void> {
    const { id } = this.directory.organization(idOrName);
    if (this.directory.domains(id).length > 0 || this.directory.users({ organization: id }).length > 0) {
      throw new RefusedError('in-use', 'The organization still has domains or users');
    }
    await this.#keyring.removeOrganizationKeys(id, principal);
    this.directory.removeOrganization(id);
  }

  /**
   * All or none of the rows; then keys and mailboxes, many at a time. Equal passwords in one call are hashed once: it is
   * meant for bulk accounts that share one on purpose (the demo's), whose hashes may be equal too.
   * @throws RefusedError 'already-exists', 'nonexistent' (domain), 'invalid'.
   */
  async createUsers(requests: readonly AccountRequest[], principal: string): Promise<User[]> {
    const hashes = new Map<string, string>();
    const passwords = [...new Set(requests.map(({ password }) => password))].filter(
      (password) => password !== null,
    );
    await inParallel(passwords, Math.max(1, availableParallelism() - 1), async (password) => {
      hashes.set(password, await hashPassword(password));
    });
    const users = this.directory.createUsers(
      requests.map(({ password, ...user }) => ({
        ...user,
        passwordHash: password === null ? null : hashes.get(password)!,
      })),
    );
    await this.#complete(users, principal);
    return users.map((user) => ({ ...user, state: 'active' }));
  }

  /** Never touches a mail key: a forgotten password loses nothing. @throws RefusedError 'nonexistent', 'invalid'. */
  async setPassword(address: string, password: string): Promise<void> {
    const { id } = this.directory.user(address);
    this.directory.setPasswordHash(id, await hashPassword(password));
  }

  /** The user, its mailbox, its keys. The mail cannot be had back. @throws RefusedError 'nonexistent'. */
  async removeUser(address: string, principal: string): Promise<void> {
    const user = this.directory.user(address);
    this.directory.setUserState(user.id, 'removing');
    await this.#remove(user, principal);
  }

  /** Goes on with what a crash, or a key service that was down, left half done. */
  async finish(principal: string): Promise<void> {
    for (const user of this.directory.users({ state: 'removing' })) await this.#remove(user, principal);
    await this.#complete(this.directory.users({ state: 'creating' }), principal);
  }

  async #complete(users: readonly User[], principal: string): Promise<void> {
    if (users.length === 0) return;
    await this.#keyring.createManyMailboxKeys(
      users.map(({ organization, mailbox }) => ({ organization, mailbox, principal })),
    );
    await inParallel(users, MAILBOXES_CREATED_AT_ONCE, async ({ organization, mailbox, quotaOctets }) => {
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
      await this.#store.createMailbox(owner);
      this.#keyring.lock(mailbox);
    });
    this.directory.setUserStates(
      users.map(({ id }) => id),
      'active',
    );
  }

  async #remove(user: User, principal: string): Promise<void> {
    const { organization, mailbox } = user;
    await this.#store.removeMailbox({ kind: 'maintenance', organization, mailbox, principal });
    await this.#keyring.removeMailboxKeys(mailbox, principal);
    this.directory.deleteUser(user.id);
  }
}

async function inParallel<T>(
  items: readonly T[],
  workers: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const remaining = items.values();
  const worker = async (): Promise<void> => {
    for (const item of remaining) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(workers, items.length) }, worker));
}
