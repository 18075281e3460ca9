/** `letterlock user`: who has a mailbox. */
import type { UserRecord } from './administer.ts';
import { type CommandTable, type OptionValues, UsageError } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';
import { shownLocks } from './mailbox.ts';
import { formatSize, parseSize } from './size.ts';
import { readNewPassword } from './terminal.ts';
import { readUserFile } from './user-file.ts';

interface ShownUser extends UserRecord {
  readonly aliases: readonly string[];
  readonly groups: readonly string[];
}

const quotaOf = ({ quotaOctets }: UserRecord): string =>
  quotaOctets === null ? 'none' : formatSize(quotaOctets);

export const userCommands: CommandTable = {
  'user create': changing<UserRecord>({
    summary: 'create a user with keys and a mailbox',
    operands: ['ADDRESS'],
    options: {
      name: { value: 'NAME', help: 'the display name' },
      quota: { value: 'SIZE', help: 'such as 500M or 5G; none for no limit' },
      'no-password': { help: 'the user cannot log in until a password is set' },
    },
    details: 'The password is asked for, twice; or read from standard input when that is no terminal.',
    examples: [
      "user create alice@example.com --name 'Alice Example'",
      'user create bob@example.com --quota 5G < password-file',
    ],
    operation: 'user create',
    async args({ operands: [address], options, terminal }) {
      const quota = quotaOption(options);
      const password = options.flag('no-password') ? null : await readNewPassword(terminal, address!);
      return { address, displayName: options.text('name') ?? '', ...quota, password };
    },
    say: (_, [created]) => `Created the user ${created!.address}, mailbox ${created!.mailbox}.`,
  }),
  'user import': changing<UserRecord>({
    summary: 'create many users from a CSV file: all of them, or none',
    operands: ['FILE'],
    details: [
      'The first line names the columns, in any order: address, password, display name, quota. All but address may',
      'be left out, or empty in a row: then the user cannot log in yet, has no name, has the default quota.',
      'FILE may be - for standard input.',
    ].join('\n'),
    examples: [
      'user import staff.csv',
      "printf 'address,password\\ncarol@example.com,secret\\n' | letterlock user import -",
    ],
    operation: 'user import',
    args: async ({ operands: [file], terminal }) => ({ users: await readUserFile(file!, terminal.stdin) }),
    say: (_, created) => (created.length === 1 ? 'Created 1 user.' : `Created ${created.length} users.`),
  }),
  'user list': listing<UserRecord>({
    summary: 'list the users',
    operands: [],
    options: { ...ORG_FILTER, domain: { value: 'DOMAIN', help: 'only those of this domain' } },
    examples: ['user list', 'user list --domain example.com --json'],
    operation: 'user list',
    args: ({ options }) => ({ organization: options.text('org'), domain: options.text('domain') }),
    columns: {
      address: ({ address }) => address,
      name: ({ displayName }) => displayName,
      quota: quotaOf,
      state: ({ state }) => state,
      locked: ({ locks }) => locks.map((lock) => lock.of).join(', '),
      mailbox: ({ mailbox }) => mailbox,
    },
  }),
  'user show': showing<ShownUser>({
    summary: 'show a user, by any address',
    operands: ['ADDRESS'],
    examples: ['user show alice@example.com'],
    operation: 'user show',
    args: ({ operands }) => ({ address: operands[0] }),
    columns: {
      address: ({ address }) => address,
      name: ({ displayName }) => displayName,
      organization: ({ organization }) => organization,
      mailbox: ({ mailbox }) => mailbox,
      quota: quotaOf,
      state: ({ state }) => state,
      locked: shownLocks,
      aliases: ({ aliases }) => aliases.join(', '),
      groups: ({ groups }) => groups.join(', '),
    },
  }),
  'user password': changing({
    summary: "set a user's password",
    operands: ['ADDRESS'],
    details: [
      'It is asked for, twice; or read from standard input when that is no terminal. No mail key hangs on it: a',
      'forgotten password loses no mail.',
    ].join('\n'),
    examples: ['user password alice@example.com', 'user password alice@example.com < password-file'],
    operation: 'user password',
    args: async ({ operands: [address], terminal }) => ({
      address,
      password: await readNewPassword(terminal, address!),
    }),
    say: ({ operands }) => `Set the password of ${operands[0]}.`,
  }),
  'user remove': changing({
    summary: 'remove a user with all mail and the keys that open it',
    operands: ['ADDRESS'],
    details: 'The mail cannot be had back.',
    examples: ['user remove alice@example.com'],
    operation: 'user remove',
    args: ({ operands }) => ({ address: operands[0] }),
    say: ({ operands }) => `Removed the user ${operands[0]}.`,
  }),
};

/** @throws UsageError. */
function quotaOption(options: OptionValues): { quotaOctets?: number | null } {
  const given = options.text('quota');
  if (given === null) return {};
  const quotaOctets = parseSize(given);
  if (quotaOctets === undefined) throw new UsageError('--quota needs a size such as 500M or 5G, or none.');
  return { quotaOctets };
}
