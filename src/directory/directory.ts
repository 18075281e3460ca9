/**
 * The directory: organizations, their domains, users, groups and aliases, and credentials. docs/format.md, "Data
 * directory". Nothing in it crosses organizations: the schema's foreign keys carry the organization along.
 *
 * Every change is durable when the method returns. Addresses may be given in any spelling; they come back canonical.
 */
import { RefusedError } from '../errors.ts';
import { type MailboxId, newMailboxId, newOrganizationId, type OrganizationId } from '../ids.ts';
import { GROUP_MEMBERS } from '../limits.ts';
import {
  type CanonicalAddress,
  canonicalAddress,
  canonicalDomain,
  requireAddress,
  withoutDetail,
} from './address.ts';
import { GROUPS_WITHIN, Resolver } from './resolver.ts';
import { openDirectoryDatabase, openDirectoryToRead } from './schema.ts';
import { Tables } from './tables.ts';
import type { Alias, Domain, Group, Organization, Resolution, User, UserState } from './types.ts';

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
const ALIAS = `SELECT alias.address, alias.organization_id AS organization, target.address AS target
  FROM address AS alias JOIN address AS target ON target.is_primary = 1
    AND (target.user_id = alias.user_id OR target.group_id = alias.group_id) WHERE alias.is_primary = 0`;
const ADDRESS_EXISTS = 'The address exists already';
const ORGANIZATION = `SELECT organization_id AS id, name, key_id AS keyId FROM organization`;

/** The memberships of a group and of all groups within it, counted no further than `?2`. */
const COUNT_WITHIN = `${GROUPS_WITHIN} SELECT count(user_id) AS users, count(child_group_id) AS groups
  FROM (SELECT user_id, child_group_id FROM inside JOIN member ON group_id = id LIMIT ?2)`;
const COUNT_OUTSIDE = `${GROUPS_WITHIN} SELECT count(*) AS members
  FROM (SELECT 1 FROM inside JOIN outside_member ON group_id = id LIMIT ?2)`;
/** A group and every group that holds it, directly or not. */
const GROUPS_ABOVE = `WITH RECURSIVE above (id) AS (VALUES (?1)
  UNION SELECT group_id FROM above JOIN member ON child_group_id = id) SELECT id FROM above`;

export class Directory {
  readonly #tables: Tables;
  readonly #resolver: Resolver;

  private constructor(tables: Tables) {
    this.#tables = tables;
    this.#resolver = new Resolver(tables);
  }

  /** @throws IntegrityError 'format', UnavailableError. */
  static open(file: string): Directory {
    return new Directory(new Tables(openDirectoryDatabase(file)));
  }

  /** Beside the process that has it open: methods that change anything throw. @throws as openDirectoryToRead does. */
  static openToRead(file: string): Directory {
    return new Directory(new Tables(openDirectoryToRead(file)));
  }

  close(): void {
    this.#tables.close();
  }

  // --- Organizations and domains ---

