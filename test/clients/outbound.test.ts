/** The real server sends: to a real Postfix, to a second Letterlock, and through being killed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { createTransport } from 'nodemailer';
import { runCommand } from '../cli/run-command.ts';
import { DnsServer } from '../support/dns-server.ts';
import { freePort } from '../support/free-ports.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessage } from '../support/mailbox.ts';
import { type Postfix, startPostfix } from '../support/postfix.ts';
import { RemoteServer } from '../support/remote-server.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

/** As a mail program submits. */
async function submit(
  server: Letterlock,
  to: readonly string[],
  subject: string,
  more: object = {},
): Promise<void> {
  const [{ address, password }] = server.users as [Letterlock['users'][number]];
  const transport = createTransport({
    host: server.host,
    port: server.ports.submissions,
    secure: true,
    auth: { user: address, pass: password },
    tls: { ca: readFileSync(server.ca) },
  });
  try {
    await transport.sendMail({ from: address, to: [...to], subject, text: `This is ${subject}.`, ...more });
  } finally {
    transport.close();
  }
}

const sending = (hostname: string, dns: DnsServer, port: number, more: object = {}) => ({
  hostname,
  roles: ['mx', 'lmtp', 'submission', 'imap', 'http', 'queue'],
  outbound: { dnsServers: [dns.address], port, retrySeconds: [1], privateNetworks: ['127.0.0.0/8'], ...more },
});

