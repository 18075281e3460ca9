import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImapFlow } from 'imapflow';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { countIn, messagesIn, openMailbox } from '../support/mailbox.ts';
import { runProgramWell } from '../support/run-program.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const MESSAGES = 60;
const message = (index: number): string =>
  `From: carol@elsewhere.test\r\nSubject: number ${index}\r\nMessage-ID: <${index}@elsewhere.test>\r\n\r\nBody ${index}.\r\n`;

describe('offlineimap', function () {
  this.timeout(60_000);
  let server: Letterlock;
  let scratch: string;
  let client: ImapFlow;

  before(async () => {
    scratch = await makeScratch('offlineimap');
    server = await startLetterlock();
    const [user] = server.users;
    client = await openMailbox(server, user!);
    for (let index = 1; index <= MESSAGES; index++) await client.append('INBOX', message(index));
    await client.mailboxCreate('Grüße/2026');
    await client.append('Grüße/2026', message(1000), ['\\Flagged']);
    await mkdir(join(scratch, 'mail'));
    const settings = `
[general]
accounts = a
metadata = ${scratch}/meta
ui = quiet
[Account a]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = ${scratch}/mail
[Repository remote]
type = IMAP
remotehost = ${server.host}
remoteport = ${server.ports.imaps}
ssl = yes
sslcacertfile = ${server.ca}
remoteuser = ${user!.address}
remotepass = ${user!.password}
maxconnections = 2
`;
    await writeFile(join(scratch, 'rc'), settings, { mode: 0o600 });
  });
  after(async () => {
    await client?.logout();
    await server?.stop();
    await removeScratch(scratch);
  });

  const synchronize = () => runProgramWell('offlineimap', ['-o', '-c', join(scratch, 'rc')]);
  const files = async (folder: string): Promise<string[]> => {
    const directories = ['cur', 'new'].map((sub) => join(scratch, 'mail', folder, sub));
    const names = await Promise.all(
      directories.map(async (path) => (await readdir(path)).map((name) => join(path, name))),
    );
    return names.flat();
  };
  const fileOf = async (index: number): Promise<string> => {
    for (const path of await files('INBOX')) {
      if ((await readFile(path, 'utf8')).includes(`\nSubject: number ${index}\n`)) return path;
    }
    throw new Error(`Message ${index} is not in the Maildir.`);
  };

  it('fetches every folder with its messages, flags and names', async () => {
    await synchronize();
    assert.equal((await files('INBOX')).length, MESSAGES);
    const folders = await readdir(join(scratch, 'mail'));
    for (const folder of ['Drafts', 'Sent', 'Junk', 'Trash', 'Archive']) assert.ok(folders.includes(folder));
    const nested = folders.find((folder) => folder.endsWith('2026'))!;
    const [flagged] = await files(nested);
    assert.match(flagged!, /:2,.*F/);
    assert.match(await readFile(flagged!, 'utf8'), /Body 1000\./);
  });

  it('carries flags and deletions to the server', async () => {
    const path = await fileOf(7);
    await rename(path, path.replace('/new/', '/cur/').replace(/:2,[A-Z]*$/, ':2,FS'));
    await rm(await fileOf(8));
    await synchronize();
    assert.equal(await countIn(client, 'INBOX'), MESSAGES - 1);
    const lock = await client.getMailboxLock('INBOX');
    const found = await client.search({ subject: 'number 7', flagged: true, seen: true });
    lock.release();
    assert.deepEqual(found, [7]);
  });

  it('uploads a message, and finds it again by UID', async () => {
    const text = message(2000).replaceAll('\r\n', '\n');
    await writeFile(join(scratch, 'mail', 'Sent', 'cur', '1.host:2,S'), text);
    await synchronize();
    const [uploaded] = await messagesIn(client, 'Sent');
    assert.match(uploaded!.toString(), /Subject: number 2000\r\n/);
    await synchronize();
    assert.equal(await countIn(client, 'Sent'), 1);
  });

  it('takes over what the server expunged', async () => {
    const lock = await client.getMailboxLock('INBOX');
    await client.messageDelete('1:5');
    lock.release();
    await synchronize();
    assert.equal((await files('INBOX')).length, MESSAGES - 6);
  });
});
