import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImapFlow } from 'imapflow';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { countIn, openMailbox } from '../support/mailbox.ts';
import { type Mbsync, makeMbsync } from '../support/mbsync.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const MESSAGES = 300;
const message = (index: number): string =>
  `From: carol@elsewhere.test\r\nSubject: number ${index}\r\nMessage-ID: <${index}@elsewhere.test>\r\n\r\n` +
  `Body of number ${index}.\r\n`;

/** A message as it was before mbsync gave it the file system's line ends and a mark of its own. */
const messageIn = async (path: string): Promise<string> =>
  (await readFile(path, 'utf8')).replace(/^X-TUID: .*\n/m, '').replaceAll('\n', '\r\n');

describe('mbsync', () => {
  let server: Letterlock;
  let scratch: string;
  let client: ImapFlow;
  let mbsync: Mbsync;

  before(async () => {
    scratch = await makeScratch('mbsync');
    server = await startLetterlock();
    client = await openMailbox(server, server.users[0]!);
    mbsync = await makeMbsync(server, server.users[0]!, scratch);
    for (let index = 1; index <= MESSAGES; index++) await client.append('INBOX', message(index));
  });
  after(async () => {
    await client?.logout();
    await server?.stop();
    await removeScratch(scratch);
  });

  /** The file of the message with this number. */
  const fileOf = async (index: number, folder?: string): Promise<string> => {
    for (const path of await mbsync.files(folder)) {
      if ((await readFile(path, 'utf8')).includes(`\nSubject: number ${index}\n`)) return path;
    }
    throw new Error(`Message ${index} is not in the Maildir.`);
  };
  const flagsOnServer = async (index: number): Promise<string[]> => {
    const lock = await client.getMailboxLock('INBOX');
    try {
      const [uid] =
        (await client.search({ header: { 'message-id': `<${index}@elsewhere.test>` } }, { uid: true })) || [];
      const found = await client.fetchOne(String(uid), { flags: true }, { uid: true });
      assert.ok(found);
      return [...found.flags!].filter((flag) => flag !== '\\Recent').sort();
    } finally {
      lock.release();
    }
  };

  it('fetches a folder of 300 messages, each with its octets', async () => {
    await mbsync.run();
    const files = await mbsync.files();
    assert.equal(files.length, MESSAGES);
    const contents = new Set(await Promise.all(files.map(messageIn)));
    for (let index = 1; index <= MESSAGES; index++) {
      assert.ok(contents.has(message(index)), `message ${index}`);
    }
  });

  it('creates the standard folders in the Maildir', async () => {
    for (const folder of ['Drafts', 'Sent', 'Junk', 'Trash', 'Archive']) {
      assert.deepEqual(await mbsync.files(folder), []);
    }
  });

  it('carries flags that were set in the Maildir to the server', async () => {
    await mbsync.setFlags(await fileOf(7), 'FS');
    await mbsync.run();
    assert.deepEqual(await flagsOnServer(7), ['\\Flagged', '\\Seen']);
  });

  it('carries flags that were set on the server to the Maildir', async () => {
    const lock = await client.getMailboxLock('INBOX');
    await client.messageFlagsAdd('8:9', ['\\Answered']);
    await client.messageFlagsRemove('7', ['\\Flagged']);
    lock.release();
    await mbsync.run();
    assert.match(await fileOf(8), /:2,R$/);
    assert.match(await fileOf(9), /:2,R$/);
    assert.match(await fileOf(7), /:2,S$/);
  });

  it('expunges on the server what was deleted in the Maildir', async () => {
    await mbsync.deleteFile(await fileOf(10));
    await mbsync.run();
    assert.equal(await countIn(client, 'INBOX'), MESSAGES - 1);
  });

  it('deletes in the Maildir what was expunged on the server', async () => {
    const lock = await client.getMailboxLock('INBOX');
    await client.messageDelete('1:5');
    lock.release();
    await mbsync.run();
    assert.equal((await mbsync.files()).length, MESSAGES - 6);
  });

  it('uploads a new folder and its message', async () => {
    const folder = await mbsync.makeFolder('Reisen');
    await writeFile(join(folder, 'cur', '1.host:2,S'), message(1000).replaceAll('\r\n', '\n'));
    await mbsync.run();
    const lock = await client.getMailboxLock('Reisen');
    const found = await client.fetchOne('1', { flags: true, envelope: true });
    lock.release();
    assert.ok(found);
    assert.equal(found.envelope!.subject, 'number 1000');
    assert.ok(found.flags!.has('\\Seen'));
  });

  it('downloads a folder that was made on the server', async () => {
    await client.mailboxCreate('Steuer/2026');
    await client.append('Steuer/2026', message(2000), ['\\Flagged']);
    await mbsync.run();
    const path = await fileOf(2000, 'Steuer/2026');
    assert.match(path, /:2,F$/);
    assert.equal(await messageIn(path), message(2000));
  });

  it('compresses its connection without being told to', async () => {
    const said = await mbsync.run('--debug-net');
    assert.match(said, />>> \d+ COMPRESS DEFLATE\r?\n/);
    assert.match(said, /\d+ OK Compression begins/);
  });

  it('finds nothing to do when nothing has changed', async () => {
    const before = await mbsync.files();
    await mbsync.run();
    assert.deepEqual((await mbsync.files()).sort(), before.sort());
  });
});