  /** @throws RefusedError 'already-exists', 'invalid'. */
  createOrganization(name: string, keyId: string | null): Organization {
    if (name.trim() === '') throw new RefusedError('invalid', 'An organization needs a name');
    const organization = { id: newOrganizationId(), name, keyId };
    this.#tables.insert(
      'An organization of that name exists already',
      'INSERT INTO organization (organization_id, name, key_id) VALUES (?, ?, ?)',
      organization.id,
      name,
      keyId,
    );
    return organization;
  }

  organizations(): Organization[] {
    return this.#tables.all(`${ORGANIZATION} ORDER BY rowid`);
  }

  /** By id or name. @throws RefusedError 'nonexistent'. */
  organization(idOrName: string): Organization {
    const found = this.#tables.get<Organization>(
      `${ORGANIZATION} WHERE organization_id = ?1 OR name = ?1 ORDER BY organization_id = ?1 DESC`,
      idOrName,
    );
    if (found === undefined) throw new RefusedError('nonexistent', 'There is no such organization');
    return found;
  }

  /** @throws RefusedError 'in-use' while it has domains or users. */
  removeOrganization(id: OrganizationId): void {
    this.#tables.remove(
      'The organization still has domains or users',
      'DELETE FROM organization WHERE organization_id = ?',
      id,
    );
  }

  /** The raw public key that the organization's recipients are signed with; null until it has keys. */
  directoryKey(organization: OrganizationId): Uint8Array | null {
    const sql = 'SELECT directory_key AS key FROM organization WHERE organization_id = ?';
    return this.#tables.get<{ key: Uint8Array | null }>(sql, organization)?.key ?? null;
  }

  setDirectoryKey(organization: OrganizationId, key: Uint8Array | null): void {
    const sql = 'UPDATE organization SET directory_key = ? WHERE organization_id = ?';
    this.#tables.run(sql, key, organization);
  }

  /** Where the organization's outgoing mail waits; null until that mailbox was made. */
  queueMailbox(organization: OrganizationId): MailboxId | null {
    const queue = this.#queueOf(organization);
    return queue?.isReady === 1 ? queue.mailbox : null;
  }

  /** The same, ready or not; named now when it was not. @throws RefusedError 'nonexistent' (organization). */
  nameQueueMailbox(organization: OrganizationId): MailboxId {
    const known = this.#queueOf(this.organization(organization).id)?.mailbox;
    if (known != null) return known;
    const mailbox = newMailboxId();
    const sql = 'UPDATE organization SET queue_mailbox_id = ? WHERE organization_id = ?';
    this.#tables.run(sql, mailbox, organization);
    return mailbox;
  }

  /** Its keys and the mailbox are there. */
  setQueueReady(organization: OrganizationId): void {
    this.#tables.run('UPDATE organization SET queue_is_ready = 1 WHERE organization_id = ?', organization);
  }

  /** Whose outgoing mail the mailbox holds; null for any other mailbox. */
  organizationOfQueue(mailbox: MailboxId): OrganizationId | null {
    const sql = 'SELECT organization_id AS organization FROM organization WHERE queue_mailbox_id = ?';
    return this.#tables.get<{ organization: OrganizationId }>(sql, mailbox)?.organization ?? null;
  }

  /** The organization that has the domain; null for a domain elsewhere, and for what is none. */
  organizationOfDomain(name: string): OrganizationId | null {
    const domain = canonicalDomain(name);
    return domain === null ? null : this.#resolver.organizationOfDomain(domain);
  }

  /** @throws RefusedError 'already-exists' (in any organization), 'invalid'. */
  createDomain(organization: OrganizationId, name: string): Domain {
    const domain = canonicalDomain(name);
    if (domain === null) throw new RefusedError('invalid', 'That is not a domain name');
    this.#tables.insert(
      'The domain exists already',
      'INSERT INTO domain VALUES (?, ?)',
      domain,
      organization,
    );
    return { name: domain, organization };
  }

  domains(organization?: OrganizationId): Domain[] {
    const sql = 'SELECT name, organization_id AS organization FROM domain';
    return organization === undefined
      ? this.#tables.all(`${sql} ORDER BY name`)
      : this.#tables.all(`${sql} WHERE organization_id = ? ORDER BY name`, organization);
  }

  /** @throws RefusedError 'nonexistent', 'in-use' while it has addresses. */
  removeDomain(name: string): void {
    const domain = canonicalDomain(name) ?? name;
    this.#ownerOfDomain(domain);
    this.#tables.remove('The domain still has addresses', 'DELETE FROM domain WHERE name = ?', domain);
  }

  // --- Users ---

  /**
   * All or none; each in state 'creating'. One that is in that state already, because something went wrong before, is
   * taken up again: with its mailbox, and what is said of it now.
   * @throws RefusedError 'already-exists', 'nonexistent' (domain), 'invalid'.
   */
  createUsers(users: readonly NewUser[]): User[] {
    const seen = new Set<number>();
    return this.#changed(() =>
      users.map((request) => {
        const user = this.#createUser(request);
        if (seen.has(user.id)) throw new RefusedError('already-exists', ADDRESS_EXISTS);
        seen.add(user.id);
        return user;
      }),
    );
  }

  users(filter: UserFilter = {}): User[] {
    const { organization = null, state = null } = filter;
    const domain = filter.domain === undefined ? null : canonicalDomain(filter.domain);
    return this.#tables.all(
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
    return this.#tables.get<User>(`${USER} WHERE mailbox_id = ?`, mailbox) ?? null;
  }

  setUserState(id: number, state: UserState): void {
    this.setUserStates([id], state);
  }

  /** Many at once, in one step. */
  setUserStates(ids: readonly number[], state: UserState): void {
    this.#changed(() => {
      for (const id of ids) this.#tables.run('UPDATE user SET state = ? WHERE user_id = ?', state, id);
    });
  }

  setQuota(id: number, quotaOctets: number | null): void {
    this.#changed(() =>
      this.#tables.run('UPDATE user SET quota_octets = ? WHERE user_id = ?', quotaOctets, id),
    );
  }

  setPasswordHash(id: number, passwordHash: string | null): void {
    this.#tables.run(
      'UPDATE credential SET password_hash = ?, version = version + 1 WHERE user_id = ?',
      passwordHash,
      id,
    );
  }

  /** Takes the user's addresses and memberships along. */
  deleteUser(id: number): void {
    this.#changed(() => this.#tables.run('DELETE FROM user WHERE user_id = ?', id));
  }

  /** Every address that the user may send as: primary first. */
  addressesOf(userId: number): readonly string[] {
    const sql = 'SELECT address FROM address WHERE user_id = ? ORDER BY is_primary DESC, address';
    return this.#tables.all<{ address: string }>(sql, userId).map(({ address }) => address);
  }

  /** Whether the user may send as the address: one of its own, or a sub-address of one that is nobody else's. */
  maySendAs(userId: number, text: string): boolean {
    const address = canonicalAddress(text);
    if (address === null) return false;
    const owner =
      this.#ownerOf(address.address) ??
      this.#ownerOf(`${withoutDetail(address.localPart)}@${address.domain}`);
    return owner?.userId === userId;
  }

  /** By any address of the user; null for what is no user's. */
  credential(address: string): Credential | null {
    const canonical = canonicalAddress(address);
    const owner = canonical === null ? null : this.#ownerOf(canonical.address);
    if (owner?.userId == null) return null;
    const user = this.#userById(owner.userId)!;
    const sql = 'SELECT password_hash AS passwordHash, version FROM credential WHERE user_id = ?';
    return { user, ...this.#tables.get<Omit<Credential, 'user'>>(sql, user.id)! };
  }

  // --- Groups ---

  /** @throws RefusedError 'already-exists', 'nonexistent' (domain or member), 'not-permitted' (a member in another organization). */
  createGroup(address: string, members: readonly string[], displayName = ''): Group {
    const canonical = requireAddress(address);
    this.#changed(() => {
      const organization = this.#ownerOfDomain(canonical.domain);
      const sql = 'INSERT INTO "group" (organization_id, display_name) VALUES (?, ?)';
      const groupId = this.#tables.run(sql, organization, displayName).id;
      this.#insertAddress(canonical, { organization, userId: null, groupId }, true);
      this.#addMembers(groupId, organization, members);
    });
    return this.group(canonical.address);
  }

  groups(organization?: OrganizationId): Group[] {
    const groups = this.#tables.all<Omit<Group, 'members'>>(
      `${GROUP} WHERE (?1 IS NULL OR "group".organization_id = ?1) ORDER BY address`,
      organization ?? null,
    );
    return groups.map((group) => ({ ...group, members: this.#membersOf(group.id) }));
  }

  /** @throws RefusedError 'nonexistent'. */
  group(address: string): Group {
    const group = this.#groupAt(address);
    return { ...group, members: this.#membersOf(group.id) };
  }

  /** Members that are there already stay. @throws as createGroup does. */
  addMembers(group: string, members: readonly string[]): void {
    const { id, organization } = this.#groupAt(group);
    this.#changed(() => this.#addMembers(id, organization, members));
  }

  /** @throws RefusedError 'nonexistent' for what is not a member. */
  removeMembers(group: string, members: readonly string[]): void {
    const { id } = this.#groupAt(group);
    this.#changed(() => {
      for (const member of members) {
        const { address } = requireAddress(member);
        const owner = this.#ownerOf(address);
        const outside = 'DELETE FROM outside_member WHERE group_id = ? AND canonical = ?';
        if (this.#tables.run(outside, id, address).changes > 0) continue;
        const sql = 'DELETE FROM member WHERE group_id = ? AND (user_id = ? OR child_group_id = ?)';
        const { changes } = this.#tables.run(sql, id, owner?.userId ?? null, owner?.groupId ?? null);
        if (changes === 0) throw new RefusedError('nonexistent', 'The group has no such member');
      }
    });
  }

  deleteGroup(address: string): void {
    const { id } = this.#groupAt(address);
    this.#changed(() => this.#tables.run('DELETE FROM "group" WHERE group_id = ?', id));
  }

  // --- Aliases ---

  /**
   * An alias may have a plus sign: it is found before the user whose sub-address it would be.
   * @throws RefusedError 'already-exists', 'nonexistent' (target), 'not-permitted' (another organization's domain).
   */
  createAlias(address: string, target: string): Alias {
    const canonical = requireAddress(address);
    const owner = this.#ownerOf(requireAddress(target).address);
    if (owner === null) throw new RefusedError('nonexistent', 'There is no such user or group');
    if (this.#ownerOfDomain(canonical.domain) !== owner.organization) {
      throw new RefusedError('not-permitted', 'The domain belongs to another organization');
    }
    this.#insertAddress(canonical, owner, false);
    return this.#tables.get<Alias>(`${ALIAS} AND alias.address = ?`, canonical.address)!;
  }

  aliases(organization?: OrganizationId): Alias[] {
    return this.#tables.all(
      `${ALIAS} AND (?1 IS NULL OR alias.organization_id = ?1) ORDER BY alias.address`,
      organization ?? null,
    );
  }

  /** @throws RefusedError 'nonexistent'. */
  deleteAlias(address: string): void {
    const sql = 'DELETE FROM address WHERE address = ? AND is_primary = 0';
    const { changes } = this.#tables.run(sql, requireAddress(address).address);
    if (changes === 0) throw new RefusedError('nonexistent', 'There is no such alias');
  }

  // --- Resolving ---

  /**
   * Where mail to an address goes: aliases followed, groups expanded, sub-addresses cut. `postmaster` needs no domain
   * (RFC 5321 §4.5.1). Never refuses; cheap enough for whoever asks.
   */
  resolve(address: string): Resolution {
    return this.#resolver.resolve(address);
  }

  // --- Inside ---

  #queueOf(organization: OrganizationId): { mailbox: MailboxId | null; isReady: number } | undefined {
    const sql = `SELECT queue_mailbox_id AS mailbox, queue_is_ready AS isReady FROM organization
      WHERE organization_id = ?`;
    return this.#tables.get(sql, organization);
  }

  #createUser({ address, displayName = '', quotaOctets = null, passwordHash }: NewUser): User {
    const canonical = requireAddress(address);
    if (canonical.localPart.includes('+')) {
      throw new RefusedError('invalid', 'A user name has no plus sign: what follows one is a sub-address');
    }
    const organization = this.#ownerOfDomain(canonical.domain);
    const known = this.#creatingAt(canonical.address);
    if (known !== undefined) {
      const sql = 'UPDATE user SET display_name = ?, quota_octets = ? WHERE user_id = ?';
      this.#tables.run(sql, displayName, quotaOctets, known.id);
      this.setPasswordHash(known.id, passwordHash);
      return { ...known, displayName, quotaOctets };
    }
    const mailbox = newMailboxId();
    const sql = `INSERT INTO user (organization_id, display_name, mailbox_id, quota_octets, state)
      VALUES (?, ?, ?, ?, 'creating')`;
    const { id } = this.#tables.run(sql, organization, displayName, mailbox, quotaOctets);
    this.#insertAddress(canonical, { organization, userId: id, groupId: null }, true);
    this.#tables.run('INSERT INTO credential VALUES (?, ?, 1)', id, passwordHash);
    const { address: primary } = canonical;
    return { id, organization, address: primary, displayName, mailbox, quotaOctets, state: 'creating' };
  }

  #creatingAt(primary: string): User | undefined {
    return this.#tables.get(`${USER} WHERE address = ? AND state = 'creating'`, primary);
  }

  #addMembers(group: number, organization: OrganizationId, members: readonly string[]): void {
    for (const member of members) {
      const canonical = requireAddress(member);
      const owner = this.#ownerOf(canonical.address);
      const domainOf = this.#resolver.organizationOfDomain(canonical.domain);
      if (owner === null && domainOf === organization) {
        throw new RefusedError('nonexistent', 'There is no such user or group to be a member');
      }
      if (domainOf === null) {
        // Its local part may mean something by its case there (RFC 5321 §2.4).
        const spelled = `${member.slice(0, member.lastIndexOf('@'))}@${canonical.domain}`;
        const sql = 'INSERT OR IGNORE INTO outside_member VALUES (?, ?, ?, ?)';
        this.#tables.run(sql, group, organization, canonical.address, spelled);
        continue;
      }
      if (owner?.organization !== organization) {
        throw new RefusedError('not-permitted', 'A member must belong to the same organization');
      }
      const sql = 'INSERT OR IGNORE INTO member VALUES (?, ?, ?, ?)';
      this.#tables.run(sql, group, organization, owner.userId, owner.groupId);
    }
    for (const { id } of this.#tables.all<{ id: number }>(GROUPS_ABOVE, group)) {
      const limit = 2 * GROUP_MEMBERS + 1;
      const within = this.#tables.get<{ users: number; groups: number }>(COUNT_WITHIN, id, limit)!;
      const { members: outside } = this.#tables.get<{ members: number }>(COUNT_OUTSIDE, id, limit)!;
      if (within.users > GROUP_MEMBERS || within.groups > GROUP_MEMBERS || outside > GROUP_MEMBERS) {
        throw new RefusedError('too-many', `A group and those in it have at most ${GROUP_MEMBERS} members`);
      }
    }
  }

  /** @throws RefusedError 'nonexistent'. */
  #groupAt(address: string): Omit<Group, 'members'> {
    const owner = this.#ownerOf(requireAddress(address).address);
    const group =
      owner?.groupId == null
        ? undefined
        : this.#tables.get<Omit<Group, 'members'>>(`${GROUP} WHERE "group".group_id = ?`, owner.groupId);
    if (group === undefined) throw new RefusedError('nonexistent', 'There is no such group');
    return group;
  }

  #membersOf(group: number): string[] {
    const sql = `SELECT address FROM member JOIN address ON is_primary = 1
      AND (address.user_id = member.user_id OR address.group_id = child_group_id)
      WHERE member.group_id = ? ORDER BY address`;
    const outside = 'SELECT address FROM outside_member WHERE group_id = ? ORDER BY canonical';
    return [
      ...this.#tables.all<{ address: string }>(sql, group),
      ...this.#tables.all<{ address: string }>(outside, group),
    ].map(({ address }) => address);
  }

  #insertAddress({ address, domain }: CanonicalAddress, owner: Owner, isPrimary: boolean): void {
    this.#tables.insert(
      ADDRESS_EXISTS,
      'INSERT INTO address VALUES (?, ?, ?, ?, ?, ?)',
      address,
      domain,
      owner.organization,
      owner.userId,
      owner.groupId,
      isPrimary ? 1 : 0,
    );
  }

  #userById(id: number): User | undefined {
    return this.#tables.get(`${USER} WHERE user.user_id = ?`, id);
  }

  #ownerOf(address: string): Owner | null {
    const sql = `SELECT organization_id AS organization, user_id AS userId, group_id AS groupId FROM address
      WHERE address = ?`;
    return this.#tables.get<Owner>(sql, address) ?? null;
  }

  /** @throws RefusedError 'nonexistent'. */
  #ownerOfDomain(domain: string): OrganizationId {
    const organization = this.#resolver.organizationOfDomain(domain);
    if (organization === null) throw new RefusedError('nonexistent', 'There is no such domain');
    return organization;
  }

  /** A change of what addresses resolve to, or many, in one transaction. */
  #changed<T>(work: () => T): T {
    try {
      return this.#tables.transaction(work);
    } finally {
      this.#resolver.forget();
    }
  }
}
