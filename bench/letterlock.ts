/** Letterlock as the benchmark's target: its defaults, started as a user starts it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MailboxId } from '../src/ids.ts';
import { indexFile } from '../src/store/embedded/layout.ts';
import { type Letterlock, startLetterlock } from '../test/support/letterlock.ts';
import { makeScratch, removeScratch } from '../test/support/scratch.ts';
import { ImapConnection } from './imap-client.ts';
import { type Target, type TargetUser, USERS } from './target.ts';

/** How often a client looks at its mail, and so keeps its lease, while it is absorbed. */
const LOOK_MS = 500;
/** To merge the largest pages takes some seconds, at the pace of background work. */
const SETTLED_LOOKS = 20;
const ABSORB_DEADLINE_MS = 20 * 60_000;

export async function startOurs(): Promise<Target> {
  const scratch = await makeScratch('bench');
  const data = join(scratch, 'data');
  const start = (): Promise<Letterlock> =>
    startLetterlock({
      data,
      domain: 'bench.test',
      users: USERS,
      password: 'bench-password',
      config: { plaintextAuthNetworks: ['127.0.0.0/8'] }, // for the FETCH in clear
    });
  let server = await start();
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return {
    name: 'Letterlock',
    versions: `Letterlock ${version} on Node ${process.version}`,
    promises:
      "250 after the accept journal's fdatasync, when the message is in the mailbox already; bodies, headers and what is known of them are sealed",
    get smtpPort() {
      return server.ports.mx;
    },
    get imapsPort() {
      return server.ports.imaps;
    },
    get imapPort() {
      return server.ports.imap;
    },
    users: server.users.filter(({ address }) => /^u\d+@/.test(address)),
    async makeCold(user) {
      await absorbed(data, user, server.ports.imap);
      await server.stop();
      server = await start();
    },
    async stop() {
      await server.stop();
      await removeScratch(scratch);
    },
  };
}

/** Waits, as a client that looks at its mail now and then, until all of it is in pages and these are merged. */
async function absorbed(data: string, user: TargetUser, port: number): Promise<void> {
  const directory = new DatabaseSync(join(data, 'directory.db'), { readOnly: true });
  const row = directory
    .prepare('SELECT mailbox_id AS mailbox FROM user JOIN address USING (user_id) WHERE address = ?')
    .get(user.address);
  directory.close();
  const index = new DatabaseSync(indexFile(data, (row as { mailbox: MailboxId }).mailbox), {
    readOnly: true,
  });
  const left = index.prepare('SELECT count(*) AS messages FROM message_parts');
  const generation = index.prepare('SELECT generation FROM page_root');
  const imap = await ImapConnection.open(port, 'clear', user);
  try {
    const deadline = performance.now() + ABSORB_DEADLINE_MS;
    await imap.command('SELECT INBOX');
    let settled = 0;
    for (let last: unknown = null; settled < SETTLED_LOOKS; await sleep(LOOK_MS)) {
      await imap.command('FETCH 1 ENVELOPE');
      const now = (generation.get() as { generation?: number } | undefined)?.generation;
      const isSettled = (left.get() as { messages: number }).messages === 0 && now === last;
      settled = isSettled ? settled + 1 : 0;
      last = now;
      if (performance.now() > deadline) throw new Error('Letterlock does not absorb its mail.');
    }
  } finally {
    index.close();
    await imap.close();
  }
}
