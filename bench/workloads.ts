/** The workloads of the benchmark: each measures one target once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ImapConnection, type Transport } from './imap-client.ts';
import { makeMessage } from './messages.ts';
import { SmtpConnection } from './smtp-client.ts';
import { type Target, type TargetUser, USERS } from './target.ts';

const KIB = 1024;
const SENDER = 'sender@sender.test';
/** These hold the messages that are read; the last has a large folder, and all between are delivered to. */
const READERS = 4;
const LARGE_FOLDER = USERS - 1;
/** What the messages of the large folder have, in turn: text alone, and a text with an attachment. */
const LARGE_FOLDER_SIZES = [2 * KIB, 12 * KIB] as const;
/** So many are delivered at a time, that is before ARRIVAL_DEADLINE_MS. */
const LARGE_FOLDER_PORTION = 5_000;
/** What Thunderbird, Apple Mail and K-9 ask for between them when they see a folder for the first time. */
const SYNC_ITEMS =
  'UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Reply-To Date ' +
  'Subject Message-ID References In-Reply-To Priority X-Priority Newsgroups Content-Type List-Unsubscribe)]';
/** Fast enough to cost under 1 % of a measurement, slow enough not to load the server. */
const POLL_MS = 10;
/** A target whose mail is not there by then has lost it. */
const ARRIVAL_DEADLINE_MS = 120_000;
/** Short transfers repeat until this much time has passed, so that the clock's grain and jitter do not matter. */
const SHORTEST_FETCH_MS = 1000;

/** Sizes of one run. */
export interface Scale {
  readonly rounds: number;
  /** Messages of one delivery measurement. */
  readonly deliveries: number;
  /** Messages in each folder that is read. */
  readonly folderMessages: number;
  /** Messages in the one large folder. */
  readonly largeFolderMessages: number;
  /** Notifications of one measurement. */
  readonly notifications: number;
}

export interface Workload {
  readonly name: string;
  /** What it measures, in the order in which measure() gives them. */
  readonly measures: readonly Measure[];
  /** Once for each target, not measured. */
  prepare?(target: Target, scale: Scale): Promise<void>;
  measure(target: Target, scale: Scale): Promise<readonly number[]>;
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
}

export const WORKLOADS: readonly Workload[] = [
  deliver(2 * KIB, 10),
  deliver(2 * KIB, 50),
  deliver(20 * KIB, 10),
  deliver(20 * KIB, 50),
  bulkFetch(20 * KIB, 1, 'tls'),
  bulkFetch(20 * KIB, READERS, 'tls'),
  bulkFetch(20 * KIB, 1, 'clear'),
  bulkFetch(20 * KIB, READERS, 'clear'),
  notify(),
  clientSync(),
  search(),
];

function deliver(sizeOctets: number, connections: number): Workload {
  const load = `${sizeOctets / KIB} KB, ${connections} connections`;
  return {
    name: `SMTP ${load}`,
    measures: [
      { name: `SMTP acknowledged, ${load}`, unit: 'messages/s', better: 'more' },
      { name: `SMTP until in the mailbox, ${load}`, unit: 'messages/s', better: 'more' },
    ],
    async measure(target, { deliveries }) {
      const { acknowledgedMs, arrivedMs } = await deliverAll(target, {
        recipients: target.users.slice(READERS, LARGE_FOLDER),
        messages: Array.from({ length: deliveries }, (_, seed) => makeMessage(sizeOctets, seed)),
        connections,
      });
      return [deliveries / (acknowledgedMs / 1000), deliveries / (arrivedMs / 1000)];
    },
  };
}

