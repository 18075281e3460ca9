import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RefusedError, UnavailableError } from '../../../src/errors.ts';
import { readPack } from '../../../src/store/embedded/pack.ts';
import { message } from '../../store/support.ts';
import { ImapFixture } from '../support.ts';

/** Flips a bit in every packed body of at least this many octets. */
function damage(directory: string, least: number, at: (size: number) => number): void {
  for (const name of readdirSync(join(directory, 'mailboxes'), { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, 'mailboxes', name);
    if (!path.endsWith('.pack')) continue;
    const octets = readFileSync(path);
    for (const { body, place } of readPack(path, 1)) {
      if (body !== null && body.length >= least) octets[place.bodyOffset + at(body.length)]! ^= 1;
    }
    writeFileSync(path, octets);
  }
}

describe('an IMAP server in trouble', () => {
  let fixture: ImapFixture;
  beforeEach(async () => {
    fixture = await ImapFixture.open();
  });
  afterEach(() => fixture.close());

  it('does not take a key service that is down, or denies, for a wrong password', async () => {
    await fixture.addUser('alice');
    const client = await fixture.connect();
    await client.line();
    fixture.leaseError = new UnavailableError('key-service-down', 'Keys cannot be opened now.');
    for (let i = 0; i < 6; i += 1) {
      assert.match((await client.run('LOGIN alice secret')).at(-1)!, /^t NO \[UNAVAILABLE\]/);
    }
    fixture.leaseError = new RefusedError('key-denied', 'The mailbox is locked.');
    assert.match((await client.run('LOGIN alice secret')).at(-1)!, /^t NO \[CONTACTADMIN\]/);
    assert.match((await client.run('LOGIN alice wrong')).at(-1)!, /^t NO \[AUTHENTICATIONFAILED\]/);
    fixture.leaseError = null;
    assert.match((await client.run('LOGIN alice secret')).at(-1)!, /^t OK/);
  });

  it('sends the messages that open, and says that one does not', async () => {
    const mailbox = await fixture.addUser('bob');
    for (const body of ['one', 'y'.repeat(30_000), 'three']) {
      await fixture.store.deliver(await fixture.store.sealed(message('s', body)), [mailbox]);
    }
    await fixture.store.reopen();
    damage(fixture.store.directory, 25_000, (size) => size >> 1);
    const client = await fixture.signIn('bob');
    await client.run('SELECT INBOX');
    const lines = await client.run('FETCH 1:3 BODY.PEEK[TEXT]');
    assert.deepEqual(
      lines.filter((line) => line.startsWith('* ')),
      ['* 1 FETCH (BODY[TEXT] {5}', '* 3 FETCH (BODY[TEXT] {7}'],
    );
    assert.match(lines.at(-1)!, /^t NO \[CORRUPTION\]/);
    assert.match((await client.run('FETCH 3 (FLAGS RFC822.SIZE)'))[0]!, /^\* 3 FETCH/);
    assert.ok(fixture.logged.some(({ level }) => level === 'error'));
  });

  it('closes the connection rather than fill up a literal whose length it promised', async () => {
    const mailbox = await fixture.addUser('carol');
    const sealed = await fixture.store.sealed(
      message(
        's',
        'z'.repeat(2_000_000).replace(/z/g, () => String(Math.random())[5]!),
      ),
    );
    await fixture.store.deliver(sealed, [mailbox]);
    await fixture.store.reopen();
    // Behind the first frames, so that a part of it has been sent.
    damage(fixture.store.directory, 500_000, (size) => Math.floor(size * 0.8));
    const client = await fixture.signIn('carol');
    await client.run('SELECT INBOX');
    client.send('t FETCH 1 BODY.PEEK[]');
    assert.match(await client.line(), /^\* 1 FETCH \(BODY\[\] \{2\d{6}\}$/);
    const rest = await client.ended();
    assert.ok(rest.length < 2_000_000);
    assert.ok(!rest.includes('t NO') && !rest.includes('BYE'));
  });
});
