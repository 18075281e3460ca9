import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { listMailboxes } from '../../src/store/embedded/fsck.ts';
import { indexFile } from '../../src/store/embedded/layout.ts';
import { DnsServer } from '../support/dns-server.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { appendCommand, RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { RemoteServer } from '../support/remote-server.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { canaryMessage, newCanaries } from './canaries.ts';
import { Scanner } from './scanner.ts';
import { coreLimit, filesBelow, namelessFiles, type Written } from './written.ts';

/** Far more than a message may have in memory (SPOOL_MESSAGE_OCTETS). */
const LARGE_OCTETS = 5_000_000;
const SPILL_DEADLINE_MS = 10_000;
/** A checkpoint comes after five seconds of quiet; absorbing a few messages takes none. */
const ABSORB_DEADLINE_MS = 30_000;

const canaries = newCanaries();
const { stem, word } = canaries;
const scanner = new Scanner(stem, Object.values(word));

/** Of the leak budget (docs/threat-model.md): what may lie in clear, and where. */
const DIRECTORY = /^data\/directory\.db(-wal|-shm)?$/;
const KEY_USE_JOURNAL = /^data\/keys\/journal\/use-[^/]+\.log$/;
const BUDGET: ReadonlyMap<string, readonly RegExp[]> = new Map([
  [word.user, [DIRECTORY, KEY_USE_JOURNAL]],
  [word.displayname, [DIRECTORY]],
  [word.group, [DIRECTORY]],
]);

const user = { address: `${word.user}@demo.test`, password: word.password };
const outsider = `${word.mailfrom}@${word.mailfrom}.test`;