describe('a server that sends', function () {
  this.timeout(90_000);
  let dns: DnsServer;
  let here: Letterlock;
  let there: Letterlock;
  let postfix: Postfix;

  before(async () => {
    dns = await DnsServer.start();
    there = await startLetterlock({ domain: 'there.test', config: { hostname: 'mx.there.test' } });
    const port = there.ports.mx;
    here = await startLetterlock({ domain: 'here.test', config: sending('mx.here.test', dns, port) });
    postfix = await startPostfix({
      domain: 'there.test',
      nextHop: `lmtp:inet:127.0.0.1:${there.ports.lmtp}`,
    });
    dns.entries['there.test'] = { MX: [[10, 'mx.there.test']] };
    dns.entries['mx.there.test'] = { A: ['127.0.0.1'] };
  });
  after(async () => {
    await here?.stop();
    await there?.stop();
    await postfix?.stop();
    await dns?.stop();
  });

  it('delivers to a second Letterlock over STARTTLS', async () => {
    const [alice] = there.users;
    await submit(here, [alice!.address], 'direct');
    const received = await receiveMessage(there, alice!, 'Subject: direct\r\n');
    assert.match(
      received.toString(),
      /^Received: from mx\.here\.test .*\r\n\tby mx\.there\.test with ESMTPS/m,
    );
    assert.match(received.toString(), /^Return-Path: <[^>]*@here\.test>\r\n/);
  });

  it('is told by that one of a recipient that does not exist, and tells its user', async () => {
    const [alice] = here.users;
    await submit(here, ['nobody@there.test'], 'unknown');
    const report = await receiveMessage(here, alice!, 'Subject: unknown\r\n');
    assert.match(report.toString(), /^Status: 5\.1\.1\r$/m);
    assert.match(report.toString(), /^Remote-MTA: dns; mx\.there\.test\r$/m);
  });

  it('delivers through a smarthost that is a Postfix', async () => {
    const config = sending('mx.here2.test', dns, 25, {
      smarthost: { host: '127.0.0.1', port: postfix.port, security: 'opportunistic' },
    });
    const sender = await startLetterlock({ domain: 'here2.test', config });
    try {
      const [alice, bob] = there.users;
      await submit(sender, [alice!.address, bob!.address], 'relayed');
      await receiveMessage(there, bob!, 'Subject: relayed\r\n');
      const received = await receiveMessage(there, alice!, 'Subject: relayed\r\n');
      assert.match(received.toString(), /^Received: from mx\.here2\.test .*\r\n\tby mta\.test \(Postfix\)/m);
      const { stdout } = await runCommand(['queue', 'list', '--json', '--data', sender.data]);
      assert.deepEqual(JSON.parse(stdout), []);
    } finally {
      await sender.stop();
    }
  });

  describe('that is killed', () => {
    let scratch: string;
    let remote: RemoteServer;
    afterEach(async () => {
      await remote?.stop();
      await removeScratch(scratch);
    });

    it('while it sends loses nothing, and sends twice only what was acknowledged in that moment', async () => {
      scratch = await makeScratch('killed');
      const port = await freePort();
      let kill: (() => void) | null = null;
      let taken = 0;
      remote = await RemoteServer.start({
        address: '127.0.0.4',
        port,
        answer: (verb) => {
          if (verb === 'end' && ++taken === 8) kill?.();
          return undefined;
        },
      });
      dns.entries['example.org'] = { MX: [[10, 'mx.example.org']] };
      dns.entries['mx.example.org'] = { A: ['127.0.0.4'] };
      const data = join(scratch, 'data');
      // Nothing goes out before all of it is accepted.
      dns.entries['example.org'] = 'SERVFAIL';
      const config = sending('mx.killed.test', dns, port, { maxConnectionsPerDomain: 3 });
      const first = await startLetterlock({ data, domain: 'killed.test', config });
      const subjects = Array.from({ length: 25 }, (_, n) => `killed ${n}`);
      for (const subject of subjects) await submit(first, ['x@example.org'], subject);
      const killed = new Promise<void>((resolve) => {
        kill = () => {
          kill = null;
          resolve(first.kill9());
        };
      });
      dns.entries['example.org'] = { MX: [[10, 'mx.example.org']] };
      await killed;
      const second = await startLetterlock({ data, domain: 'killed.test', config });
      try {
        const seen = (): string[] =>
          remote.accepted.map(({ data: text }) => /^Subject: (.*)\r$/m.exec(text)![1]!);
        while (new Set(seen()).size < subjects.length) await remote.changed();
        const emptied = async (): Promise<boolean> =>
          (await runCommand(['queue', 'list', '--data', data])).stdout === '';
        while (!(await emptied())) await new Promise((resolve) => setTimeout(resolve, 50));
        assert.deepEqual([...new Set(seen())].sort(), [...subjects].sort());
        // Three sessions were open.
        assert.ok(seen().length <= subjects.length + 3, `${seen().length} were received`);
      } finally {
        await second.stop();
      }
    });

    it('shows, holds, retries and drops what waits, by the command line, with and without a server', async () => {
      scratch = await makeScratch('queue');
      const port = await freePort();
      remote = await RemoteServer.start({
        address: '127.0.0.5',
        port,
        answer: (verb) => (verb === 'RCPT' ? '450 4.2.1 not today' : undefined),
      });
      dns.entries['later.test'] = { MX: [[10, 'mx.later.test']] };
      dns.entries['mx.later.test'] = { A: ['127.0.0.5'] };
      const data = join(scratch, 'data');
      const config = sending('mx.queue.test', dns, port, { retrySeconds: [3600] });
      const server = await startLetterlock({ data, domain: 'queue.test', config });
      const run = async (...args: string[]): Promise<string> => {
        const { exitCode, stdout, stderr } = await runCommand(['queue', ...args, '--data', data]);
        assert.deepEqual([exitCode, stderr], [0, '']);
        return stdout;
      };
      try {
        await submit(server, ['x@later.test'], 'waits');
        let [item] = JSON.parse(await run('list', '--json'));
        while (!(item.state === 'due' && Date.parse(item.nextAt) > Date.now() + 60_000)) {
          [item] = JSON.parse(await run('list', '--json'));
        }
        const shown = await run('show', item.id);
        assert.match(shown, /^sender: <[^>]+@queue\.test>$/m);
        assert.match(
          shown,
          /^recipients: <x@later\.test> waiting \(4\.2\.1 mx\.later\.test 450 not today\)$/m,
        );
        assert.equal(await run('hold', item.id), 'Held: 1 message.\n');
        assert.equal(JSON.parse(await run('list', '--json'))[0].state, 'held');
        assert.equal(await run('retry', 'all'), 'Due now: 1 message.\n');
        const absent = await runCommand(['queue', 'drop', '0'.repeat(32), '--data', data]);
        assert.deepEqual(
          [absent.exitCode, absent.stderr],
          [1, 'letterlock: There is no such message in the queue.\n'],
        );
      } finally {
        await server.stop();
      }
      const [alone] = JSON.parse(await run('list', '--json'));
      assert.match(await run('show', alone.id), /^attempts: [12]$/m);
      for (const file of await readdir(data, { recursive: true }))
        if (/index\.db(-wal|-shm)?$/.test(file)) await rm(join(data, file));
      await runCommand(['fsck', '--rebuild', '--data', data]);
      assert.equal(JSON.parse(await run('list', '--json'))[0].state, 'held');
      // It may have gone out already, for all that the index knows.
      assert.equal(await run('retry', 'all'), 'Due now: 0 messages.\n');
      assert.equal(await run('retry', alone.id), 'Due now: 1 message.\n');
      assert.equal(await run('drop', alone.id), 'Removed: 1 message.\n');
      assert.equal(await run('list'), '');
    });
  });
});
