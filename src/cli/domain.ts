/** `letterlock domain`: the domains that we take mail for. */
import type { Domain } from '../directory/types.ts';
import type { CommandTable } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';

export const domainCommands: CommandTable = {
  'domain create': changing<Domain>({
    summary: 'create a domain of an organization',
    operands: ['DOMAIN'],
    options: { org: { value: 'NAME', help: 'its organization; may be left out while there is only one' } },
    examples: ['domain create example.com', 'domain create example.org --org Example'],
    operation: 'domain create',
    args: ({ operands, options }) => ({ name: operands[0], organization: options.text('org') }),
    say: (_, [created]) => `Created the domain ${created!.name}.`,
  }),
  'domain list': listing<Domain>({
    summary: 'list the domains',
    operands: [],
    options: ORG_FILTER,
    examples: ['domain list', 'domain list --org Example --json'],
    operation: 'domain list',
    args: ({ options }) => ({ organization: options.text('org') }),
    columns: { name: ({ name }) => name, organization: ({ organization }) => organization },
  }),
  'domain show': showing<Domain & { readonly users: number }>({
    summary: 'show a domain',
    operands: ['DOMAIN'],
    examples: ['domain show example.com'],
    operation: 'domain show',
    args: ({ operands }) => ({ name: operands[0] }),
    columns: {
      name: ({ name }) => name,
      organization: ({ organization }) => organization,
      users: ({ users }) => users,
    },
  }),
  'domain remove': changing({
    summary: 'remove a domain that has no addresses left',
    operands: ['DOMAIN'],
    examples: ['domain remove example.com'],
    operation: 'domain remove',
    args: ({ operands }) => ({ name: operands[0] }),
    say: ({ operands }) => `Removed the domain ${operands[0]}.`,
  }),
};
