import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
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
