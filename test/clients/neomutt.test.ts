import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImapFlow } from 'imapflow';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { countIn, messagesIn, openMailbox } from '../support/mailbox.ts';
import { runProgramWell } from '../support/run-program.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const message = (index: number): string =>
  `From: carol@elsewhere.test\r\nSubject: number ${index}\r\nMessage-ID: <${index}@elsewhere.test>\r\n\r\nBody ${index}.\r\n`;

describe('neomutt', function () {
  this.timeout(60_000);
  let server: Letterlock;
  let scratch: string;
  let client: ImapFlow;
  let alice: LetterlockUser;

  before(async () => {
    scratch = await makeScratch('neomutt');
    server = await startLetterlock();
    alice = server.users[0]!;
    client = await openMailbox(server, alice);
    for (let index = 1; index <= 20; index++) await client.append('INBOX', message(index));
    await mkdir(join(scratch, 'cache'));
    const { host, ports, ca } = server;
    const settings = `
set folder = "imaps://${host}:${ports.imaps}/"
set spool_file = "+INBOX" record = "+Sent" postponed = "+Drafts" trash = "+Trash"
set imap_user = "${alice.address}" imap_pass = "${alice.password}"
set smtp_url = "smtps://${alice.address}@${host}:${ports.submissions}" smtp_pass = "${alice.password}"
set from = "${alice.address}" realname = "Alice" hostname = "client.test"
set ssl_ca_certificates_file = "${ca}" certificate_file = "${scratch}/certificates"
set editor = "${scratch}/editor" signature = ""
set header_cache = "${scratch}/cache" message_cachedir = "${scratch}/cache"
set imap_condstore = yes imap_qresync = yes imap_deflate = yes
set quit = yes delete = yes confirm_append = no confirm_create = no move = no wait_key = no sleep_time = 0 mark_old = no
`;
    await writeFile(join(scratch, 'rc'), settings, { mode: 0o600 });
    await writeFile(join(scratch, 'editor'), '#!/bin/sh\necho Hello from a terminal >>"$1"\n', {
      mode: 0o700,
    });
  });
  after(async () => {
    await client?.logout();
    await server?.stop();
    await removeScratch(scratch);
  });

  /** Presses keys as a user would, on a terminal; neomutt is to quit by them. */
  const press = async (keys: string): Promise<void> => {
    const command = `neomutt -n -F ${join(scratch, 'rc')} -e 'push "${keys}"'`;
    await runProgramWell('script', [
      '--quiet',
      '--return',
      '--command',
      `TERM=xterm ${command}`,
      '/dev/null',
    ]);
  };
  const flags = async (folder: string, index: number): Promise<string[]> => {
    const lock = await client.getMailboxLock(folder);
    try {
      const found = await client.search({ subject: `number ${index}` });
      const one = await client.fetchOne(String((found || [])[0]), { flags: true });
      assert.ok(one);
      return [...one.flags!].filter((flag) => flag !== '\\Recent').sort();
    } finally {
      lock.release();
    }
  };

  it('reads a message and flags another', async () => {
    await press(
      '<search>~s \\"number 3$\\"<enter><display-message><exit><search>~s \\"number 5$\\"<enter><flag-message><quit>',
    );
    assert.deepEqual(await flags('INBOX', 5), ['\\Flagged']);
    const lock = await client.getMailboxLock('INBOX');
    const seen = await client.search({ seen: true });
    lock.release();
    assert.deepEqual(seen, [3]);
  });

  it('deletes into the trash, and expunges', async () => {
    await press('<delete-pattern>~s \\"number 1[0-9]$\\"<enter><sync-mailbox><quit>');
    assert.equal(await countIn(client, 'INBOX'), 10);
    assert.equal(await countIn(client, 'Trash'), 10);
  });

  it('saves tagged messages to a folder that it creates', async () => {
    await press(
      '<tag-pattern>~s \\"number [67]$\\"<enter><tag-prefix><save-message>=Projekt<enter><sync-mailbox><quit>',
    );
    assert.equal(await countIn(client, 'Projekt'), 2);
    assert.equal(await countIn(client, 'INBOX'), 8);
  });

  it('opens the folder again from its cache, with what came and went meanwhile', async () => {
    await client.append('INBOX', message(21));
    const lock = await client.getMailboxLock('INBOX');
    await client.messageDelete('1');
    await client.messageFlagsAdd('1', ['\\Answered']);
    lock.release();
    await press('<search>~s \\"number 21$\\"<enter><flag-message><sync-mailbox><quit>');
    assert.equal(await countIn(client, 'INBOX'), 8);
    assert.deepEqual(await flags('INBOX', 21), ['\\Flagged']);
    assert.deepEqual(await flags('INBOX', 2), ['\\Answered']);
  });

  it('sends over submission and keeps a copy in Sent', async () => {
    await press(`<mail>${server.users[1]!.address}<enter>from neomutt<enter><send-message><quit>`);
    const [copy] = await messagesIn(client, 'Sent');
    assert.match(copy!.toString(), /Subject: from neomutt\r\n/);
    assert.match(copy!.toString(), /Hello from a terminal\r\n/);
    const bob = await openMailbox(server, server.users[1]!);
    const received = await messagesIn(bob);
    await bob.logout();
    assert.ok(received.some((octets) => octets.includes('Subject: from neomutt\r\n')));
  });
});
