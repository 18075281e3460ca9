/** `letterlock group`: addresses that expand to members. */
import type { Group } from '../directory/types.ts';
import type { CommandTable } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';

const counted = (count: number): string => (count === 1 ? '1 member' : `${count} members`);

export const groupCommands: CommandTable = {
  'group create': changing<Group>({
    summary: 'create a group',
    operands: ['ADDRESS'],
    options: {
      name: { value: 'NAME', help: 'its display name' },
      member: {
        value: 'ADDRESS',
        isRepeatable: true,
        help: 'a user or group of the same organization, or an address elsewhere',
      },
    },
    examples: ['group create sales@example.com --member alice@example.com --member bob@example.com'],
    operation: 'group create',
    args: ({ operands, options }) => ({
      address: operands[0],
      displayName: options.text('name') ?? '',
      members: options.texts('member'),
    }),
    say: (_, [created]) => `Created the group ${created!.address} with ${counted(created!.members.length)}.`,
  }),
  'group list': listing<Group>({
    summary: 'list the groups',
    operands: [],
    options: ORG_FILTER,
    examples: ['group list', 'group list --org Example --json'],
    operation: 'group list',
    args: ({ options }) => ({ organization: options.text('org') }),
    columns: {
      address: ({ address }) => address,
      name: ({ displayName }) => displayName,
      members: ({ members }) => members.length,
    },
  }),
  'group show': showing<Group>({
    summary: 'show a group and its members',
    operands: ['ADDRESS'],
    examples: ['group show sales@example.com'],
    operation: 'group show',
    args: ({ operands }) => ({ address: operands[0] }),
    columns: {
      address: ({ address }) => address,
      name: ({ displayName }) => displayName,
      organization: ({ organization }) => organization,
      members: ({ members }) => members.join(', '),
    },
  }),
  'group add': changing({
    summary: 'add members to a group',
    operands: ['ADDRESS', 'MEMBER...'],
    details: 'Members that are there already stay.',
    examples: ['group add sales@example.com carol@example.com dave@example.com'],
    operation: 'group add',
    args: ({ operands: [address, ...members] }) => ({ address, members }),
    say: ({ operands: [address, ...members] }) => `The group ${address} now has ${members.join(', ')}.`,
  }),
  'group remove-member': changing({
    summary: 'remove members from a group',
    operands: ['ADDRESS', 'MEMBER...'],
    examples: ['group remove-member sales@example.com carol@example.com'],
    operation: 'group remove-member',
    args: ({ operands: [address, ...members] }) => ({ address, members }),
    say: ({ operands: [address, ...members] }) => `The group ${address} has lost ${members.join(', ')}.`,
  }),
  'group remove': changing({
    summary: 'remove a group; its members stay',
    operands: ['ADDRESS'],
    examples: ['group remove sales@example.com'],
    operation: 'group remove',
    args: ({ operands }) => ({ address: operands[0] }),
    say: ({ operands }) => `Removed the group ${operands[0]}.`,
  }),
};