function bulkFetch(sizeOctets: number, connections: number, transport: Transport): Workload {
  const how = transport === 'tls' ? 'TLS' : 'in clear';
  const load = `${sizeOctets / KIB} KB, ${connections} ${connections === 1 ? 'connection' : 'connections'}, ${how}`;
  const readers = (target: Target): readonly TargetUser[] => target.users.slice(0, connections);
  return {
    name: `FETCH ${load}`,
    measures: [
      { name: `bulk FETCH, ${load}`, unit: 'MB/s', better: 'more' },
      { name: `bulk FETCH, ${load}`, unit: 'messages/s', better: 'more' },
    ],
    async prepare(target, { folderMessages }) {
      const empty: TargetUser[] = [];
      for (const reader of readers(target)) {
        await withImap(target, reader, async (imap) => {
          if ((await imap.messagesIn('INBOX')) < folderMessages) empty.push(reader);
        });
      }
      if (empty.length === 0) return;
      await deliverAll(target, {
        recipients: empty,
        messages: Array.from({ length: folderMessages * empty.length }, (_, seed) =>
          makeMessage(sizeOctets, seed),
        ),
        connections: 10,
      });
    },
    async measure(target, { folderMessages }) {
      const sessions = await Promise.all(
        readers(target).map((reader) => openImap(target, reader, transport)),
      );
      await Promise.all(sessions.map((imap) => imap.command('SELECT INBOX')));
      const start = performance.now();
      let octets = 0;
      let messages = 0;
      do {
        const all = await Promise.all(sessions.map((imap) => imap.command('UID FETCH 1:* BODY.PEEK[]')));
        for (const literals of all) {
          if (literals.count !== folderMessages) {
            throw new Error(`FETCH gave ${literals.count} of ${folderMessages} messages.`);
          }
          octets += literals.octets;
          messages += literals.count;
        }
      } while (performance.now() - start < SHORTEST_FETCH_MS);
      const seconds = (performance.now() - start) / 1000;
      await Promise.all(sessions.map((imap) => imap.close()));
      return [octets / 1e6 / seconds, messages / seconds];
    },
  };
}

/** A client that sees a folder for the first time, and once more in the same session. */
function clientSync(): Workload {
  return {
    name: 'client sync',
    measures: [
      { name: 'client sync of a large folder, cold', unit: 'ms', better: 'less' },
      { name: 'the same once more', unit: 'ms', better: 'less' },
      { name: 'UID FLAGS of a large folder', unit: 'ms', better: 'less' },
    ],
    prepare: fillLargeFolder,
    async measure(target, { largeFolderMessages }) {
      const user = target.users[LARGE_FOLDER]!;
      await target.makeCold(user);
      return withImap(target, user, async (imap) => {
        await imap.command('SELECT INBOX');
        const times: number[] = [];
        for (const items of [SYNC_ITEMS, SYNC_ITEMS, 'UID FLAGS']) {
          let responses = 0;
          imap.onLine = (line) => {
            if (/^\* \d+ FETCH /.test(line)) responses++;
          };
          const start = performance.now();
          await imap.command(`FETCH 1:* (${items})`);
          times.push(performance.now() - start);
          if (responses !== largeFolderMessages) throw new Error(`FETCH gave ${responses} messages.`);
        }
        return times;
      });
    },
  };
}

/** Terms that one message has, none, or all; each search once before it counts. */
function search(): Workload {
  const searches = [
    ['SEARCH TEXT for what one message of a large folder has', 'TEXT "<4711."'],
    ['SEARCH BODY for what none has', 'BODY nowhere-to-be-found'],
    ['SEARCH SUBJECT for what one has', 'SUBJECT " 4711"'],
    ['SEARCH FROM for what all have', 'FROM "@sender.test"'],
  ] as const;
  return {
    name: 'search',
    measures: searches.map(([name]) => ({ name, unit: 'ms', better: 'less' })),
    async prepare(target, scale) {
      await fillLargeFolder(target, scale);
      await target.makeCold(target.users[LARGE_FOLDER]!);
    },
    measure: (target) =>
      withImap(target, target.users[LARGE_FOLDER]!, async (imap) => {
        await imap.command('SELECT INBOX');
        const times: number[] = [];
        for (const [, keys] of searches) {
          await imap.command(`SEARCH ${keys}`);
          const start = performance.now();
          await imap.command(`SEARCH ${keys}`);
          times.push(performance.now() - start);
        }
        return times;
      }),
  };
}

