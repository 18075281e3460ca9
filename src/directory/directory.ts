/**
 * The directory: organizations, their domains, users, groups and aliases, and credentials. docs/format.md, "Data
 * directory". Nothing in it crosses organizations: the schema's foreign keys carry the organization along.
 *
 * Every change is durable when the method returns. Addresses may be given in any spelling; they come back canonical.
 */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { RefusedError } from '../errors.ts';
import { type MailboxId, newMailboxId, newOrganizationId, type OrganizationId } from '../ids.ts';
import { CACHED_RESOLUTIONS, GROUP_MEMBERS } from '../limits.ts';
import {
  type CanonicalAddress,
  canonicalAddress,
  canonicalDomain,
  requireAddress,
  withoutDetail,
} from './address.ts';
import { openDirectoryDatabase } from './schema.ts';
import type {
  Alias,
  Domain,
  Group,
  LocalMailbox,
  Organization,
  Resolution,
  User,
  UserState,
} from './types.ts';

export interface NewUser {
  readonly address: string;
  readonly displayName?: string | undefined;
  readonly quotaOctets?: number | null | undefined;
  /** argon2id in PHC form; null: cannot log in. */
  readonly passwordHash: string | null;
}

export interface Credential {
  readonly user: User;
  readonly passwordHash: string | null;
  /** Grows with every change of the password. */
  readonly version: number;
}

export interface UserFilter {
  readonly organization?: OrganizationId;
  readonly domain?: string;
  readonly state?: UserState;
}

/** Who an address belongs to. */
interface Owner {
  readonly organization: OrganizationId;
  readonly userId: number | null;
  readonly groupId: number | null;
}

const USER = `SELECT user.user_id AS id, user.organization_id AS organization, address, display_name AS displayName,
  mailbox_id AS mailbox, quota_octets AS quotaOctets, state
  FROM user JOIN address ON address.user_id = user.user_id AND is_primary = 1`;
const GROUP = `SELECT "group".group_id AS id, "group".organization_id AS organization, address, display_name AS displayName
  FROM "group" JOIN address ON address.group_id = "group".group_id AND is_primary = 1`;

export class Directory {
  readonly #database: DatabaseSync;
  readonly #resolutions = new Map<string, Resolution>();

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** @throws IntegrityError 'format'. */
  static open(file: string): Directory {
    return new Directory(openDirectoryDatabase(file));
  }

  close(): void {
    this.#database.close();
  }

  // --- Organizations and domains ---

