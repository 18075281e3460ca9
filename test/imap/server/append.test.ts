import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterEach, describe, it } from 'mocha';
import type { ImapServerOptions } from '../../../src/imap/server.ts';
import { IMAP_LITERALS } from '../../../src/limits.ts';
import { spoolDirectory } from '../../../src/store/embedded/layout.ts';
import { type Client, ImapFixture } from '../support.ts';

const MIB = 1024 * 1024;
/** Random, so that it does not shrink to something that needs no file. */
const large = (): string => randomBytes(2 * MIB).toString('latin1');
const literal = (octets: string): string => `{${octets.length}+}\r\n${octets}`;

describe('APPEND of several messages', () => {
  let fixture: ImapFixture;
  afterEach(() => fixture.close());
  const open = async (options: Partial<ImapServerOptions> = {}): Promise<void> => {
    fixture = await ImapFixture.open(options);
    await fixture.addUser('alice');
  };
  const spooled = (): number => readdirSync(spoolDirectory(fixture.store.directory)).length;
  const count = async (client: Client, messages: number): Promise<void> => {
    assert.match((await client.run('STATUS INBOX (MESSAGES)'))[0]!, new RegExp(`MESSAGES ${messages}\\)`));
  };

  it('keeps the octets of each, small and large, waited for or not', async () => {
    await open();
    const client = await fixture.signIn('alice');
    const bodies = [large(), 'small', large(), '\0\r\n{3+}\r\n', large()];
    client.write('t APPEND INBOX');
    for (const [index, body] of bodies.entries()) {
      if (index % 2 === 0) client.write(` ${literal(body)}`);
      else {
        client.write(` (\\Seen) {${body.length}}\r\n`);
        assert.match(await client.line(), /^\+ /);
        client.write(body);
      }
    }
    client.send('');
    assert.match((await client.until('t')).at(-1)!, /^t OK \[APPENDUID \d+ 1:5\]/);
    await client.run('EXAMINE INBOX');
    for (const [index, body] of bodies.entries()) {
      const text = (await client.run(`FETCH ${index + 1} BODY.PEEK[]`)).slice(0, -1).join('\r\n');
      assert.ok(text.endsWith(`{${body.length}}\r\n${body})`), `message ${index + 1}`);
    }
  });

  it('leaves nothing behind, in the folder or on the disk, when a later message is refused', async () => {
    await open({ appendLimitOctets: 3 * MIB });
    const client = await fixture.signIn('alice');
    for (const [last, answer] of [
      [literal('x'.repeat(4 * MIB)), /^t NO \[TOOBIG\]/],
      ['(\\Foo) {3+}\r\nabc', /^t BAD/],
      ['nonsense', /^t BAD/],
    ] as const) {
      client.send(`t APPEND INBOX ${literal(large())} ${literal(large())} ${last}`);
      assert.match((await client.until('t')).at(-1)!, answer);
      assert.equal(spooled(), 0);
    }
    await count(client, 0);
  });

  it('leaves nothing behind when the client vanishes between two messages, or within one', async () => {
    await open();
    for (const end of ['', ' {1000+}\r\nabc']) {
      const client = await fixture.signIn('alice');
      client.write(`t APPEND INBOX ${literal(large())}`);
      client.write(` {5}\r\n`);
      assert.match(await client.line(), /^\+ /);
      assert.equal(spooled(), 1);
      client.write(`later${end}`);
      client.close();
      while (fixture.server.connectionCount > 0) await new Promise(setImmediate);
      assert.equal(spooled(), 0);
    }
    await count(await fixture.signIn('alice'), 0);
  });

  it('counts all of them for the quota, before the last is asked for', async () => {
    await open();
    await fixture.addUser('full', 10_000);
    const client = await fixture.signIn('full');
    client.send(`t APPEND INBOX ${literal('x'.repeat(6_000))} {6000}`);
    assert.match(await client.line(), /^t NO \[OVERQUOTA\]/);
    client.send(`t APPEND INBOX ${literal('x'.repeat(6_000))} {3000}`);
    assert.match(await client.line(), /^\+ /);
    client.send('y'.repeat(3_000));
    assert.match(await client.line(), /^t OK/);
    await count(client, 2);
  });

  it('bounds what all connections hold until their commands end, and lets go of it', async () => {
    await open({ maxWaitingOctets: 10_000 });
    const [first, second] = [await fixture.signIn('alice'), await fixture.signIn('alice')];
    first.write(`t APPEND INBOX ${literal('one')} {8000}\r\n`);
    assert.match(await first.line(), /^\+ /);
    second.send(`t APPEND INBOX ${literal('one')} {8000}`);
    assert.match(await second.line(), /^t NO \[INUSE\]/);
    first.send('x'.repeat(8_000));
    assert.match(await first.line(), /^t OK/);
    second.send(`t APPEND INBOX ${literal('one')} ${literal('x'.repeat(8_000))}`);
    assert.match(await second.line(), /^t OK/);
  });

  it('takes as many as a command may have literals; one more is refused, and none kept', async () => {
    await open();
    const client = await fixture.signIn('alice');
    const messages = ` ${literal('x')}`.repeat(IMAP_LITERALS);
    client.send(`t APPEND INBOX${messages}`);
    assert.match(
      (await client.until('t')).at(-1)!,
      new RegExp(`^t OK \\[APPENDUID \\d+ 1:${IMAP_LITERALS}\\]`),
    );
    client.send(`t APPEND INBOX${messages} {1+}\r\nx {1+}\r\ny`);
    assert.match((await client.until('t')).at(-1)!, /^t BAD/);
    await count(client, IMAP_LITERALS);
  });
});
