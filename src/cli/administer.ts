/**
 * The administrative operations: what the command line asks for, carried out on the directory and the accounts. They
 * run in the server when there is one, else in the command's own process; a request is data either way, and is checked
 * here.
 */
import { z } from 'zod';
import type { AccountRequest, Accounts } from '../directory/accounts.ts';
import { canonicalAddress } from '../directory/address.ts';
import type { Directory } from '../directory/directory.ts';
import type { Organization, User } from '../directory/types.ts';
import { ProtocolError, RefusedError, UnavailableError } from '../errors.ts';
import type { Readiness } from '../http/readiness.ts';
import { isMessageId, type MessageId, type OrganizationId } from '../ids.ts';
import type { LocksOf } from '../keys/keyring.ts';
import { IMPORT_USERS, USE_JOURNAL_FIELD_CHARS } from '../limits.ts';
import type { ItemSummary } from '../outbound/organization-queue.ts';
import type { Outbound } from '../outbound/outbound.ts';
import { yieldingTo } from '../yielding.ts';
import type { QueueDetail, QueueRecord } from './admin-records.ts';
import type { AdminRecord, AdminRequest } from './admin-socket.ts';
import { dkimRecord, dnsRecords, type PublishedServer, publishes } from './dns-records.ts';

/** In the key-use journal. Whoever may open the socket or the data directory is one and the same: its owner. */
const PRINCIPAL = 'administrator';

/** A lock as JSON shows it. */
export interface LockRecord {
  readonly of: 'mailbox' | 'organization';
  /** ISO 8601. */
  readonly since: string;
  readonly reason: string;
}

/** What JSON shows of a user. */
export interface UserRecord extends Omit<User, 'id'> {
  /** The organization's id. */
  readonly organization: OrganizationId;
  /** What keeps the mailbox locked: its own lock, its organization's, both or none. */
  readonly locks: readonly LockRecord[];
}

/** What operations reach besides the directory. */
export interface AdminSide {
  readonly outbound: Outbound;
  readonly published: PublishedServer;
  /** Absent where a command works alone: there is no server then that could fail. */
  readonly readiness?: () => Promise<Readiness>;
}

type Operation = (
  accounts: Accounts,
  args: unknown,
  side: AdminSide,
) => Promise<readonly AdminRecord[]> | readonly AdminRecord[];

/** Binds an operation to the schema of its arguments. */
const operation =
  <S extends z.ZodType>(
    schema: S,
    work: (
      accounts: Accounts,
      args: z.infer<S>,
      side: AdminSide,
    ) => Promise<readonly AdminRecord[]> | readonly AdminRecord[],
  ): Operation =>
  (accounts, args, side) => {
    const parsed = schema.safeParse(args);
    if (!parsed.success) throw new ProtocolError('The arguments of the request are not as expected.');
    return work(accounts, parsed.data, side);
  };

const text = z.string();
const reason = text.max(USE_JOURNAL_FIELD_CHARS);
const name = z.strictObject({ name: text });
const address = z.strictObject({ address: text });
const inOrganization = z.strictObject({ organization: text.nullable() });
const members = z.strictObject({ address: text, members: z.array(text).min(1) });
const account = z.strictObject({
  address: text,
  displayName: text,
  /** Absent: the server's default. */
  quotaOctets: z.int().positive().nullable().optional(),
  password: text.nullable(),
});

/** Ids of messages, or `all`. */
const queued = z.strictObject({ ids: z.array(text).min(1) });

