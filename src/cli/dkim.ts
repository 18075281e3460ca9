/** `letterlock dkim`: the keys that sign outgoing mail. */
import type { DkimRecord } from './admin-records.ts';
import type { CommandTable } from './command.ts';
import { UsageError } from './command.ts';
import { changing, listing } from './directory-command.ts';

const published = (records: readonly DkimRecord[]): string =>
  records.map(({ name, value }) => `${name}. TXT "${value}"`).join('\n');

export const dkimCommands: CommandTable = {
  'dkim create': changing<DkimRecord>({
    summary: 'make new DKIM keys of a domain, to be published and then activated',
    operands: ['DOMAIN'],
    options: {
      algorithm: {
        value: 'rsa|ed25519',
        isRepeatable: true,
        help: 'both if left out: many servers verify only rsa',
      },
    },
    details: 'A domain that has keys goes on signing with them until `dkim activate`: so it is rotated.',
    examples: ['dkim create example.com'],
    operation: 'dkim create',
    args: ({ operands, options }) => ({
      domain: operands[0],
      algorithms: algorithmsOf(options.texts('algorithm')),
    }),
    say: (_, records) => `Publish, and then run dkim activate:\n${published(records)}`,
  }),
  'dkim activate': changing<{ keys: number }>({
    summary: 'sign with the new keys of a domain, once the DNS has them',
    operands: ['DOMAIN'],
    options: { force: { help: 'do not look in the DNS' } },
    details: 'Keys that signed so far are retired; keep their records for a week, then `dkim remove` them.',
    examples: ['dkim activate example.com'],
    operation: 'dkim activate',
    args: ({ operands, options }) => ({ domain: operands[0], isForced: options.flag('force') }),
    say: ({ operands }, [result]) => `Mail of ${operands[0]} is signed with ${result!.keys} new keys.`,
  }),
  'dkim list': listing<DkimRecord>({
    summary: 'list DKIM keys',
    operands: ['[DOMAIN]'],
    examples: ['dkim list', 'dkim list example.com --json'],
    operation: 'dkim list',
    args: ({ operands }) => ({ domain: operands[0] ?? null }),
    columns: {
      domain: ({ domain }) => domain,
      selector: ({ selector }) => selector,
      algorithm: ({ algorithm }) => algorithm,
      state: ({ state }) => state,
      created: ({ createdAt }) => createdAt,
    },
  }),
  'dkim remove': changing({
    summary: 'remove a DKIM key',
    operands: ['DOMAIN', 'SELECTOR'],
    examples: ['dkim remove example.com 20270102-rsa'],
    operation: 'dkim remove',
    args: ({ operands }) => ({ domain: operands[0], selector: operands[1] }),
    say: ({ operands }) => `Removed the DKIM key ${operands[1]} of ${operands[0]}.`,
  }),
};

function algorithmsOf(given: readonly string[]): readonly string[] {
  if (given.some((one) => one !== 'rsa' && one !== 'ed25519'))
    throw new UsageError('--algorithm is rsa or ed25519.');
  return given.length === 0 ? ['rsa', 'ed25519'] : [...new Set(given)];
}
