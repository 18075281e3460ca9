import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { appendCommand, RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type Acknowledgement, bodiesBehindTheirRecord, brokenPromises } from './acknowledged.ts';
import { mailboxIds } from './mailbox-ids.ts';
import { type Syscall, traceSyscalls } from './syscalls.ts';

/** Connections that work at the same time, so that their records share syncs. Each has a mailbox of its own. */
const USERS = 6;
const ROUNDS = 4;
/** Above 1 MiB a body is a file in spool/ (docs/format.md, "Accept journal"). */
const LARGE_OCTETS = 1_500_000;

/** Random, so that it does not shrink. */
const message = (token: string, octets = 2000): string =>
  `X-Token: ${token}\r\n\r\n${randomBytes(octets)
    .toString('base64')
    .replace(/.{1,76}/g, '$&\r\n')}`;

describe('a reply that acknowledges', function () {
  this.timeout(60_000);
  const acknowledgements: Acknowledgement[] = [];
  let calls: Syscall[];
  let scratch: string;

  before(async () => {
    scratch = await makeScratch('strace');
    const server = await startLetterlock({
      users: USERS,
      config: { plaintextAuthNetworks: ['127.0.0.0/8'] },
    });
    const mailboxes = await mailboxIds(server);
    const workers = server.users.slice(0, USERS);
    const imaps = await Promise.all(
      workers.map((user, index) => RawImap.login(server.ports.imap, user, `${'abcdef'[index]!}`)),
    );
    const trace = await traceSyscalls(server.pid, join(scratch, 'trace'));
    await Promise.all(
      workers.map(async (user, index) => {
        const mailbox = mailboxes.get(user.address)!;
        await deliver(server, user, mailbox);
        await readAndWrite(imaps[index]!, mailbox);
      }),
    );
    await deliverToAll(server, [...mailboxes.values()]);
    await server.stop();
    calls = await trace();
  });
  after(() => removeScratch(scratch));

  async function deliver(server: Letterlock, { address }: LetterlockUser, mailbox: string): Promise<void> {
    for (const [listener, greeting] of [
      ['mx', 'EHLO strace.test'],
      ['lmtp', 'LHLO strace.test'],
    ] as const) {
      const client = await RawSmtp.connect(server.ports[listener], greeting);
      for (const octets of [...Array.from({ length: ROUNDS }, () => 2000), LARGE_OCTETS]) {
        const token = `token-${listener}-${mailbox}-${acknowledgements.length}-`;
        await client.send('sender@elsewhere.test', [address], message(token, octets));
        acknowledged(`${listener} DATA of ${octets} octets`, token, '250 2.0.0 Accepted', [mailbox]);
      }
      client.destroy();
    }
  }

  async function deliverToAll(server: Letterlock, mailboxes: readonly string[]): Promise<void> {
    const client = await RawSmtp.connect(server.ports.mx);
    for (const octets of [2000, LARGE_OCTETS]) {
      const token = `token-group-${octets}-`;
      await client.send('sender@elsewhere.test', [server.group], message(token, octets));
      acknowledged(`DATA of ${octets} octets to a group`, token, '250 2.0.0 Accepted', mailboxes);
    }
    client.destroy();
  }

  async function readAndWrite(imap: RawImap, mailbox: string): Promise<void> {
    const run = async (command: string): Promise<void> => {
      await imap.ok(command);
      acknowledged(command.slice(0, 30), `${imap.tag} ${command.slice(0, 6)}`, `${imap.tag} OK`, [mailbox]);
    };
    await run('CREATE target');
    await run('CREATE parent/child');
    await imap.ok('SELECT INBOX');
    for (let round = 1; round <= ROUNDS; round++) {
      await run(appendCommand('INBOX', '\\Draft', message('append')));
      await run(`STORE ${round} +FLAGS (\\Flagged)`);
      await run(`STORE ${round} FLAGS (\\Seen keyword${round})`);
      await run(`STORE 1:* -FLAGS.SILENT (\\Seen)`);
      await run(`COPY ${round} target`);
      await run(`UID COPY ${round}:* target`);
    }
    await run(appendCommand('INBOX', '', message('large append', LARGE_OCTETS)));
    await run('MOVE 1 target');
    await run('MOVE 1:2 target');
    await run('STORE 1:3 +FLAGS (\\Deleted)');
    await run('UID EXPUNGE 4:5');
    await run('EXPUNGE');
    await run('SUBSCRIBE target');
    await run('UNSUBSCRIBE target');
    await run('RENAME target renamed');
    await run('RENAME parent grandparent');
    await run('DELETE renamed');
    await run('STORE 1 +FLAGS (\\Deleted)');
    await run('CLOSE');
    imap.destroy();
  }

  function acknowledged(name: string, request: string, reply: string, mailboxes: readonly string[]): void {
    acknowledgements.push({ name, request, reply, mailboxes });
  }

  it('is written after the sync of the journal record that it stands for', () => {
    assert.ok(acknowledgements.length > 250, `${acknowledgements.length} replies`);
    assert.deepEqual(brokenPromises(calls, acknowledgements), []);
  });

  it('is written after large bodies and their directory are synced, and those before the record', () => {
    const { bodies, broken } = bodiesBehindTheirRecord(calls);
    assert.deepEqual(broken, []);
    assert.ok(bodies > 3 * USERS, `${bodies} bodies`);
  });
});
