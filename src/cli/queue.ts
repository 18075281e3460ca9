/** `letterlock queue`: mail that waits for other servers. */
import type { QueueDetail, QueueRecord } from './admin-records.ts';
import type { CommandTable } from './command.ts';
import { ORG_FILTER } from './common-options.ts';
import { changing, listing, showing } from './directory-command.ts';

const IDS = 'ID... may be `all`: every message in every queue.';
const counted = (records: readonly { readonly messages: number }[]): string => {
  const { messages } = records[0]!;
  return messages === 1 ? '1 message' : `${messages} messages`;
};

export const queueCommands: CommandTable = {
  'queue list': listing<QueueRecord>({
    summary: 'list what waits for other servers',
    operands: [],
    options: ORG_FILTER,
    details:
      'Shows nothing that is sealed, and so needs no key; `queue show` has senders, recipients and replies.',
    examples: ['queue list', 'queue list --org Example --json'],
    operation: 'queue list',
    args: ({ options }) => ({ organization: options.text('org') }),
    columns: {
      id: ({ id }) => id,
      octets: ({ sizeOctets }) => sizeOctets,
      arrived: ({ arrivedAt }) => arrivedAt,
      state: ({ state }) => state,
      next: ({ nextAt }) => nextAt,
      'waits for': ({ waitsFor }) => waitsFor,
    },
  }),
  'queue show': showing<QueueDetail>({
    summary: 'show who sent a message, to whom, and what servers said',
    operands: ['ID'],
    details: 'Opens the message with the keys of its queue, which the key-use journal records.',
    examples: ['queue show 0123456789abcdef0123456789abcdef'],
    operation: 'queue show',
    args: ({ operands }) => ({ id: operands[0] }),
    columns: {
      id: ({ id }) => id,
      organization: ({ organization }) => organization,
      state: ({ state }) => state,
      octets: ({ sizeOctets }) => sizeOctets,
      arrived: ({ arrivedAt }) => arrivedAt,
      next: ({ nextAt }) => nextAt,
      attempts: ({ attempts }) => attempts,
      sender: ({ sender }) => `<${sender}>`,
      recipients: ({ recipients }) =>
        recipients
          .map(({ address, state, status, host, reply }) => {
            const said = [status, host, reply].filter((part) => part !== null).join(' ');
            return `<${address}> ${state}${said === '' ? '' : ` (${said})`}`;
          })
          .join('; '),
    },
  }),
  'queue retry': changing<{ messages: number }>({
    summary: 'try messages now, also those that are held',
    operands: ['ID...'],
    details: `${IDS} But those that a rebuilt index has are retried by their ids only: they may have gone out already.`,
    examples: ['queue retry 0123456789abcdef0123456789abcdef', 'queue retry all'],
    operation: 'queue retry',
    args: ({ operands }) => ({ ids: operands }),
    say: (_, records) => `Due now: ${counted(records)}.`,
  }),
  'queue hold': changing<{ messages: number }>({
    summary: 'keep messages from being sent until they are retried',
    operands: ['ID...'],
    details: IDS,
    examples: ['queue hold 0123456789abcdef0123456789abcdef'],
    operation: 'queue hold',
    args: ({ operands }) => ({ ids: operands }),
    say: (_, records) => `Held: ${counted(records)}.`,
  }),
  'queue drop': changing<{ messages: number }>({
    summary: 'remove messages without sending them',
    operands: ['ID...'],
    details: `${IDS} Nobody is told. The messages cannot be had back.`,
    examples: ['queue drop 0123456789abcdef0123456789abcdef'],
    operation: 'queue drop',
    args: ({ operands }) => ({ ids: operands }),
    say: (_, records) => `Removed: ${counted(records)}.`,
  }),
};
