import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImapFlow } from 'imapflow';
import { after, before, describe, it } from 'mocha';
import { createTransport } from 'nodemailer';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { countIn, openMailbox } from '../support/mailbox.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { Thunderbird } from '../support/thunderbird.ts';

const MESSAGES = 40;
const message = (index: number): string =>
  `From: carol@elsewhere.test\r\nSubject: number ${index}\r\nMessage-ID: <${index}@elsewhere.test>\r\n\r\nBody ${index}.\r\n`;
/** Of what shows by itself: IDLE's notification, and what Thunderbird does with it. */
const SHOWN_DEADLINE_MS = 20_000;

describe('Thunderbird', function () {
  this.timeout(90_000);
  let server: Letterlock;
  let scratch: string;
  let client: ImapFlow;
  let thunderbird: Thunderbird;

  before(async () => {
    scratch = await makeScratch('thunderbird');
    server = await startLetterlock();
    client = await openMailbox(server, server.users[0]!);
    for (let index = 1; index <= MESSAGES; index++) await client.append('INBOX', message(index));
    thunderbird = await Thunderbird.start(server, server.users[0]!, join(scratch, 'profile'));
  });
  after(async () => {
    await thunderbird?.stop();
    await client?.logout();
    await server?.stop();
    await removeScratch(scratch);
  });

  const until = async (claim: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + SHOWN_DEADLINE_MS;
    while (!(await holds())) {
      if (performance.now() > deadline) assert.fail(`not true: ${claim}`);
      await sleep(100);
    }
  };
  const shown = async (path: string): Promise<string[]> =>
    (await thunderbird.list(path)).map(({ subject }) => subject);
  const flagsOnServer = async (subject: string): Promise<string[]> => {
    const lock = await client.getMailboxLock('INBOX');
    try {
      const [number] = (await client.search({ subject })) || [];
      const found = await client.fetchOne(String(number), { flags: true });
      return found === false ? [] : [...found.flags!].filter((flag) => flag !== '\\Recent').sort();
    } finally {
      lock.release();
    }
  };

  it('finds the special folders by their use', async () => {
    const flags = (await thunderbird.run(`
      const uses = ['Inbox', 'Drafts', 'SentMail', 'Junk', 'Trash', 'Archive'];
      return uses.map((use) => root.getFolderWithFlags(Ci.nsMsgFolderFlags[use])?.name);`)) as string[];
    assert.deepEqual(flags, ['INBOX', 'Drafts', 'Sent', 'Junk', 'Trash', 'Archive']);
  });

  it('lists every message, and reads their texts', async () => {
    await thunderbird.update('INBOX');
    await until('all are listed', async () => (await shown('INBOX')).length === MESSAGES);
    const texts = (await thunderbird.run(`
      const { NetUtil } = ChromeUtils.importESModule('resource://gre/modules/NetUtil.sys.mjs');
      const textOf = (uri) => new Promise((resolve, reject) => {
        let text = '';
        MailServices.messageServiceFromURI(uri).streamMessage(uri, {
          QueryInterface: ChromeUtils.generateQI(['nsIStreamListener']),
          onStartRequest() {},
          onDataAvailable(request, stream, offset, count) { text += NetUtil.readInputStreamToString(stream, count); },
          onStopRequest: (request, status) => Components.isSuccessCode(status) ? resolve(text) : reject(new Error('stream ' + status)),
        }, null, null, false, '', false);
      });
      const texts = [];
      for (const header of folderAt('INBOX').messages) texts.push(await textOf(header.folder.getUriForMsg(header)));
      return texts;`)) as string[];
    for (let index = 1; index <= MESSAGES; index++) {
      assert.ok(texts[index - 1]!.includes(`Body ${index}.`), `the text of number ${index}`);
    }
  });

  it('marks as read and flagged, for the server too', async () => {
    await thunderbird.run(`
      folderAt('INBOX').markMessagesRead(headers('INBOX', ['number 3']), true);
      folderAt('INBOX').markMessagesFlagged(headers('INBOX', ['number 3', 'number 4']), true);`);
    await until('the flags arrived', async () => (await flagsOnServer('number 4')).includes('\\Flagged'));
    assert.deepEqual(await flagsOnServer('number 3'), ['\\Flagged', '\\Seen']);
  });

  it('deletes into the trash', async () => {
    await thunderbird.run(`
      await finished((listener) =>
        folderAt('INBOX').deleteMessages(headers('INBOX', ['number 10', 'number 11']), null, false, false, listener, false));`);
    await until('they are in the trash', async () => (await countIn(client, 'Trash')) === 2);
    await until('and nowhere else', async () => (await countIn(client, 'INBOX')) === MESSAGES - 2);
  });

  it('makes a folder and moves messages to it', async () => {
    await thunderbird.run(`
      folderAt('Archive').createSubfolder('Grüße 2026', null);
      while (!folderAt('Archive').containsChildNamed('Grüße 2026')) await new Promise((resolve) => setTimeout(resolve, 50));
      await finished((listener) => MailServices.copy.copyMessages(
        folderAt('INBOX'), headers('INBOX', ['number 20', 'number 21', 'number 22']), folderAt('Archive/Grüße 2026'), true,
        listener, null, false));`);
    await until('the server has them there', async () => (await countIn(client, 'Archive/Grüße 2026')) === 3);
    await until('and nowhere else', async () => (await countIn(client, 'INBOX')) === MESSAGES - 5);
  });

  it('shows what arrives, without being asked', async () => {
    const transport = createTransport({ host: server.host, port: server.ports.mx, ignoreTLS: true });
    const to = server.users[0]!.address;
    await transport.sendMail({ from: 'carol@elsewhere.test', to, subject: 'pushed', text: 'Hello' });
    await until('it is shown', async () => (await shown('INBOX')).includes('pushed'));
  });

  it('shows what other clients do', async () => {
    const lock = await client.getMailboxLock('INBOX');
    await client.messageFlagsAdd('1', ['\\Seen', '\\Flagged']);
    await client.messageDelete('2');
    lock.release();
    await until('the flags are shown', async () => {
      const first = (await thunderbird.list('INBOX')).find(({ subject }) => subject === 'number 1');
      return first?.flags.join() === 'read,flagged';
    });
    await until('the expunged one is gone', async () => !(await shown('INBOX')).includes('number 2'));
  });

  it('keeps its copies while the mailbox is locked, asks for no password, and goes on when it is unlocked', async () => {
    const before = await shown('INBOX');
    const address = server.users[0]!.address;
    await server.administer(['mailbox', 'lock', address, '--reason', 'a test']);
    for (const folder of ['Sent', 'Drafts', 'INBOX']) await thunderbird.update(folder);
    const wasRefused = async () =>
      (await readFile(server.logs[0]!, 'utf8')).includes('"command":"LOGIN","code":"CONTACTADMIN"');
    await until('its login was refused', wasRefused);
    const windows = (await thunderbird.run(
      'return [...Services.wm.getEnumerator(null)].map(({ document }) => document.documentURI);',
    )) as string[];
    assert.ok(!windows.some((uri) => /prompt|commonDialog/i.test(uri)), windows.join());
    assert.equal(await thunderbird.run('return account.incomingServer.password;'), server.users[0]!.password);
    assert.deepEqual(await shown('INBOX'), before);

    await server.administer(['mailbox', 'unlock', address]);
    const transport = createTransport({ host: server.host, port: server.ports.mx, ignoreTLS: true });
    await transport.sendMail({
      from: 'carol@elsewhere.test',
      to: address,
      subject: 'unlocked',
      text: 'Hello',
    });
    await until('new mail is shown', async () => {
      await thunderbird.update('INBOX');
      return (await shown('INBOX')).includes('unlocked');
    });
    assert.deepEqual((await shown('INBOX')).slice(0, -1), before);
  });
});
