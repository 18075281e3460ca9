import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessages } from '../support/mailbox.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

/** The real process, as a supervisor ends it. */
describe('a server that is told to end', function () {
  this.timeout(60_000);
  let scratch: string;
  let data: string;
  let server: Letterlock;
  before(async () => {
    scratch = await makeScratch('drain');
    data = join(scratch, 'data');
    server = await startLetterlock({ data, config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });
  });
  after(() => removeScratch(scratch));

  it('answers the message in flight, says BYE and 421 to the others, takes none, and ends with 0', async () => {
    const [alice] = server.users as [(typeof server.users)[0]];
    const { ports } = server;
    const sender = await RawSmtp.connect(ports.mx);
    await sender.beginMessage('sender@elsewhere.test', [alice.address]);
    sender.write('Subject: in flight\r\n\r\nfirst half, ');
    const idle = await RawSmtp.connect(ports.mx);
    const reader = await RawImap.login(ports.imap, alice);
    await reader.ok('SELECT INBOX');
    const idling = reader.command('IDLE');

    const begunAt = performance.now();
    const stopped = server.stop();
    assert.match(await idle.reply(), /^421 4\.3\.2 /);
    await assert.rejects(idling); // after its BYE the connection ends
    await assert.rejects(RawSmtp.connect(ports.mx));
    sender.write('second half\r\n.\r\n');
    assert.match(await sender.reply(), /^250 2\.0\.0 /);
    await stopped;
    assert.ok(performance.now() - begunAt < 30_000);

    const log = readFileSync(join(data, 'logs/letterlock.log'), 'utf8');
    const lines = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; level: string });
    assert.deepEqual([lines.at(-2)?.msg, lines.at(-1)?.msg].includes('closed'), true);
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error' || level === 'fatal'),
      [],
    );
    // Ids, codes and counts; no addresses of mail, no subjects.
    assert.doesNotMatch(log, /@|in flight|elsewhere|half/);
  });

  it('has stored what it acknowledged, and signed where its key-use journal ended', async () => {
    server = await startLetterlock({ data });
    const [message] = await receiveMessages(server, server.users[0]!, 1);
    assert.match(message!.toString(), /first half, second half\r\n$/);
    const checkpoints = readFileSync(join(data, 'keys/journal/checkpoints.log'), 'utf8');
    assert.match(checkpoints, /"ended":true/);
    await server.stop();
  });

  it('cuts off a message that takes longer than it may, which the sender keeps', async () => {
    server = await startLetterlock({ data, config: { shutdownSeconds: 1 } });
    const sender = await RawSmtp.connect(server.ports.mx);
    await sender.beginMessage('sender@elsewhere.test', [server.users[0]!.address]);
    sender.write('Subject: never ends\r\n\r\n');
    const stopped = server.stop();
    assert.match(await sender.reply(), /^421 4\.3\.2 /);
    await stopped;
  });
});
