/** Who is in a demo: alice, bob, as many more as wished, and a group of them all. */
import type { Accounts } from '../directory/accounts.ts';
import { hashPassword } from '../directory/password.ts';
import type { DemoState } from './demo-state.ts';

const ORGANIZATION = 'Demo';
const PRINCIPAL = 'demo';
const FIRST_USERS = ['alice', 'bob'] as const;
const GROUP = 'everyone';

export interface DemoAddresses {
  readonly users: readonly [alice: string, bob: string, ...others: string[]];
  readonly group: string;
}

export function demoAddresses(domain: string, users: number): DemoAddresses {
  const at = (name: string): string => `${name}@${domain}`;
  const [alice, bob] = FIRST_USERS;
  const others = Array.from({ length: users }, (_, index) => at(`u${String(index + 1).padStart(4, '0')}`));
  return { users: [at(alice), at(bob), ...others], group: at(GROUP) };
}

/**
 * Makes what is missing: everything on the first start, or after one that was broken off; later only the users beyond
 * those made before, so that what an administrator removed stays removed.
 * @param state As it was before this start; `password` is the one for new users.
 */
export async function makeDemoAccounts(accounts: Accounts, state: DemoState, users: number): Promise<void> {
  const { directory } = accounts;
  const { domain, password } = state;
  const addresses = demoAddresses(domain, users);
  const isFirst = state.users === null;
  if (isFirst) await makeDomain(accounts, domain);

  const known = new Set(directory.users({ domain }).map(({ address }) => address));
  const wanted = isFirst ? addresses.users : addresses.users.slice(FIRST_USERS.length + state.users);
  const missing = wanted.filter((address) => !known.has(address));
  if (missing.length > 0) {
    const hash = await hashPassword(password);
    await accounts.createUsers(
      missing.map((address) => ({ address, displayName: displayName(address), password: { hash } })),
      PRINCIPAL,
    );
  }
  const hasGroup = directory.groups().some(({ address }) => address === addresses.group);
  if (hasGroup) directory.addMembers(addresses.group, wanted);
  else if (isFirst) directory.createGroup(addresses.group, wanted, 'Everyone');
}

/** For all users of the demo that are still there. */
export async function changeDemoPassword(
  accounts: Accounts,
  state: DemoState,
  password: string,
): Promise<void> {
  const known = new Set(accounts.directory.users({ domain: state.domain }).map(({ address }) => address));
  for (const address of demoAddresses(state.domain, state.users ?? 0).users) {
    if (known.has(address)) await accounts.setPassword(address, password);
  }
}

async function makeDomain(accounts: Accounts, domain: string): Promise<void> {
  const { directory } = accounts;
  const organization =
    directory.organizations().find(({ name }) => name === ORGANIZATION) ??
    (await accounts.createOrganization(ORGANIZATION, null, PRINCIPAL));
  const isKnown = directory.domains(organization.id).some(({ name }) => name === domain);
  if (!isKnown) directory.createDomain(organization.id, domain);
}

const displayName = (address: string): string =>
  `${address[0]!.toUpperCase()}${address.slice(1, address.indexOf('@'))}`;