const OPERATIONS = {
  'server status': operation(z.strictObject({}), async (_accounts, _args, { readiness }) => [
    { pid: process.pid, ...(await (readiness?.() ?? { status: 'ready' as const })) },
  ]),

  'audit checkpoint': operation(z.strictObject({}), async (accounts) => {
    const checkpoint = await accounts.checkpoint();
    return checkpoint === null ? [] : [{ checkpoint }];
  }),

  'org create': operation(z.strictObject({ name: text, keyId: text.nullable() }), async (accounts, args) => [
    await accounts.createOrganization(args.name, args.keyId, PRINCIPAL),
  ]),
  'org list': operation(z.strictObject({}), ({ directory }) => directory.organizations()),
  'org show': operation(name, (accounts, args) => {
    const { directory } = accounts;
    const organization = directory.organization(args.name);
    return [
      {
        ...organization,
        locks: lockRecords(accounts.locksOf(organization.id, null)),
        domains: directory.domains(organization.id).map((domain) => domain.name),
        users: directory.users({ organization: organization.id }).length,
        groups: directory.groups(organization.id).length,
      },
    ];
  }),
  'org remove': operation(name, async (accounts, args) => {
    await accounts.removeOrganization(args.name, PRINCIPAL);
    return [];
  }),

  'org lock': operation(z.strictObject({ name: text, reason }), async (accounts, args) => {
    await accounts.lockOrganization(args.name, PRINCIPAL, args.reason);
    return [];
  }),
  'org unlock': operation(name, async (accounts, args) => {
    await accounts.unlockOrganization(args.name, PRINCIPAL);
    return [];
  }),

  'mailbox lock': operation(z.strictObject({ address: text, reason }), async (accounts, args) => {
    await accounts.lockMailbox(args.address, PRINCIPAL, args.reason);
    return [];
  }),
  'mailbox unlock': operation(address, async (accounts, args) => {
    await accounts.unlockMailbox(args.address, PRINCIPAL);
    return [];
  }),

  'domain create': operation(
    z.strictObject({ name: text, organization: text.nullable() }),
    ({ directory }, args) => [directory.createDomain(chosen(directory, args.organization).id, args.name)],
  ),
  'domain list': operation(inOrganization, ({ directory }, args) =>
    directory.domains(idOf(directory, args.organization)),
  ),
  'domain show': operation(name, ({ directory }, args) => {
    const domain = directory.domains().find((known) => known.name === domainOf(`x@${args.name}`));
    if (domain === undefined) throw new RefusedError('nonexistent', 'There is no such domain');
    return [{ ...domain, users: directory.users({ domain: domain.name }).length }];
  }),
  'domain remove': operation(name, async (accounts, args) => {
    await accounts.removeDomain(args.name, PRINCIPAL);
    return [];
  }),
  'domain dns': operation(name, (accounts, args, { published }) =>
    dnsRecords(accounts.domain(args.name).name, published, accounts.dkimKeys(args.name)),
  ),

  'dkim create': operation(
    z.strictObject({ domain: text, algorithms: z.array(z.enum(['rsa', 'ed25519'])).min(1) }),
    async (accounts, args) => {
      const keys = await accounts.createDkimKeys(args.domain, args.algorithms, PRINCIPAL);
      return keys.map(dkimRecord);
    },
  ),
  'dkim activate': operation(
    z.strictObject({ domain: text, isForced: z.boolean() }),
    async (accounts, args, { outbound }) => {
      const waiting = accounts.dkimKeys(args.domain).filter(({ state }) => state === 'waiting');
      if (waiting.length === 0) throw new RefusedError('nonexistent', 'No DKIM key of the domain waits');
      for (const key of args.isForced ? [] : waiting) {
        const { name: record } = dkimRecord(key);
        const texts = await outbound.texts(record);
        if (texts === null) throw new UnavailableError('timeout', 'The DNS does not answer');
        if (!texts.some((found) => publishes(found, key)))
          throw new RefusedError('cannot', `The DNS does not have the record ${record} yet`);
      }
      await accounts.activateDkimKeys(args.domain);
      return [{ keys: waiting.length }];
    },
  ),
  'dkim list': operation(z.strictObject({ domain: text.nullable() }), (accounts, args) =>
    accounts.dkimKeys(args.domain).map(dkimRecord),
  ),
  'dkim remove': operation(z.strictObject({ domain: text, selector: text }), async (accounts, args) => {
    await accounts.removeDkimKey(args.domain, args.selector, PRINCIPAL);
    return [];
  }),

  'user create': operation(account, async (accounts, args) =>
    shown(accounts, await accounts.createUsers([args], PRINCIPAL)),
  ),
  'user import': operation(
    z.strictObject({ users: z.array(account.extend({ line: z.int() })).max(IMPORT_USERS) }),
    async (accounts, { users }) => {
      try {
        const requests = users.map(({ line, ...request }) => request);
        return shown(accounts, await accounts.createUsers(requests, PRINCIPAL));
      } catch (error) {
        throw error instanceof RefusedError ? atItsLine(accounts.directory, users, error) : error;
      }
    },
  ),
  'user list': operation(
    z.strictObject({ organization: text.nullable(), domain: text.nullable() }),
    (accounts, args) => {
      const { directory } = accounts;
      const organization = idOf(directory, args.organization);
      return shown(
        accounts,
        directory.users({
          ...(organization === undefined ? {} : { organization }),
          ...(args.domain === null ? {} : { domain: args.domain }),
        }),
      );
    },
  ),
  'user show': operation(address, (accounts, args) => {
    const { directory } = accounts;
    const user = directory.user(args.address);
    const addresses = directory.addressesOf(user.id);
    const groups = directory
      .groups(user.organization)
      .filter((group) => group.members.includes(user.address));
    return shown(accounts, [user]).map((record) => ({
      ...record,
      aliases: addresses.filter((known) => known !== user.address),
      groups: groups.map((group) => group.address),
    }));
  }),
  'user password': operation(z.strictObject({ address: text, password: text }), async (accounts, args) => {
    await accounts.setPassword(args.address, args.password);
    return [];
  }),
  'user remove': operation(address, async (accounts, args) => {
    await accounts.removeUser(args.address, PRINCIPAL);
    return [];
  }),

  'group create': operation(
    z.strictObject({ address: text, displayName: text, members: z.array(text) }),
    ({ directory }, args) => [directory.createGroup(args.address, args.members, args.displayName)],
  ),
  'group list': operation(inOrganization, ({ directory }, args) =>
    directory.groups(idOf(directory, args.organization)),
  ),
  'group show': operation(address, ({ directory }, args) => [directory.group(args.address)]),
  'group add': operation(members, ({ directory }, args) => {
    directory.addMembers(args.address, args.members);
    return [];
  }),
  'group remove-member': operation(members, ({ directory }, args) => {
    directory.removeMembers(args.address, args.members);
    return [];
  }),
  'group remove': operation(address, ({ directory }, args) => {
    directory.deleteGroup(args.address);
    return [];
  }),

  'alias create': operation(z.strictObject({ address: text, target: text }), ({ directory }, args) => [
    directory.createAlias(args.address, args.target),
  ]),
  'alias list': operation(inOrganization, ({ directory }, args) =>
    directory.aliases(idOf(directory, args.organization)),
  ),
  'alias show': operation(address, ({ directory }, args) => {
    const alias = directory
      .aliases()
      .find((known) => known.address === canonicalAddress(args.address)?.address);
    if (alias === undefined) throw new RefusedError('nonexistent', 'There is no such alias');
    return [alias];
  }),
  'alias remove': operation(address, ({ directory }, args) => {
    directory.deleteAlias(args.address);
    return [];
  }),

  'queue list': operation(inOrganization, async ({ directory }, args, { outbound }) => {
    const organization = idOf(directory, args.organization) ?? null;
    const records: QueueRecord[] = [];
    const slice = yieldingTo();
    for await (const { waitsFor, organization: owner, ...item } of outbound.items(organization)) {
      records.push({ organization: owner, ...queueFields(item), waitsFor });
      await slice.pause();
    }
    return records;
  }),
  'queue show': operation(z.strictObject({ id: text }), async (_, args, { outbound }) => {
    await listed(outbound);
    const { envelope, note, organization, ...item } = await outbound.detail(messageId(args.id), PRINCIPAL);
    const detail: QueueDetail = {
      organization,
      ...queueFields(item),
      sender: envelope.reversePath,
      attempts: note.attempts,
      recipients: envelope.recipients.map(({ address: recipient }, index) => {
        const { state, attempts, reply } = note.recipients[index]!;
        const { status = null, host = null } = reply ?? {};
        const said =
          reply === null ? null : [reply.code, reply.text].filter((part) => part !== null).join(' ');
        return { address: recipient, state, attempts, status, host, reply: said };
      }),
    };
    return [detail];
  }),
  // By their ids only is it said of messages that may have gone out already.
  'queue retry': operation(queued, (_, { ids }, { outbound }) =>
    each(
      outbound,
      ids,
      (id) => outbound.retry(id),
      ({ isRecovered }) => !isRecovered,
    ),
  ),
  'queue hold': operation(queued, (_, { ids }, { outbound }) =>
    each(outbound, ids, (id) => outbound.hold(id)),
  ),
  'queue drop': operation(queued, (_, { ids }, { outbound }) =>
    each(outbound, ids, (id) => outbound.drop(id)),
  ),
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

/**
 * Carries out one request. What it changes is durable when it returns.
 * @param status What the server says of itself; only a server is asked.
 * @throws ProtocolError when it is none; what the operation throws.
 */
export async function administer(
  accounts: Accounts,
  request: AdminRequest,
  side: AdminSide,
): Promise<readonly AdminRecord[]> {
  if (!Object.hasOwn(OPERATIONS, request.name)) {
    throw new ProtocolError('The server knows no such operation: it may be of another version.');
  }
  return await OPERATIONS[request.name as OperationName](accounts, request.args, side);
}

const messageId = (id: string): MessageId => {
  if (!isMessageId(id))
    throw new RefusedError('invalid', 'That is no id of a message: 32 hex digits are expected');
  return id;
};

const queueFields = ({ id, state, sizeOctets, arrivedAt, nextAt }: ItemSummary) => ({
  id,
  state,
  sizeOctets,
  arrivedAt: arrivedAt.toISOString(),
  // Before a queue was worked on, its index alone does not say.
  nextAt: state === 'due' && nextAt.getTime() > 0 ? nextAt.toISOString() : null,
});

/** All messages there are; opens queues that are not open yet. */
async function listed(outbound: Outbound): Promise<ItemSummary[]> {
  const items: ItemSummary[] = [];
  for await (const item of outbound.items(null)) items.push(item);
  return items;
}

/** With `all`, those that leave meanwhile, or are being sent, are passed over. */
async function each(
  outbound: Outbound,
  ids: readonly string[],
  work: (id: MessageId) => Promise<void>,
  isOfAll: (item: ItemSummary) => boolean = () => true,
): Promise<readonly AdminRecord[]> {
  const all = (await listed(outbound)).filter(isOfAll).map(({ id }) => id);
  let messages = 0;
  for (const id of ids.includes('all') ? all : ids.map(messageId)) {
    try {
      await work(id);
      messages++;
    } catch (error) {
      const isGone =
        error instanceof RefusedError && (error.code === 'nonexistent' || error.code === 'in-use');
      if (!isGone || !ids.includes('all')) throw error;
    }
  }
  return [{ messages }];
}

/** Row numbers stay within the directory. */
const shown = (accounts: Accounts, users: readonly User[]): UserRecord[] =>
  users.map(({ id, ...record }) => ({
    ...record,
    locks: lockRecords(accounts.locksOf(record.organization, record.mailbox)),
  }));

const lockRecords = (locks: LocksOf): LockRecord[] =>
  (['mailbox', 'organization'] as const).flatMap((of) => {
    const lock = locks[of];
    return lock === null ? [] : [{ of, since: new Date(lock.since).toISOString(), reason: lock.reason }];
  });

const idOf = (directory: Directory, idOrName: string | null): OrganizationId | undefined =>
  idOrName === null ? undefined : directory.organization(idOrName).id;

/** The organization that is named, or the only one there is. @throws RefusedError 'nonexistent', 'invalid'. */
function chosen(directory: Directory, idOrName: string | null): Organization {
  if (idOrName !== null) return directory.organization(idOrName);
  const [only, ...others] = directory.organizations();
  if (only === undefined)
    throw new RefusedError('nonexistent', 'There is no organization yet: create one first');
  if (others.length > 0)
    throw new RefusedError('invalid', 'There are several organizations: name one with --org');
  return only;
}

const domainOf = (text: string): string | undefined => canonicalAddress(text)?.domain;

/** Nothing of a refused import is there: says which line it was refused for, in the words of its refusal. */
function atItsLine(
  directory: Directory,
  users: readonly (AccountRequest & { readonly line: number })[],
  error: RefusedError,
): RefusedError {
  const domains = new Set(directory.domains().map((domain) => domain.name));
  const row = users.find(({ address: text }) => {
    const canonical = canonicalAddress(text);
    return (
      canonical === null ||
      canonical.localPart.includes('+') ||
      !domains.has(canonical.domain) ||
      isTaken(directory, canonical.address)
    );
  });
  return row === undefined
    ? error
    : new RefusedError(error.code, `Line ${row.line}: ${error.message}`, error);
}

function isTaken(directory: Directory, text: string): boolean {
  const state = directory.credential(text)?.user.state;
  if (state !== undefined) return state !== 'creating';
  try {
    return directory.group(text) !== null;
  } catch (error) {
    if (error instanceof RefusedError) return false;
    throw error;
  }
}
