import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { traceBlockOf } from '../support/mailbox.ts';
import { runProgram, runProgramWell } from '../support/run-program.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const messageFrom = (author: string): string =>
  `From: ${author}\r\nTo: alice@demo.test\r\nSubject: by curl\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n` +
  'Message-ID: <curl@elsewhere.test>\r\n\r\nA b\u00f6dy.\r\n.\r\nAnd a dot.\r\n';
const MESSAGE = messageFrom('carol@elsewhere.test');

describe('curl', () => {
  let server: Letterlock;
  let scratch: string;
  before(async () => {
    scratch = await makeScratch('curl');
    server = await startLetterlock();
  });
  after(async () => {
    await server?.stop();
    await removeScratch(scratch);
  });

  const login = (index: number): string[] => {
    const { address, password } = server.users[index]!;
    return ['--user', `${address}:${password}`];
  };
  const curl = (...args: string[]) =>
    runProgramWell('curl', ['--silent', '--show-error', '--cacert', server.ca, ...args]);
  const send = (message: string, url: string, ...args: string[]) =>
    runProgram(
      'curl',
      ['--silent', '--show-error', '--cacert', server.ca, '--upload-file', '-', '--url', url, ...args],
      message,
    );
  const imaps = (path: string): string => `imaps://localhost:${server.ports.imaps}/${path}`;

  it('reads back octet for octet what it sent to the MX listener, over STARTTLS', async () => {
    const { exitCode, stderr } = await send(
      MESSAGE,
      `smtp://localhost:${server.ports.mx}`,
      ...['--ssl-reqd', '--mail-from', 'carol@elsewhere.test', '--mail-rcpt', 'alice@demo.test'],
    );
    assert.equal(exitCode, 0, stderr);
    const { stdout } = await curl('--url', imaps('INBOX;UID=1'), ...login(0));
    traceBlockOf(stdout, MESSAGE);
  });

  it('reads the same message over STARTTLS on the IMAP port', async () => {
    const url = `imap://localhost:${server.ports.imap}/INBOX;UID=1`;
    const { stdout } = await curl('--ssl-reqd', '--url', url, ...login(0));
    traceBlockOf(stdout, MESSAGE);
  });

  it('submits over implicit TLS to another user of the domain', async () => {
    const { address } = server.users[1]!;
    const sender = server.users[0]!.address;
    const message = messageFrom(sender);
    const { exitCode, stderr } = await send(
      message,
      `smtps://localhost:${server.ports.submissions}`,
      ...login(0),
      ...['--mail-from', sender, '--mail-rcpt', address],
    );
    assert.equal(exitCode, 0, stderr);
    const { stdout } = await curl('--url', imaps('INBOX;UID=1'), ...login(1));
    traceBlockOf(stdout, message);
  });

  it('may not submit a message whose From names somebody else', async () => {
    const { address } = server.users[1]!;
    const { exitCode } = await send(
      MESSAGE,
      `smtps://localhost:${server.ports.submissions}`,
      ...login(0),
      ...['--mail-from', server.users[0]!.address, '--mail-rcpt', address],
    );
    assert.equal(exitCode, 8); // CURLE_WEIRD_SERVER_REPLY: not 250 after DATA
    const { stdout } = await curl('--url', imaps('INBOX'), '--request', 'UID SEARCH ALL', ...login(1));
    assert.equal(stdout.toString(), '* SEARCH 1\r\n');
  });

  it('may not log in without TLS', async () => {
    const url = `imap://localhost:${server.ports.imap}/`;
    const { exitCode } = await runProgram('curl', ['--silent', '--url', url, ...login(0)]);
    assert.equal(exitCode, 67); // CURLE_LOGIN_DENIED
  });

  it('is told with exit code 67 that a password is wrong', async () => {
    const { exitCode } = await runProgram('curl', [
      ...['--silent', '--cacert', server.ca, '--url', imaps('')],
      ...['--user', `${server.users[0]!.address}:wrong`],
    ]);
    assert.equal(exitCode, 67);
  });

  it('lists the standard folders', async () => {
    const { stdout } = await curl('--url', imaps(''), ...login(0));
    for (const folder of ['INBOX', 'Drafts', 'Sent', 'Junk', 'Trash', 'Archive']) {
      assert.match(stdout.toString(), new RegExp(`^\\* LIST \\(.*\\) "/" "?${folder}"?\\r$`, 'm'));
    }
  });

  it('appends a message and reads back exactly its octets', async () => {
    const file = join(scratch, 'message'); // curl must know the literal's size before it sends it
    await writeFile(file, MESSAGE);
    await curl('--upload-file', file, '--url', imaps('Archive'), ...login(0));
    const { stdout } = await curl('--url', imaps('Archive;UID=1'), ...login(0));
    assert.deepEqual(stdout, Buffer.from(MESSAGE));
  });

  it('reads one part of a message', async () => {
    const { stdout } = await curl('--url', imaps('Archive;UID=1;SECTION=TEXT'), ...login(0));
    assert.equal(stdout.toString(), 'A b\u00f6dy.\r\n.\r\nAnd a dot.\r\n');
  });
});
