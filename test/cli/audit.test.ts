import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessages } from '../support/mailbox.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type CommandEnd, runCommand } from './run-command.ts';

/** With a real server, whose journal is read while it runs, and after it was killed. */
describe('letterlock audit', function () {
  this.timeout(30_000);
  let scratch: string;
  let data: string;
  let server: Letterlock;
  const run = (...args: string[]): Promise<CommandEnd> => runCommand(['audit', ...args, '--data', data]);
  async function well(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await run(...args);
    assert.deepEqual([exitCode, stderr], [0, ''], stdout);
    return stdout;
  }
  const records = async (...args: string[]): Promise<Record<string, unknown>[]> =>
    (await well('show', '--json', ...args))
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));

  before(async () => {
    scratch = await makeScratch('audit');
    data = join(scratch, 'data');
    server = await startLetterlock({
      data,
      config: { audit: { checkpointFile: join(scratch, 'copy.log') } },
    });
    const client = await RawSmtp.connect(server.ports.mx);
    await client.send('sender@elsewhere.test', [server.users[0]!.address], 'Subject: x\r\n\r\nHello.\r\n');
    client.destroy();
    await receiveMessages(server, server.users[0]!, 1);
  });
  after(async () => {
    await server.kill9().catch(() => {});
    await removeScratch(scratch);
  });

  it('shows who used which key, in order of time, with the name of whose it is', async () => {
    const [first, second] = [server.users[0]!, server.users[1]!];
    const options = ['--mailbox', first.address, '--principal', first.address, '--event', 'lease'];
    let shown = '';
    // A lease is on the disk a moment after it is granted.
    while (shown === '') shown = await well('show', ...options);
    assert.match(
      shown,
      new RegExp(
        `^\\d{4}-\\S+Z  ${first.address}  imap  \\S+  lease from (?:memory|key-service)  mailbox [0-9a-f]{32} \\(${first.address}\\)  epoch 1  reason login  request \\S+\n$`,
      ),
    );
    assert.equal(await well('show', '--mailbox', second.address, '--principal', first.address), '');
    const all = await records();
    const times = all.map(({ at }) => String(at));
    assert.deepEqual(times, times.toSorted());
    const wraps = await records('--event', 'outcome', '--principal', 'ADMINISTRATOR');
    assert.ok(wraps.every(({ event, protocol }) => event === 'outcome' && protocol === 'admin'));
    assert.deepEqual(await records('--until', String(all[0]!['at'])), []);
    assert.equal((await records('--since', String(all[0]!['at']))).length, all.length);
    const organization = String(all[0]!['organization']);
    assert.equal((await records('--org', organization)).length, all.length);
  });

  it('refuses what it does not know', async () => {
    for (const [args, exitCode, sentence] of [
      [['show', '--event', 'x'], 2, /--event needs one of intent, outcome, lease\./],
      [['show', '--since', 'yesterday'], 2, /--since needs a time/],
      [['show', '--mailbox', 'nobody@demo.test'], 1, /There is no such user/],
      [['show', '--org', 'nobody'], 1, /There is no such organization/],
      [['verify', '--key', 'x'], 2, /--key needs the 64 hex digits/],
      [['verify', '--checkpoint', join(scratch, 'none')], 1, /none does not exist/],
    ] as const) {
      const end = await run(...args);
      assert.equal(end.exitCode, exitCode);
      assert.match(end.stderr, sentence);
    }
  });

  it('vouches for a running server by the checkpoint that it made last', async () => {
    const checkpoint = await well('checkpoint');
    const given = join(scratch, 'given.log');
    writeFileSync(given, checkpoint);
    const key = (await well('key')).trimEnd();
    assert.match(key, /^[0-9a-f]{64}$/);
    const verified = await well('verify', '--checkpoint', given, '--key', key);
    assert.match(verified, /^Problems: 0, notes: 0\. /m);
    assert.match(
      verified,
      /^Vouches up to the checkpoint of .* 0 records are chained but not vouched for\.$/m,
    );
    await receiveMessages(server, server.users[0]!, 1);
    const later = JSON.parse(await well('verify', '--checkpoint', given, '--json'));
    assert.deepEqual(later.problems, []);
    assert.equal(later.vouching.seq, JSON.parse(checkpoint).seq);
    const copied = readFileSync(join(scratch, 'copy.log'), 'utf8');
    assert.ok(copied.includes(checkpoint));
    // Of the log, as a shipper would have it.
    const [log] = server.logs as [string];
    const lines = readFileSync(log, 'utf8').split('\n');
    writeFileSync(
      given,
      lines
        .filter((line) => line.includes('key-use checkpoint'))
        .join('\n')
        .concat('\n'),
    );
    assert.match(await well('verify', '--checkpoint', given), /^Problems: 0/m);
  });

  it('names what was changed once the server was killed, and ends with 1', async () => {
    await server.kill9();
    assert.match(await well('verify'), /^Problems: 0/m);
    const given = join(scratch, 'copy.log');
    const journals = join(data, 'keys/journal');
    // The one in which the users were made.
    const name = readdirSync(journals).find((file) => file.startsWith('use-'))!;
    const content = readFileSync(join(journals, name), 'utf8');
    writeFileSync(join(journals, name), content.replace('"protocol":"admin"', '"protocol":"imap"'));
    const edited = await run('verify', '--checkpoint', given);
    assert.equal(edited.exitCode, 1);
    assert.match(edited.stdout, new RegExp(`^journal/${name} +2 +chain `, 'm'));
    rmSync(join(journals, name));
    const removed = await run('verify', '--checkpoint', given, '--json');
    assert.equal(removed.exitCode, 1);
    const [{ file, kind }] = JSON.parse(removed.stdout).problems;
    assert.deepEqual([file, kind], [`journal/${name}`, 'removed']);
  });
});