  /** @throws RefusedError 'already-exists', 'invalid'. */
  createOrganization(name: string, keyId: string | null): Organization {
    if (name.trim() === '') throw new RefusedError('invalid', 'An organization needs a name');
    const organization = { id: newOrganizationId(), name, keyId };
    this.#insert('An organization of that name exists already', 'INSERT INTO organization VALUES (?, ?, ?)', [
      organization.id,
      name,
      keyId,
    ]);
    return organization;
  }

  organizations(): Organization[] {
    return this.#all('SELECT organization_id AS id, name, key_id AS keyId FROM organization ORDER BY rowid');
  }

  /** By id or name. @throws RefusedError 'nonexistent'. */
  organization(idOrName: string): Organization {
    const found = this.organizations().find(({ id, name }) => id === idOrName || name === idOrName);
    if (found === undefined) throw new RefusedError('nonexistent', 'There is no such organization');
    return found;
  }

  /** @throws RefusedError 'in-use' while it has domains or users. */
  removeOrganization(id: OrganizationId): void {
    this.#remove(
      'The organization still has domains or users',
      'DELETE FROM organization WHERE organization_id = ?',
      [id],
    );
  }

  /** @throws RefusedError 'already-exists' (in any organization), 'invalid'. */
  createDomain(organization: OrganizationId, name: string): Domain {
    const domain = canonicalDomain(name);
    if (domain === null) throw new RefusedError('invalid', 'That is not a domain name');
    this.#insert('The domain exists already', 'INSERT INTO domain VALUES (?, ?)', [domain, organization]);
    return { name: domain, organization };
  }

  domains(organization?: OrganizationId): Domain[] {
    const sql = 'SELECT name, organization_id AS organization FROM domain';
    return organization === undefined
      ? this.#all(`${sql} ORDER BY name`)
      : this.#all(`${sql} WHERE organization_id = ? ORDER BY name`, organization);
  }

  /** @throws RefusedError 'nonexistent', 'in-use' while it has addresses. */
  removeDomain(name: string): void {
    const domain = canonicalDomain(name) ?? name;
    this.#ownerOfDomain(domain);
    this.#remove('The domain still has addresses', 'DELETE FROM domain WHERE name = ?', [domain]);
  }

  // --- Users ---

  /** All or none; each in state 'creating'. @throws RefusedError 'already-exists', 'nonexistent' (domain), 'invalid'. */
  createUsers(users: readonly NewUser[]): User[] {
    return this.#transaction(() => users.map((user) => this.#createUser(user)));
  }

  users(filter: UserFilter = {}): User[] {
    const { organization = null, state = null } = filter;
    const domain = filter.domain === undefined ? null : canonicalDomain(filter.domain);
    return this.#all(
      `${USER} WHERE (?1 IS NULL OR user.organization_id = ?1) AND (?2 IS NULL OR domain = ?2)
        AND (?3 IS NULL OR state = ?3) ORDER BY user.user_id`,
      organization,
      domain,
      state,
    );
  }

  /** By any of the user's addresses. @throws RefusedError 'nonexistent'. */
  user(address: string): User {
    const owner = this.#ownerOf(requireAddress(address).address);
    const user = owner?.userId == null ? undefined : this.#userById(owner.userId);
    if (user === undefined) throw new RefusedError('nonexistent', 'There is no such user');
    return user;
  }

  userOfMailbox(mailbox: MailboxId): User | null {
    return this.#all<User>(`${USER} WHERE mailbox_id = ?`, mailbox)[0] ?? null;
  }

  setUserState(id: number, state: UserState): void {
    this.#change('UPDATE user SET state = ? WHERE user_id = ?', state, id);
  }

  /** Many at once, in one step. */
  setUserStates(ids: readonly number[], state: UserState): void {
    this.#transaction(() => {
      for (const id of ids) this.setUserState(id, state);
    });
  }

  setQuota(id: number, quotaOctets: number | null): void {
    this.#change('UPDATE user SET quota_octets = ? WHERE user_id = ?', quotaOctets, id);
  }

  setPasswordHash(id: number, passwordHash: string): void {
    this.#change(
      'UPDATE credential SET password_hash = ?, version = version + 1 WHERE user_id = ?',
      passwordHash,
      id,
    );
  }

  /** Takes the user's addresses and memberships along. */
  deleteUser(id: number): void {
    this.#change('DELETE FROM user WHERE user_id = ?', id);
  }

  /** Every address that the user may send as: primary first. */
  addressesOf(userId: number): readonly string[] {
    const sql = 'SELECT address FROM address WHERE user_id = ? ORDER BY is_primary DESC, address';
    return this.#all<{ address: string }>(sql, userId).map(({ address }) => address);
  }

  /** By any address of the user; null for what is no user's. */
  credential(address: string): Credential | null {
    const canonical = canonicalAddress(address);
    const owner = canonical === null ? null : this.#ownerOf(canonical.address);
    if (owner?.userId == null) return null;
    const user = this.#userById(owner.userId)!;
    const sql = 'SELECT password_hash AS passwordHash, version FROM credential WHERE user_id = ?';
    return { user, ...this.#all<Omit<Credential, 'user'>>(sql, user.id)[0]! };
  }

  // --- Groups ---

  /** @throws RefusedError 'already-exists', 'nonexistent' (domain or member), 'not-permitted' (a member outside). */
  createGroup(address: string, members: readonly string[], displayName = ''): Group {
    const canonical = requireAddress(address);
    this.#transaction(() => {
      const organization = this.#ownerOfDomain(canonical.domain);
      const sql = 'INSERT INTO "group" (organization_id, display_name) VALUES (?, ?)';
      const { lastInsertRowid } = this.#database.prepare(sql).run(organization, displayName);
      this.#insertAddress(canonical, { organization, userId: null, groupId: Number(lastInsertRowid) }, true);
      this.#addMembers(Number(lastInsertRowid), organization, members);
    });
    return this.group(canonical.address);
  }

  groups(organization?: OrganizationId): Group[] {
    const groups = this.#all<Omit<Group, 'members'>>(
      `${GROUP} WHERE (?1 IS NULL OR "group".organization_id = ?1) ORDER BY address`,
      organization ?? null,
    );
    return groups.map((group) => ({ ...group, members: this.#membersOf(group.id) }));
  }

  /** @throws RefusedError 'nonexistent'. */
  group(address: string): Group {
    const owner = this.#ownerOf(requireAddress(address).address);
    const group =
      owner?.groupId == null
        ? undefined
        : this.#all<Group>(`${GROUP} WHERE "group".group_id = ?`, owner.groupId)[0];
    if (group === undefined) throw new RefusedError('nonexistent', 'There is no such group');
    return { ...group, members: this.#membersOf(group.id) };
  }

  /** Members that are there already stay. @throws as createGroup does. */
  addMembers(group: string, members: readonly string[]): void {
    const { id, organization } = this.group(group);
    this.#transaction(() => this.#addMembers(id, organization, members));
  }

  /** @throws RefusedError 'nonexistent' for what is not a member. */
  removeMembers(group: string, members: readonly string[]): void {
    const { id } = this.group(group);
    this.#transaction(() => {
      for (const member of members) {
        const owner = this.#ownerOf(requireAddress(member).address);
        const sql = 'DELETE FROM member WHERE group_id = ? AND (user_id = ? OR child_group_id = ?)';
        const { changes } = this.#database
          .prepare(sql)
          .run(id, owner?.userId ?? null, owner?.groupId ?? null);
        if (changes === 0) throw new RefusedError('nonexistent', 'The group has no such member');
      }
    });
  }

  deleteGroup(address: string): void {
    this.#change('DELETE FROM "group" WHERE group_id = ?', this.group(address).id);
  }

  // --- Aliases ---

  /** @throws RefusedError 'already-exists', 'nonexistent' (target), 'not-permitted' (another organization's domain). */
  createAlias(address: string, target: string): Alias {
    const canonical = requireAddress(address);
    const owner = this.#ownerOf(requireAddress(target).address);
    if (owner === null) throw new RefusedError('nonexistent', 'There is no such user or group');
    this.#transaction(() => {
      if (this.#ownerOfDomain(canonical.domain) !== owner.organization) {
        throw new RefusedError('not-permitted', 'The domain belongs to another organization');
      }
      this.#insertAddress(canonical, owner, false);
    });
    return this.aliases(owner.organization).find((alias) => alias.address === canonical.address)!;
  }

  aliases(organization?: OrganizationId): Alias[] {
    return this.#all(
      `SELECT alias.address, alias.organization_id AS organization, target.address AS target FROM address AS alias
        JOIN address AS target ON target.is_primary = 1
          AND (target.user_id = alias.user_id OR target.group_id = alias.group_id)
        WHERE alias.is_primary = 0 AND (?1 IS NULL OR alias.organization_id = ?1) ORDER BY alias.address`,
      organization ?? null,
    );
  }

  /** @throws RefusedError 'nonexistent'. */
  deleteAlias(address: string): void {
    const { changes } = this.#change(
      'DELETE FROM address WHERE address = ? AND is_primary = 0',
      requireAddress(address).address,
    );
    if (changes === 0) throw new RefusedError('nonexistent', 'There is no such alias');
  }

  // --- Resolving ---

  /** Where mail to an address goes. `postmaster` needs no domain (RFC 5321 §4.5.1). Never throws; cached. */
  resolve(address: string): Resolution {
    const known = this.#resolutions.get(address);
    if (known !== undefined) return known;
    const resolution = this.#resolve(address);
    if (this.#resolutions.size >= CACHED_RESOLUTIONS) {
      this.#resolutions.delete(this.#resolutions.keys().next().value!);
    }
    this.#resolutions.set(address, resolution);
    return resolution;
  }

  #resolve(text: string): Resolution {
    if (text.toLowerCase() === 'postmaster') return this.#postmaster(null);
    const canonical = canonicalAddress(text);
    const domain = canonical?.domain ?? canonicalDomain(text.slice(text.lastIndexOf('@') + 1));
    const organization = domain === null ? null : this.#organizationOfDomain(domain);
    if (organization === null) return { kind: 'foreign' };
    if (canonical === null) return { kind: 'unknown' };
    const owner =
      this.#ownerOf(canonical.address) ??
      this.#ownerOf(`${withoutDetail(canonical.localPart)}@${canonical.domain}`);
    if (owner !== null) return this.#mailboxesOf(owner);
    return canonical.localPart === 'postmaster' ? this.#postmaster(organization) : { kind: 'unknown' };
  }

  /** RFC 5321 §4.5.1: every domain has a postmaster. Where no address of that name is, it is the first user. */
  #postmaster(organization: OrganizationId | null): Resolution {
    const filter = organization === null ? {} : { organization };
    const [first] = this.users({ ...filter, state: 'active' });
    return first === undefined ? { kind: 'unknown' } : { kind: 'local', mailboxes: [localMailbox(first)] };
  }

  #mailboxesOf(owner: Owner): Resolution {
    const mailboxes = new Map<MailboxId, LocalMailbox>();
    const seen = new Set<number>();
    const groups = owner.groupId === null ? [] : [owner.groupId];
    const addUser = (user: User | undefined): void => {
      if (user?.state === 'active') mailboxes.set(user.mailbox, localMailbox(user));
    };
    if (owner.userId !== null) addUser(this.#userById(owner.userId));
    for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
      // Groups may hold each other; each counts once.
      if (seen.has(group)) continue;
      seen.add(group);
      const sql = `${USER} JOIN member ON member.user_id = user.user_id WHERE member.group_id = ?`;
      for (const user of this.#all<User>(sql, group)) addUser(user);
      const children = this.#all<{ id: number }>(
        'SELECT child_group_id AS id FROM member WHERE group_id = ? AND child_group_id IS NOT NULL',
        group,
      );
      groups.push(...children.map(({ id }) => id));
    }
    return mailboxes.size === 0
      ? { kind: 'disabled' }
      : { kind: 'local', mailboxes: [...mailboxes.values()] };
  }

  // --- Inside ---

  #createUser({ address, displayName = '', quotaOctets = null, passwordHash }: NewUser): User {
    const canonical = requireAddress(address);
    if (canonical.localPart.includes('+')) {
      throw new RefusedError('invalid', 'A user name has no plus sign: what follows one is a sub-address');
    }
    const organization = this.#ownerOfDomain(canonical.domain);
    const sql = `INSERT INTO user (organization_id, display_name, mailbox_id, quota_octets, state)
      VALUES (?, ?, ?, ?, 'creating')`;
    const mailbox = newMailboxId();
    const { lastInsertRowid } = this.#database
      .prepare(sql)
      .run(organization, displayName, mailbox, quotaOctets);
    const id = Number(lastInsertRowid);
    this.#insertAddress(canonical, { organization, userId: id, groupId: null }, true);
    this.#database.prepare('INSERT INTO credential VALUES (?, ?, 1)').run(id, passwordHash);
    return {
      id,
      organization,
      address: canonical.address,
      displayName,
      mailbox,
      quotaOctets,
      state: 'creating',
    };
  }

  #addMembers(group: number, organization: OrganizationId, members: readonly string[]): void {
    const insert = this.#database.prepare('INSERT OR IGNORE INTO member VALUES (?, ?, ?, ?)');
    for (const member of members) {
      const canonical = requireAddress(member);
      const owner = this.#ownerOf(canonical.address);
      if (owner === null && this.#organizationOfDomain(canonical.domain) === organization) {
        throw new RefusedError('nonexistent', 'There is no such user or group to be a member');
      }
      if (owner?.organization !== organization) {
        throw new RefusedError('not-permitted', 'A member must belong to the same organization');
      }
      insert.run(group, organization, owner.userId, owner.groupId);
    }
    const { count } = this.#all<{ count: number }>(
      'SELECT count(*) AS count FROM member WHERE group_id = ?',
      group,
    )[0]!;
    if (count > GROUP_MEMBERS)
      throw new RefusedError('too-many', `A group has at most ${GROUP_MEMBERS} members`);
  }

  #membersOf(group: number): string[] {
    const sql = `SELECT address FROM member JOIN address ON is_primary = 1
      AND (address.user_id = member.user_id OR address.group_id = child_group_id)
      WHERE member.group_id = ? ORDER BY address`;
    return this.#all<{ address: string }>(sql, group).map(({ address }) => address);
  }

  #insertAddress({ address, domain }: CanonicalAddress, owner: Owner, isPrimary: boolean): void {
    this.#insert('The address exists already', 'INSERT INTO address VALUES (?, ?, ?, ?, ?, ?)', [
      address,
      domain,
      owner.organization,
      owner.userId,
      owner.groupId,
      isPrimary ? 1 : 0,
    ]);
  }

  #userById(id: number): User | undefined {
    return this.#all<User>(`${USER} WHERE user.user_id = ?`, id)[0];
  }

  #ownerOf(address: string): Owner | null {
    const sql = `SELECT organization_id AS organization, user_id AS userId, group_id AS groupId FROM address
      WHERE address = ?`;
    return this.#all<Owner>(sql, address)[0] ?? null;
  }

  #organizationOfDomain(domain: string): OrganizationId | null {
    const sql = 'SELECT organization_id AS organization FROM domain WHERE name = ?';
    return this.#all<{ organization: OrganizationId }>(sql, domain)[0]?.organization ?? null;
  }

  /** @throws RefusedError 'nonexistent'. */
  #ownerOfDomain(domain: string): OrganizationId {
    const organization = this.#organizationOfDomain(domain);
    if (organization === null) throw new RefusedError('nonexistent', 'There is no such domain');
    return organization;
  }

  #all<T>(sql: string, ...parameters: SQLInputValue[]): T[] {
    return this.#prepared(sql).all(...parameters) as T[];
  }

  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>();

  #prepared(sql: string): ReturnType<DatabaseSync['prepare']> {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #change(sql: string, ...parameters: SQLInputValue[]): { changes: number | bigint } {
    this.#resolutions.clear();
    return this.#prepared(sql).run(...parameters);
  }

  /** @throws RefusedError 'already-exists' with `sentence` when the row is there. */
  #insert(sentence: string, sql: string, parameters: readonly SQLInputValue[]): void {
    try {
      this.#change(sql, ...parameters);
    } catch (error) {
      throw isConstraint(error, 'UNIQUE') ? new RefusedError('already-exists', sentence, error) : error;
    }
  }

  /** @throws RefusedError 'in-use' with `sentence` when other rows need the row. */
  #remove(sentence: string, sql: string, parameters: readonly SQLInputValue[]): void {
    try {
      this.#change(sql, ...parameters);
    } catch (error) {
      throw isConstraint(error, 'FOREIGN KEY') ? new RefusedError('in-use', sentence, error) : error;
    }
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#resolutions.clear();
    }
  }
}

const localMailbox = ({ organization, mailbox, quotaOctets }: User): LocalMailbox => ({
  organization,
  mailbox,
  quotaOctets,
});

const isConstraint = (error: unknown, kind: string): boolean =>
  error instanceof Error && error.message.includes(`${kind} constraint failed`);
