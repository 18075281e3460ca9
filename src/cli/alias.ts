/** `letterlock alias`: further addresses of a user or group. */
import type { Alias } from '../directory/types.ts';
import type { CommandTable } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';

export const aliasCommands: CommandTable = {
  'alias create': changing<Alias>({
    summary: 'create another address of a user or group',
    operands: ['ADDRESS', 'TARGET'],
    examples: ['alias create info@example.com sales@example.com'],
    operation: 'alias create',
    args: ({ operands: [address, target] }) => ({ address, target }),
    say: (_, [created]) => `Created the alias ${created!.address} of ${created!.target}.`,
  }),
  'alias list': listing<Alias>({
    summary: 'list the aliases',
    operands: [],
    options: ORG_FILTER,
    examples: ['alias list', 'alias list --org Example --json'],
    operation: 'alias list',
    args: ({ options }) => ({ organization: options.text('org') }),
    columns: { address: ({ address }) => address, target: ({ target }) => target },
  }),
  'alias show': showing<Alias>({
    summary: 'show whose address an alias is',
    operands: ['ADDRESS'],
    examples: ['alias show info@example.com'],
    operation: 'alias show',
    args: ({ operands }) => ({ address: operands[0] }),
    columns: {
      address: ({ address }) => address,
      target: ({ target }) => target,
      organization: ({ organization }) => organization,
    },
  }),
  'alias remove': changing({
    summary: 'remove an alias; its target stays',
    operands: ['ADDRESS'],
    examples: ['alias remove info@example.com'],
    operation: 'alias remove',
    args: ({ operands }) => ({ address: operands[0] }),
    say: ({ operands }) => `Removed the alias ${operands[0]}.`,
  }),
};
