/** `letterlock org`: organizations, the tenants. */
import type { Organization } from '../directory/types.ts';
import type { LockRecord } from './administer.ts';
import type { CommandTable } from './command.ts';
import { changing, listing, showing } from './directory-command.ts';
import { LOCK_REASON, shownLocks } from './mailbox.ts';

interface ShownOrganization extends Organization {
  readonly domains: readonly string[];
  readonly users: number;
  readonly groups: number;
  readonly locks: readonly LockRecord[];
}

export const orgCommands: CommandTable = {
  'org create': changing<Organization>({
    summary: 'create an organization and its directory key',
    operands: ['NAME'],
    options: {
      key: {
        value: 'ID',
        help: "the key that wraps its mailboxes' keys; the key service's default if left out",
      },
    },
    examples: ['org create Example', "org create 'Example GmbH' --config /etc/letterlock.yaml"],
    operation: 'org create',
    args: ({ operands, options }) => ({ name: operands[0], keyId: options.text('key') }),
    say: (_, [created]) => `Created the organization ${created!.name}, ${created!.id}.`,
  }),
  'org list': listing<Organization>({
    summary: 'list the organizations',
    operands: [],
    examples: ['org list', 'org list --json'],
    operation: 'org list',
    args: () => ({}),
    columns: { name: ({ name }) => name, id: ({ id }) => id, key: ({ keyId }) => keyId },
  }),
  'org show': showing<ShownOrganization>({
    summary: 'show an organization, its domains and its counts',
    operands: ['NAME'],
    details: 'NAME may be its id.',
    examples: ['org show Example'],
    operation: 'org show',
    args: ({ operands }) => ({ name: operands[0] }),
    columns: {
      name: ({ name }) => name,
      id: ({ id }) => id,
      key: ({ keyId }) => keyId,
      domains: ({ domains }) => domains.join(', '),
      users: ({ users }) => users,
      groups: ({ groups }) => groups,
      locked: shownLocks,
    },
  }),
  'org lock': changing({
    summary: 'lock all mailboxes of an organization, at once',
    operands: ['NAME'],
    options: LOCK_REASON,
    details: 'As mailbox lock does. Mailboxes that were locked by themselves stay so when it is taken away.',
    examples: ["org lock Example --reason 'contract ended'"],
    operation: 'org lock',
    args: ({ operands, options }) => ({ name: operands[0], reason: options.text('reason') ?? '' }),
    say: ({ operands }) => `Locked the organization ${operands[0]}.`,
  }),
  'org unlock': changing({
    summary: "take an organization's lock away",
    operands: ['NAME'],
    examples: ['org unlock Example'],
    operation: 'org unlock',
    args: ({ operands }) => ({ name: operands[0] }),
    say: ({ operands }) => `Unlocked the organization ${operands[0]}.`,
  }),
  'org remove': changing({
    summary: 'remove an organization that has no domains and users left',
    operands: ['NAME'],
    examples: ['org remove Example'],
    operation: 'org remove',
    args: ({ operands }) => ({ name: operands[0] }),
    say: ({ operands }) => `Removed the organization ${operands[0]}.`,
  }),
};