describe('mail at rest', function () {
  this.timeout(120_000);
  let scratch: string;
  let server: Letterlock;
  let tmpdir: string | undefined;
  /** A server abroad. */
  let remote: RemoteServer;
  let dns: DnsServer;
  let isHanging = false;
  const said: string[] = [];

  /** Temporary files of the server, if it makes any, lie where they are looked at. */
  before(async () => {
    scratch = await makeScratch('at-rest');
    tmpdir = process.env['TMPDIR'];
    remote = await RemoteServer.start({
      address: '127.0.0.6',
      answer: (verb, line) => {
        if (verb === 'end' && isHanging) return 'hang';
        if (verb !== 'RCPT') return undefined;
        if (line.includes('later'))
          return `450 4.2.1 ${word.reply} says <${word.recipient}-later@${word.abroad}.test>`;
        return line.includes('never') ? `550 5.1.1 ${word.reply}` : undefined;
      },
    });
    dns = await DnsServer.start({
      [`${word.abroad}.test`]: { MX: [[10, `mx.${word.abroad}.test`]] },
      [`mx.${word.abroad}.test`]: { A: ['127.0.0.6'] },
    });
    process.env['TMPDIR'] = scratch;
    await start();
    await server.administer(['user', 'create', user.address, '--name', word.displayname], word.password);
    await server.administer(['group', 'create', `${word.group}@demo.test`, '--member', user.address]);
  });
  after(async () => {
    if (tmpdir === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = tmpdir;
    await remote.stop();
    await dns.stop();
    await removeScratch(scratch);
  });

  async function start(): Promise<void> {
    server = await startLetterlock({
      data: join(scratch, 'data'),
      config: {
        plaintextAuthNetworks: ['127.0.0.0/8'],
        hostname: 'mx.demo.test',
        roles: ['mx', 'lmtp', 'submission', 'imap', 'http', 'queue'],
        outbound: {
          dnsServers: [dns.address],
          privateNetworks: ['127.0.0.0/8'],
          port: remote.port,
          retrySeconds: [1, 3600],
        },
        shutdownSeconds: 3,
        logging: { level: 'trace' },
        store: { snapshotSeconds: 1 },
      },
    });
  }

  async function* written(isRunning: boolean): AsyncGenerator<Written> {
    yield* filesBelow(scratch);
    if (isRunning) yield* await namelessFiles(server.pid);
    yield { place: 'standard output and error', octets: Buffer.from([...said, server.said()].join('\n')) };
  }

  /** Looks at everything. @returns The places where the leak budget's words are, for the proof that we can find them. */
  async function assertSealed(isRunning = true): Promise<ReadonlySet<string>> {
    const leaks: string[] = [];
    const budgeted = new Set<string>();
    for await (const { place, octets } of written(isRunning)) {
      for (const find of scanner.scan(octets)) {
        if (BUDGET.get(find.word)?.some((where) => where.test(place))) budgeted.add(place);
        else leaks.push(`${find.word.replace(stem, '')} in ${place}${find.path && ` (${find.path})`}`);
      }
    }
    assert.deepEqual(leaks, []);
    return budgeted;
  }

  it('is what the scan finds when it is not sealed: the directory says who exists', async () => {
    const budgeted = await assertSealed();
    assert.ok([...budgeted].some((place) => DIRECTORY.test(place)));
  });

  it('is sealed while large messages are half-way in, by SMTP, LMTP, submission and APPEND', async () => {
    const halves = await Promise.all([
      halfSent('mx', user.address),
      halfSent('lmtp', user.address),
      halfSent('submission', user.address),
      halfAppended(),
    ]);
    const deadline = performance.now() + SPILL_DEADLINE_MS;
    while ((await spilled()) < halves.length) {
      assert.ok(performance.now() < deadline, 'every large message goes to disk before its end');
      await sleep(50);
    }
    await assertSealed();
    await Promise.all(halves.map((finish) => finish()));
    await assertSealed();
  });

  it('is sealed after delivery to one, to a group, and to a folder', async () => {
    for (const to of [user.address, `${word.group}@demo.test`, server.users[0]!.address, server.group]) {
      for (const listener of ['mx', 'lmtp'] as const) {
        const client = await RawSmtp.connect(server.ports[listener], helo(listener));
        await client.send(outsider, [to], canaryMessage(canaries, { to }));
        client.destroy();
      }
    }
    const submission = await authenticated();
    const sent = canaryMessage(canaries, { from: user.address, to: server.group });
    await submission.send(user.address, [server.group], sent);
    submission.destroy();
    await assertSealed();
  });

  it('is sealed while it goes abroad, while it waits there, and when it comes back', async () => {
    const abroad = (name: string): string => `${word.recipient}-${name}@${word.abroad}.test`;
    isHanging = true;
    for (const filling of [0, LARGE_OCTETS]) {
      const client = await authenticated();
      const recipients = [abroad('now'), abroad('later'), abroad('never'), user.address];
      await client.send(
        user.address,
        recipients,
        canaryMessage(canaries, { from: user.address, to: abroad('now'), filling }),
      );
      client.destroy();
    }
    const sent = (verb: string): number => remote.commands.filter((line) => line.startsWith(verb)).length;
    while (sent('DATA') < 2) await remote.changed();
    await assertSealed();
    isHanging = false;
    await server.stop();
    said.push(server.said());
    await start();
    await remote.received(2);
    const imap = await RawImap.login(server.ports.imap, user);
    let reports: string[] = [];
    while (reports.length < 2) {
      await imap.ok('SELECT INBOX');
      reports = (await imap.ok('SEARCH FROM MAILER-DAEMON')).untagged.join(' ').match(/(?<= )\d+/g) ?? [];
    }
    imap.destroy();
    await assertSealed();
  });

  it('is sealed when it is named, marked, searched and moved', async () => {
    const imap = await RawImap.login(server.ports.imap, user);
    await imap.ok(`ID ("name" "${word.client}")`);
    await imap.ok(`CREATE "${word.folder} &AOk-/${word.child}"`);
    await imap.ok(`CREATE ${word.folder}2`);
    await imap.ok(`RENAME ${word.folder}2 ${word.renamed}`);
    await imap.ok(`SUBSCRIBE ${word.subscription}`);
    await imap.ok(`LIST "" "*${word.searched}*"`);
    await imap.command(`SELECT ${word.searched}`);
    await imap.ok(appendCommand(word.renamed, word.keyword, canaryMessage(canaries, { to: user.address })));
    await imap.ok('SELECT INBOX');
    await imap.ok(`STORE 1:2 +FLAGS (\\Flagged ${word.keyword})`);
    for (const key of ['TEXT', 'BODY', 'SUBJECT', 'FROM', 'HEADER X-Custom', 'KEYWORD']) {
      await imap.ok(`SEARCH ${key} ${word.searched}`);
    }
    await imap.ok('FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[TEXT])');
    await imap.ok(`COPY 1:* ${word.renamed}`);
    await imap.ok(`MOVE 2 Trash`);
    await assertSealed();
    imap.destroy();
  });

  it('is sealed when it was folded into pages', async () => {
    const imap = await RawImap.login(server.ports.imap, user);
    await imap.ok('SELECT INBOX');
    const deadline = performance.now() + ABSORB_DEADLINE_MS;
    // The lease that is needed for it lasts as long as somebody reads.
    while (!(await isAbsorbed())) {
      assert.ok(performance.now() < deadline, 'what its owner reads is absorbed soon');
      await imap.ok('FETCH 1 (ENVELOPE)');
      await sleep(50);
    }
    const sync = await imap.ok(
      `FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject X-Custom)])`,
    );
    assert.ok(sync.untagged.join().includes(word.subject), 'pages have what the scan looks for');
    await assertSealed();
    imap.destroy();
  });

  it('is sealed, and so is who sent it, when it was refused', async () => {
    const smtp = await RawSmtp.connect(server.ports.mx, helo('mx'));
    await smtp.command(`MAIL FROM:<${word.stranger}@${word.stranger}.test>`);
    assert.match(await smtp.command(`RCPT TO:<${word.nobody}@demo.test>`), /^550/);
    assert.match(await smtp.command(`RCPT TO:<${word.relay}@elsewhere.test>`), /^550/);
    assert.match(await smtp.command(`${word.command} now`), /^5/);
    assert.match(await smtp.command(`VRFY ${word.nobody}`), /^[25]/);
    assert.match(await smtp.command(`MAIL FROM:${word.stranger}`), /^5/);
    smtp.destroy();
    const bare = await RawSmtp.connect(server.ports.mx, helo('mx'));
    await bare.beginMessage(outsider, [user.address]);
    bare.write(`Subject: ${word.subject}\r\n\r\nA bare\nline feed ${word.body}\r\n.\r\n`);
    assert.match(await bare.reply(), /^550/);
    bare.destroy();
    const submission = await RawSmtp.connect(server.ports.submission, helo('submission'));
    const wrong = Buffer.from(`\0${user.address}\0${word.wrongpassword}`).toString('base64');
    assert.match(await submission.command(`AUTH PLAIN ${wrong}`), /^535/);
    submission.destroy();
    const imap = await RawImap.connect(server.ports.imap);
    const strange = `LOGIN ${word.stranger}@demo.test "${word.wrongpassword}"`;
    assert.equal((await imap.command(strange)).status, 'NO');
    assert.equal((await imap.command(word.command)).status, 'BAD');
    imap.destroy();
    await assertSealed();
  });

  it('is sealed when a browser asks with an address in the path', async () => {
    const base = `http://127.0.0.1:${server.ports.http}`;
    await fetch(`${base}/${word.path}`);
    await fetch(`${base}/mail/config-v1.1.xml?emailaddress=${word.path}%40demo.test`);
    const body = `<Autodiscover><Request><EMailAddress>${word.path}@demo.test</EMailAddress></Request></Autodiscover>`;
    await fetch(`${base}/autodiscover/autodiscover.xml`, { method: 'POST', body });
    await assertSealed();
  });

  it('is sealed after a crash, and after the recovery from it', async () => {
    await server.kill9();
    said.push(server.said());
    await assertSealed(false);
    await start();
    await assertSealed();
  });

  it('is sealed after it was expunged, and after a clean stop', async () => {
    const imap = await RawImap.login(server.ports.imap, user);
    for (const folder of ['INBOX', word.renamed]) {
      await imap.ok(`SELECT ${folder}`);
      await imap.ok('STORE 1:* +FLAGS.SILENT (\\Deleted)');
      await imap.ok('EXPUNGE');
    }
    await imap.ok(`DELETE ${word.renamed}`);
    imap.destroy();
    await assertSealed();
    assert.equal(await coreLimit(server.pid), '0 0');
    await server.stop();
    const budgeted = await assertSealed(false);
    assert.ok([...budgeted].some((place) => KEY_USE_JOURNAL.test(place)));
  });

  /** Whether the mailbox with the most messages has all of them in pages. */
  async function isAbsorbed(): Promise<boolean> {
    let most = { messages: 0, left: 1 };
    for (const mailbox of listMailboxes(join(scratch, 'data'))) {
      const index = new DatabaseSync(indexFile(join(scratch, 'data'), mailbox), { readOnly: true });
      const sql = 'SELECT count(*) AS messages, (SELECT count(*) FROM message_parts) AS left FROM message';
      const counts = index.prepare(sql).get() as typeof most;
      index.close();
      if (counts.messages > most.messages) most = counts;
    }
    return most.left === 0;
  }

  /** Large files of messages in flight: sealed on their way (APPEND), or nameless until their header is complete. */
  async function spilled(): Promise<number> {
    const files = await namelessFiles(server.pid);
    for await (const file of filesBelow(join(scratch, 'data', 'spool'))) files.push(file);
    return files.filter(({ octets }) => octets.length > LARGE_OCTETS / 3).length;
  }

  const helo = (listener: string): string => `${listener === 'lmtp' ? 'LHLO' : 'EHLO'} ${word.helo}.test`;

  async function authenticated(): Promise<RawSmtp> {
    const client = await RawSmtp.connect(server.ports.submission, helo('submission'));
    const credentials = Buffer.from(`\0${user.address}\0${user.password}`).toString('base64');
    assert.match(await client.command(`AUTH PLAIN ${credentials}`), /^235/);
    return client;
  }

  /** @returns What sends the second half. */
  async function halfSent(listener: 'mx' | 'lmtp' | 'submission', to: string): Promise<() => Promise<void>> {
    const isOurs = listener === 'submission';
    const client = isOurs
      ? await authenticated()
      : await RawSmtp.connect(server.ports[listener], helo(listener));
    const from = isOurs ? user.address : outsider;
    const message = canaryMessage(canaries, { from, to, filling: LARGE_OCTETS });
    await client.beginMessage(from, [to]);
    client.write(message.slice(0, 4_000_000));
    return async () => {
      client.write(`${message.slice(4_000_000)}.\r\n`);
      assert.match(await client.reply(), /^250/);
      client.destroy();
    };
  }

  async function halfAppended(): Promise<() => Promise<void>> {
    const imap = await RawImap.login(server.ports.imap, user);
    const command = appendCommand(
      'INBOX',
      '',
      canaryMessage(canaries, { to: user.address, filling: LARGE_OCTETS }),
    );
    imap.begin(command.slice(0, 4_000_000));
    return async () => {
      assert.equal((await imap.finish(command.slice(4_000_000))).status, 'OK');
      imap.destroy();
    };
  }
});