async function fillLargeFolder(target: Target, { largeFolderMessages }: Scale): Promise<void> {
  const user = target.users[LARGE_FOLDER]!;
  const there = await withImap(target, user, (imap) => imap.messagesIn('INBOX'));
  if (there > 0) return;
  for (let first = 0; first < largeFolderMessages; first += LARGE_FOLDER_PORTION) {
    const count = Math.min(LARGE_FOLDER_PORTION, largeFolderMessages - first);
    const messages = Array.from({ length: count }, (_, index) => {
      const size = LARGE_FOLDER_SIZES[(first + index) % LARGE_FOLDER_SIZES.length]!;
      return makeMessage(size, first + index);
    });
    await deliverAll(target, { recipients: [user], messages, connections: 10 });
  }
}

function notify(): Workload {
  return {
    name: 'notification',
    measures: [{ name: 'end of DATA to EXISTS in IDLE', unit: 'ms', better: 'less' }],
    async measure(target, { notifications }) {
      const recipient = target.users[READERS]!;
      const smtp = await SmtpConnection.open(target.smtpPort);
      const samples = await withImap(target, recipient, async (imap) => {
        await imap.command('SELECT INBOX');
        const latencies: number[] = [];
        for (let seed = 0; seed < notifications; seed++) {
          const endIdle = await imap.idle();
          const told = new Promise<number>((resolve) => {
            imap.onLine = (line) => {
              if (/^\* \d+ EXISTS$/.test(line)) resolve(performance.now());
            };
          });
          const { sentAt } = await smtp.send(SENDER, recipient.address, makeMessage(2 * KIB, seed));
          latencies.push((await told) - sentAt);
          await endIdle();
        }
        return latencies;
      });
      await smtp.close();
      return [median(samples)];
    },
  };
}

/**
 * Sends messages, spread over recipients and connections, and waits until all are in their mailboxes. Connecting is
 * not in the times.
 */
async function deliverAll(
  target: Target,
  load: {
    readonly recipients: readonly TargetUser[];
    readonly messages: readonly Buffer[];
    readonly connections: number;
  },
): Promise<{ acknowledgedMs: number; arrivedMs: number }> {
  const { recipients, messages, connections } = load;
  const watchers = await Promise.all(recipients.map((recipient) => openImap(target, recipient)));
  const before = await Promise.all(watchers.map((imap) => imap.messagesIn('INBOX')));
  const senders = await Promise.all(
    Array.from({ length: connections }, () => SmtpConnection.open(target.smtpPort)),
  );

  const start = performance.now();
  let next = 0;
  await Promise.all(
    senders.map(async (smtp) => {
      for (let index = next++; index < messages.length; index = next++) {
        await smtp.send(SENDER, recipients[index % recipients.length]!.address, messages[index]!);
      }
    }),
  );
  const acknowledgedMs = performance.now() - start;

  for (const [index, imap] of watchers.entries()) {
    const share = Math.ceil((messages.length - index) / recipients.length);
    while ((await imap.messagesIn('INBOX')) < before[index]! + share) {
      if (performance.now() - start > ARRIVAL_DEADLINE_MS) throw new Error(`${target.name} lost mail.`);
      await sleep(POLL_MS);
    }
  }
  const arrivedMs = performance.now() - start;
  await Promise.all([...senders, ...watchers].map((connection) => connection.close()));
  return { acknowledgedMs, arrivedMs };
}

const openImap = (target: Target, user: TargetUser, transport: Transport = 'tls'): Promise<ImapConnection> =>
  ImapConnection.open(transport === 'tls' ? target.imapsPort : target.imapPort, transport, user);

async function withImap<T>(
  target: Target,
  user: TargetUser,
  use: (imap: ImapConnection) => Promise<T>,
): Promise<T> {
  const imap = await openImap(target, user);
  const result = await use(imap);
  await imap.close();
  return result;
}

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
