/**
 * Where mail to an address goes: the one look-up that strangers cause. It is exact address first, then the address
 * without its sub-address (RFC 5233), so that an alias with a plus sign is found; then postmaster.
 *
 * An address costs a few statements that each find one row, and nothing is kept of it: spellings, sub-addresses and
 * guesses fill no memory and push nothing out. Expanded groups are kept, by group.
 */
import type { MailboxId, OrganizationId } from '../ids.ts';
import { CACHED_GROUP_MAILBOXES } from '../limits.ts';
import { type CanonicalAddress, canonicalAddress, canonicalDomain, withoutDetail } from './address.ts';
import type { Tables } from './tables.ts';
import type { LocalMailbox, Resolution, UserState } from './types.ts';

/** What an address belongs to, and of a user what delivery needs. */
const HOLDER = `SELECT address.organization_id AS organization, group_id AS groupId, mailbox_id AS mailbox,
  quota_octets AS quotaOctets, state FROM address LEFT JOIN user USING (user_id) WHERE address = ?`;

/** The group `?1` and all groups within it, each once: they may hold each other. */
export const GROUPS_WITHIN = `WITH RECURSIVE inside (id) AS (VALUES (?1)
  UNION SELECT child_group_id FROM inside JOIN member ON group_id = id WHERE child_group_id IS NOT NULL)`;
const USERS_WITHIN = `FROM user WHERE user_id IN (SELECT user_id FROM inside JOIN member ON group_id = id)`;
const MAILBOXES_WITHIN = `${GROUPS_WITHIN} SELECT mailbox_id, quota_octets ${USERS_WITHIN} AND state = 'active'`;
const OUTSIDE_WITHIN = `${GROUPS_WITHIN} SELECT DISTINCT address FROM inside JOIN outside_member ON group_id = id
  GROUP BY canonical ORDER BY canonical`;
const IS_PENDING = `${GROUPS_WITHIN} SELECT 1 ${USERS_WITHIN} AND state = 'creating' LIMIT 1`;

/** The first user of an organization, and the first domain whose organization has one. */
const FIRST_USER = `SELECT organization_id AS organization, NULL AS groupId, mailbox_id AS mailbox,
  quota_octets AS quotaOctets, state FROM user WHERE organization_id = ? AND state = 'active' ORDER BY user_id LIMIT 1`;
const FIRST_DOMAIN = `SELECT name FROM domain WHERE EXISTS
  (SELECT 1 FROM user WHERE user.organization_id = domain.organization_id AND state = 'active')
  ORDER BY domain.rowid LIMIT 1`;

interface UserHolder extends LocalMailbox {
  readonly groupId: null;
  readonly state: UserState;
}
type Holder = UserHolder | { readonly organization: OrganizationId; readonly groupId: number };

export class Resolver {
  readonly #tables: Tables;
  /** By group, in order of use, the least recent first. */
  readonly #groups = new Map<number, Resolution>();
  #groupMailboxes = 0;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** `postmaster` needs no domain (RFC 5321 §4.5.1): it is that of the first domain. */
  resolve(text: string): Resolution {
    if (text.toLowerCase() === 'postmaster') {
      const first = this.#tables.get<{ name: string }>(FIRST_DOMAIN);
      return first === undefined ? { kind: 'unknown' } : this.resolve(`postmaster@${first.name}`);
    }
    const canonical = canonicalAddress(text);
    const known = canonical === null ? undefined : this.#holderOf(canonical);
    if (known !== undefined) return this.#resolution(known);
    const domain = canonical?.domain ?? canonicalDomain(text.slice(text.lastIndexOf('@') + 1));
    const organization = domain === null ? null : this.organizationOfDomain(domain);
    if (organization === null) return { kind: 'foreign' };
    if (canonical === null || withoutDetail(canonical.localPart) !== 'postmaster') return { kind: 'unknown' };
    // RFC 5321 §4.5.1: every domain has a postmaster. Where no address of that name is, it is the first user.
    const first = this.#tables.get<UserHolder>(FIRST_USER, organization);
    return first === undefined ? { kind: 'unknown' } : userResolution(first);
  }

  organizationOfDomain(domain: string): OrganizationId | null {
    const sql = 'SELECT organization_id AS organization FROM domain WHERE name = ?';
    return this.#tables.get<{ organization: OrganizationId }>(sql, domain)?.organization ?? null;
  }

  /** To be called when users, groups or members change. */
  forget(): void {
    this.#groups.clear();
    this.#groupMailboxes = 0;
  }

  #holderOf({ address, localPart, domain }: CanonicalAddress): Holder | undefined {
    const exact = this.#tables.get<Holder>(HOLDER, address);
    const base = withoutDetail(localPart);
    if (exact !== undefined || base === localPart) return exact;
    return this.#tables.get<Holder>(HOLDER, `${base}@${domain}`);
  }

  #resolution(holder: Holder): Resolution {
    return holder.groupId === null
      ? userResolution(holder)
      : this.#group(holder.groupId, holder.organization);
  }

  #group(id: number, organization: OrganizationId): Resolution {
    const known = this.#groups.get(id);
    const resolution = known ?? this.#expanded(id, organization);
    // Deleted and set again: the oldest entry of the map is the least recently used one.
    if (known !== undefined) this.#groups.delete(id);
    else this.#groupMailboxes += weight(resolution);
    this.#groups.set(id, resolution);
    while (this.#groupMailboxes > CACHED_GROUP_MAILBOXES) {
      const [[oldest, dropped]] = this.#groups as unknown as [[number, Resolution]];
      this.#groups.delete(oldest);
      this.#groupMailboxes -= weight(dropped);
    }
    return resolution;
  }

  /** Members that cannot take mail are passed over. All are of the group's organization: the schema sees to it. */
  #expanded(id: number, organization: OrganizationId): Resolution {
    const rows = this.#tables.arrays<[MailboxId, number | null]>(MAILBOXES_WITHIN, id);
    const addresses = this.#tables.arrays<[string]>(OUTSIDE_WITHIN, id).map(([address]) => address);
    if (rows.length > 0 || addresses.length > 0) {
      const mailboxes = rows.map(([mailbox, quotaOctets]) => ({ organization, mailbox, quotaOctets }));
      const outside = addresses.length === 0 ? {} : { outside: { organization, addresses } };
      return { kind: 'local', mailboxes, ...outside };
    }
    return { kind: this.#tables.get(IS_PENDING, id) === undefined ? 'disabled' : 'pending' };
  }
}

function userResolution({ organization, mailbox, quotaOctets, state }: UserHolder): Resolution {
  switch (state) {
    case 'active':
      return { kind: 'local', mailboxes: [{ organization, mailbox, quotaOctets }] };
    case 'creating':
      return { kind: 'pending' };
    case 'disabled':
    case 'removing':
      return { kind: 'disabled' };
    default:
      return state satisfies never;
  }
}

/** In mailboxes; an empty group costs memory too. */
const weight = (resolution: Resolution): number =>
  resolution.kind === 'local' ? resolution.mailboxes.length + (resolution.outside?.addresses.length ?? 0) : 1;
