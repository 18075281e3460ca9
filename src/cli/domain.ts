/** `letterlock domain`: the domains that we take mail for. */
import type { Domain } from '../directory/types.ts';
import type { CommandTable } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';
import type { DnsRecord } from './dns-records.ts';

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
  'domain dns': listing<DnsRecord>({
    summary: 'list the records that the DNS should have of a domain',
    operands: ['DOMAIN'],
    details: 'SPF says that mail comes from here alone: through a smarthost, add what its operator says.',
    examples: ['domain dns example.com', 'domain dns example.com --json'],
    operation: 'domain dns',
    args: ({ operands }) => ({ name: operands[0] }),
    columns: { name: ({ name }) => `${name}.`, type: ({ type }) => type, value: ({ value }) => value },
  }),
  'domain remove': changing({
    summary: 'remove a domain that has no addresses left, and its DKIM keys',
    operands: ['DOMAIN'],
    examples: ['domain remove example.com'],
    operation: 'domain remove',
    args: ({ operands }) => ({ name: operands[0] }),
    say: ({ operands }) => `Removed the domain ${operands[0]}.`,
  }),
};
