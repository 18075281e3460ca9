import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { runCommand } from '../cli/run-command.ts';
import { DnsServer } from '../support/dns-server.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { RemoteServer } from '../support/remote-server.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('receiving needs no secret', function () {
  this.timeout(30_000);
  let scratch: string;
  let data: string;
  before(async () => {
    scratch = await makeScratch('no-secret');
    data = join(scratch, 'data');
    await (await start()).stop();
  });
  after(() => removeScratch(scratch));

  const start = (): Promise<Letterlock> =>
    startLetterlock({ data, config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });

  async function deliver({ ports, users, group }: Letterlock, subject: string): Promise<void> {
    const message = `Subject: ${subject}\r\n\r\nHello.\r\n`;
    for (const to of [users[0]!.address, group]) {
      const client = await RawSmtp.connect(ports.mx);
      await client.send('sender@elsewhere.test', [to], message);
      client.destroy();
    }
  }

  async function subjects({ ports, users }: Letterlock): Promise<string[]> {
    const imap = await RawImap.login(ports.imap, users[0]!);
    await imap.ok('EXAMINE INBOX');
    const { untagged } = await imap.ok('FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]');
    imap.destroy();
    return untagged.flatMap((response) => /^Subject: (.*)\r$/m.exec(response)?.[1] ?? []);
  }

  /** Records of the last start. */
  async function keyUses(): Promise<{ event: string; operation?: string }[]> {
    const journal = join(data, 'keys', 'journal');
    const last = (await readdir(journal)).sort().at(-1)!;
    const text = (await readFile(join(journal, last), 'latin1')).trim();
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line));
  }

  it('delivery uses no key: the key-use journal has a record only when somebody logs in', async () => {
    const server = await start();
    await deliver(server, 'sealed');
    assert.deepEqual(await keyUses(), []);
    assert.deepEqual(await subjects(server), ['sealed', 'sealed']);
    await server.stop();
    assert.ok((await keyUses()).some(({ operation }) => operation === 'unwrap'));
  });

  it('mail for other servers is accepted, too, and goes out when the key is back', async () => {
    const remote = await RemoteServer.start({ address: '127.0.0.7' });
    const dns = await DnsServer.start({
      'example.org': { MX: [[10, 'mx.example.org']] },
      'mx.example.org': { A: ['127.0.0.7'] },
    });
    const sending = (): Promise<Letterlock> =>
      startLetterlock({
        data,
        config: {
          plaintextAuthNetworks: ['127.0.0.0/8'],
          hostname: 'mx.demo.test',
          roles: ['submission', 'imap', 'queue'],
          outbound: {
            dnsServers: [dns.address],
            privateNetworks: ['127.0.0.0/8'],
            port: remote.port,
            retrySeconds: [1],
          },
        },
      });
    await (await sending()).stop();
    const rootKey = join(data, 'keys', 'root.key');
    await rename(rootKey, `${rootKey}.kept`);
    await writeFile(rootKey, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    const locked = await sending();
    const { address, password } = locked.users[0]!;
    const client = await RawSmtp.connect(locked.ports.submission);
    assert.match(
      await client.command(`AUTH PLAIN ${Buffer.from(`\0${address}\0${password}`).toString('base64')}`),
      /^235/,
    );
    await client.send(address, ['x@example.org'], `From: ${address}\r\nSubject: out\r\n\r\nx\r\n`);
    client.destroy();
    let waiting: { waitsFor: string | null }[] = [];
    while (waiting[0]?.waitsFor == null) {
      waiting = JSON.parse((await runCommand(['queue', 'list', '--json', '--data', data])).stdout);
    }
    assert.equal(waiting.length, 1);
    await locked.stop();
    assert.equal(remote.connections, 0);

    await rename(`${rootKey}.kept`, rootKey);
    const server = await sending();
    await remote.received(1);
    await server.stop();
    await remote.stop();
    await dns.stop();
  });

  it('mail is accepted while no identity can be unwrapped, and read when the key is back', async () => {
    const rootKey = join(data, 'keys', 'root.key');
    await rename(rootKey, `${rootKey}.kept`);
    await writeFile(rootKey, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    const locked = await start();
    await deliver(locked, 'while locked');
    const imap = await RawImap.connect(locked.ports.imap);
    const { address, password } = locked.users[0]!;
    await imap.ok('NOOP');
    const answer = await imap.command(`LOGIN ${address} "${password}"`);
    const select = answer.status === 'OK' ? await imap.command('SELECT INBOX') : answer;
    assert.equal(select.status, 'NO');
    assert.doesNotMatch(select.text, /AUTHENTICATIONFAILED/);
    imap.destroy();
    await locked.stop();

    await rename(`${rootKey}.kept`, rootKey);
    const server = await start();
    assert.deepEqual(await subjects(server), ['sealed', 'sealed', 'while locked', 'while locked']);
    await server.stop();
  });
});
