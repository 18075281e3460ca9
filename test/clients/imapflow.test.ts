import assert from 'node:assert/strict';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import type { ImapFlow } from 'imapflow';
import { after, before, describe, it } from 'mocha';
import { createTransport } from 'nodemailer';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { countIn, openMailbox } from '../support/mailbox.ts';

const MESSAGE = [
  'From: Carol <carol@elsewhere.test>',
  'To: alice@demo.test',
  'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=',
  'Date: Mon, 23 Nov 2026 10:00:00 +0000',
  'Message-ID: <flow@elsewhere.test>',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'Sch=C3=B6ne Gr=C3=BC=C3=9Fe',
  '--b',
  'Content-Type: application/octet-stream; name=four.bin',
  'Content-Disposition: attachment; filename=four.bin',
  'Content-Transfer-Encoding: base64',
  '',
  'AAECAw==',
  '--b--',
  '',
].join('\r\n');

describe('imapflow', () => {
  let server: Letterlock;
  let client: ImapFlow;
  before(async () => {
    server = await startLetterlock();
    client = await openMailbox(server, server.users[0]!);
  });
  after(async () => {
    await client?.logout();
    await server?.stop();
  });

  const inFolder = async <T>(folder: string, use: () => Promise<T>): Promise<T> => {
    const lock = await client.getMailboxLock(folder);
    try {
      return await use();
    } finally {
      lock.release();
    }
  };

  it('compresses its connection without being told to', async () => {
    const lines: string[] = [];
    const log = ({ src, msg }: { src?: string; msg?: string }): void => void lines.push(`${src}: ${msg}`);
    const logger = { debug: log, info: log, warn: log, error: log };
    const other = await openMailbox(server, server.users[0]!, { logger });
    await other.logout();
    assert.ok(lines.some((line) => /^c: \S+ COMPRESS DEFLATE$/.test(line)));
    assert.ok(lines.some((line) => /^s: \S+ OK .*Compression begins/.test(line)));
  });

  it('finds every standard folder with its use, subscribed', async () => {
    const folders = await client.list();
    const uses = new Map(folders.map(({ path, specialUse }) => [path, specialUse]));
    for (const [path, use] of Object.entries({
      INBOX: '\\Inbox',
      Drafts: '\\Drafts',
      Sent: '\\Sent',
      Junk: '\\Junk',
      Trash: '\\Trash',
      Archive: '\\Archive',
    })) {
      assert.equal(uses.get(path), use);
    }
    assert.ok(folders.every(({ subscribed }) => subscribed));
  });

  it('appends with flags and a date, and is told the UID', async () => {
    const when = new Date('2026-11-20T08:09:10Z');
    const appended = await client.append('Archive', MESSAGE, ['\\Seen', '$Label'], when);
    assert.ok(appended);
    assert.equal(appended.uid, 1);
    const found = await inFolder('Archive', () => client.fetchOne('1', { flags: true, internalDate: true }));
    assert.ok(found);
    assert.ok(found.flags!.has('\\Seen') && found.flags!.has('$Label'));
    assert.equal(new Date(found.internalDate!).getTime(), when.getTime());
  });

  it('reads envelope and structure', async () => {
    const found = await inFolder('Archive', () =>
      client.fetchOne('1', { envelope: true, bodyStructure: true, size: true }),
    );
    assert.ok(found);
    assert.equal(found.envelope!.subject, 'Gr\u00fc\u00dfe');
    assert.equal(found.envelope!.from![0]!.address, 'carol@elsewhere.test');
    assert.equal(found.size, MESSAGE.length);
    assert.deepEqual(
      found.bodyStructure!.childNodes!.map(({ part, type }) => [part, type]),
      [
        ['1', 'text/plain'],
        ['2', 'application/octet-stream'],
      ],
    );
  });

  it('downloads an attachment decoded', async () => {
    const octets = await inFolder('Archive', async () => {
      const { content } = await client.download('1', '2');
      assert.ok(content);
      return buffer(content);
    });
    assert.deepEqual([...octets], [0, 1, 2, 3]);
  });

  it('finds a message by its decoded subject and text', async () => {
    await inFolder('Archive', async () => {
      assert.deepEqual(await client.search({ subject: 'gr\u00fc\u00dfe' }), [1]);
      assert.deepEqual(await client.search({ body: 'sch\u00f6ne' }), [1]);
      assert.deepEqual(await client.search({ body: 'absent' }), []);
    });
  });

  it('copies a message and is told its new UID', async () => {
    const copied = await inFolder('Archive', () => client.messageCopy('1', 'Drafts'));
    assert.ok(copied);
    assert.deepEqual([...copied.uidMap!], [[1, 1]]);
  });

  it('moves a message; it leaves one folder and appears, unchanged, in the other', async () => {
    await inFolder('Drafts', async () => {
      assert.ok(await client.messageMove('1', 'Trash'));
      assert.equal(await countIn(client, 'Drafts'), 0);
    });
    const found = await inFolder('Trash', () => client.fetchOne('1', { source: true, flags: true }));
    assert.ok(found);
    assert.equal(found.source!.toString(), MESSAGE);
    assert.ok(found.flags!.has('$Label'));
  });

  it('creates, renames and deletes a folder with a name in any script', async () => {
    await client.mailboxCreate('R\u00e9sum\u00e9s/\u65e5\u672c');
    await client.mailboxRename('R\u00e9sum\u00e9s/\u65e5\u672c', 'R\u00e9sum\u00e9s/\u6771\u4eac');
    const paths = (await client.list()).map(({ path }) => path);
    assert.ok(
      paths.includes('R\u00e9sum\u00e9s/\u6771\u4eac') && !paths.includes('R\u00e9sum\u00e9s/\u65e5\u672c'),
    );
    await client.mailboxDelete('R\u00e9sum\u00e9s/\u6771\u4eac');
    assert.ok(!(await client.list()).some(({ path }) => path === 'R\u00e9sum\u00e9s/\u6771\u4eac'));
  });

  it('learns of a delivery while it idles, and of nothing twice', async () => {
    await inFolder('INBOX', async () => {
      const told = once(client, 'exists', { signal: AbortSignal.timeout(10_000) });
      const idling = client.idle();
      const transport = createTransport({
        port: server.ports.mx,
        host: server.host,
        tls: { rejectUnauthorized: false },
      });
      await transport.sendMail({ from: 'carol@elsewhere.test', to: 'alice@demo.test', text: 'now' });
      const [{ count, prevCount }] = await told;
      assert.deepEqual([prevCount, count], [0, 1]);
      await client.noop();
      await idling;
    });
  });

  it('sees a flag that another session changed', async () => {
    const other = await openMailbox(server, server.users[0]!);
    await inFolder('INBOX', async () => {
      const told = once(client, 'flags', { signal: AbortSignal.timeout(10_000) });
      const lock = await other.getMailboxLock('INBOX');
      await other.messageFlagsAdd('1', ['\\Flagged']);
      lock.release();
      await client.noop();
      const [{ seq, flags }] = await told;
      assert.equal(seq, 1);
      assert.ok(flags.has('\\Flagged'));
    });
    await other.logout();
  });

  it('is told what vanished and what changed while it was away, and nothing else', async () => {
    const user = server.users[0]!;
    const folder = 'Away';
    await client.mailboxCreate(folder);
    for (let i = 0; i < 5; i += 1) await client.append(folder, MESSAGE);

    const before = await openMailbox(server, user, { qresync: true });
    assert.ok(before.enabled.has('QRESYNC'));
    const { highestModseq, uidValidity, mailboxId } = await before.mailboxOpen(folder);
    assert.match(mailboxId!, /^F\d+-\d+$/);
    const told: unknown[] = [];
    before.on('expunge', ({ uid, vanished, earlier }) => told.push({ uid, vanished, earlier }));
    assert.ok(await before.messageDelete('3', { uid: true }));
    assert.deepEqual(told, [{ uid: 3, vanished: true, earlier: false }]);
    await before.logout();

    await inFolder(folder, async () => {
      await client.messageMove('1,5', 'Trash', { uid: true });
      await client.messageFlagsAdd('4', ['\\Flagged'], { uid: true });
    });
    const back = await openMailbox(server, user, { qresync: true });
    const vanished: number[] = [];
    const flagged: unknown[] = [];
    back.on('expunge', ({ uid, earlier }) => {
      assert.equal(earlier, true);
      vanished.push(uid!);
    });
    back.on('flags', ({ uid, flags }) => flagged.push([uid, flags.has('\\Flagged')]));
    const again = await back.mailboxOpen(folder, { changedSince: highestModseq!, uidValidity });
    assert.deepEqual(vanished, [1, 3, 5]);
    assert.deepEqual(flagged, [[4, true]]);
    assert.equal(again.exists, 2);
    assert.ok(again.highestModseq! > highestModseq!);
    await back.logout();
  });

  it('is told the quota, and by APPEND that a message goes beyond it', async () => {
    const user = { address: `dora@${server.domain}`, password: 'quota' };
    await server.administer(['user', 'create', user.address, '--quota', '1M'], `${user.password}\n`);
    const limited = await openMailbox(server, user);
    await limited.append('INBOX', MESSAGE);
    const quota = await limited.getQuota('INBOX');
    assert.ok(quota);
    assert.equal(quota.storage!.limit, 1024 ** 2);
    assert.equal(quota.storage!.usage, 1024); // its size, in units of 1,024
    const large = MESSAGE.padEnd(1024 ** 2, '\r\n');
    await assert.rejects(limited.append('INBOX', large), { serverResponseCode: 'OVERQUOTA' });
    await limited.logout();
  });
});
