import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { after, afterEach, before, describe, it } from 'mocha';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { type Client, SmtpFixture } from './support.ts';

const SMUGGLED =
  'MAIL FROM:<evil@example.org>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\nA: 1\r\n\r\nsmuggled\r\n.\r\n';

/** What other servers take for the end of DATA. */
const FALSE_ENDS = [
  '\n.\n',
  '\n.\r\n',
  '\n.\r',
  '\r\n.\n',
  '\r\n.\r',
  '\r.\r',
  '\r.\r\n',
  '\r.\n',
  '\r\n.\r\r\n',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\n.\x20\r\n',
  '\r\n..\r\n',
  '\r\n\r.\r\n',
  '\n\n.\r\n',
] as const;

/** RFC 5321 §4.5.2. */
const stuffed = (octets: string): string => octets.replace(/^\./, '..').replaceAll('\r\n.', '\r\n..');

describe('DATA', () => {
  let fixture: SmtpFixture;
  let refusing: SmtpListener;
  let repairing: SmtpListener;
  before(async () => {
    fixture = await SmtpFixture.open();
    refusing = await fixture.mx();
    repairing = await fixture.mx({ newlines: 'repair' });
  });
  afterEach(() => fixture.disconnectAll());
  after(() => fixture.close());

  /** The octets in pieces of that many, each a packet of its own. */
  async function sendIn(client: Client, octets: string, size: number): Promise<void> {
    for (let at = 0; at < octets.length; at += size) {
      await client.send(octets.slice(at, at + size));
      await new Promise(setImmediate);
    }
  }

  for (const end of FALSE_ENDS) {
    it(`does not end with ${JSON.stringify(end)}, in one packet or in many`, async () => {
      const message = `A: 1\r\n\r\nbody${end}${SMUGGLED.replaceAll('\r\n.\r\n', '\r\n')}tail\r\n.\r\n`;
      const isBare = /\r(?!\n)|(?<!\r)\n/.test(message);
      for (const size of [1, 2, 3, 5, message.length]) {
        const client = await fixture.connect(refusing);
        await client.begin('alice@demo.test');
        const before = await fixture.bodies('alice');
        await sendIn(client, message, size);
        await client.talk(isBare ? 'S: 550 5.6.0' : 'S: 250 2.0.0');
        await client.talk('C: NOOP\nS: 250 2.0.0 OK');
        const added = (await fixture.bodies('alice')).slice(before.length);
        const stored = message.slice(0, -3).replaceAll('\r\n..', '\r\n.');
        assert.deepEqual(added, isBare ? [] : [stored]);
      }
      assert.deepEqual(await fixture.bodies('bob'), []);
    });
  }

  it('may be empty, or begin with a dot, however it is cut', async () => {
    const client = await fixture.connect(refusing);
    await client.talk('S: 220\nC: EHLO h\nS: 250');
    for (const body of [
      '',
      '.\r\n',
      '..\r\n',
      '.\r\n.\r\n',
      '\r\n',
      '.x\r\n',
      '\r\n.\r\n',
      '\r\n...\r\n.\r\n',
    ]) {
      for (const size of [1, 2, 3, 4, 100]) {
        await client.beginMail('alice@demo.test');
        await sendIn(client, `${stuffed(body)}.\r\n`, size);
        await client.talk('S: 250 2.0.0');
        assert.equal((await fixture.bodies('alice')).at(-1), body);
      }
    }
  });

  it('keeps every octet: long lines, NUL, 8 bit', async () => {
    const client = await fixture.connect(refusing);
    await client.talk('S: 220\nC: EHLO h\nS: 250');
    const everyOctet = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString('latin1');
    const bodies = [
      `A: 1\r\n\r\n${everyOctet.replace('\n', '').replace('\r', '')}\r\n`,
      `A: 1\r\n\r\n${'x'.repeat(70_000)}\r\n${'.'.repeat(5_000)}\r\n`,
      `\0\r\n\r\n${'\0'.repeat(1_000)}\r\n`,
      randomBytes(300_000)
        .toString('latin1')
        .replace(/[\r\n]/g, '\r\n')
        .concat('\r\n'),
    ];
    for (const body of bodies) {
      await client.beginMail('alice@demo.test');
      await client.send(`${stuffed(body)}.\r\n`);
      await client.talk('S: 250 2.0.0');
      assert.ok((await fixture.bodies('alice')).at(-1) === body, `octets ${body.length} were changed`);
    }
  });

  it('gives back what was sent, whatever it was and however it was cut', async () => {
    const client = await fixture.connect(refusing);
    await client.talk('S: 220\nC: EHLO h\nS: 250');
    const piece = fc.constantFrom('.', '..', '\r\n', '\r\n.', 'a', '\0', '\xff', ' ', ':', 'x: y');
    const body = fc.array(piece, { maxLength: 30 }).map((pieces) => `A: 1\r\n${pieces.join('')}\r\n`);
    await fc.assert(
      fc.asyncProperty(body, fc.integer({ min: 1, max: 20 }), async (octets, size) => {
        await client.beginMail('bob@demo.test');
        await sendIn(client, `${stuffed(octets)}.\r\n`, size);
        await client.talk('S: 250 2.0.0');
        assert.equal((await fixture.bodies('bob')).at(-1), octets);
      }),
      { numRuns: 40 },
    );
  });

  it('is repaired where that is configured', async () => {
    const client = await fixture.connect(repairing);
    await client.begin('alice@demo.test');
    await client.send(`A: 1\nB: 2\r\r\n\r\nbody\n.\r\n${SMUGGLED}`);
    // What is smuggled is the rest of the message, up to its own end.
    await client.talk('S: 250 2.0.0\nC: NOOP\nS: 250 2.0.0 OK');
    assert.equal(
      (await fixture.bodies('alice')).at(-1),
      `A: 1\r\nB: 2\r\n\r\n\r\nbody\r\n.\r\n${SMUGGLED.slice(0, -3)}`,
    );
  });

  it('is prefixed with one trace block, which names a single recipient', async () => {
    const client = await fixture.connect(refusing);
    await client.begin('al@demo.test');
    await client.send('Return-Path: <forged@x>\r\nA: 1\r\n\r\nbody\r\n.\r\n');
    const id = /^250 2\.0\.0 Accepted as (\S+)$/.exec(await client.reply())![1];
    assert.equal(
      (await fixture.inbox('alice')).at(-1),
      'Return-Path: <x@example.org>\r\n' +
        'Received: from h ([127.0.0.1])\r\n' +
        `\tby mx.demo.test with ESMTP id ${id}\r\n` +
        '\tfor <al@demo.test>; Tue, 03 Nov 2026 04:05:06 +0000\r\n' +
        'A: 1\r\n\r\nbody\r\n',
    );
  });

  it('is the same for every recipient, none of whom is named', async () => {
    const client = await fixture.connect(refusing);
    await client.begin('alice@demo.test', 'bob@demo.test', 'all@demo.test');
    const counts = [(await fixture.inbox('alice')).length, (await fixture.inbox('bob')).length];
    await client.send('A: 1\r\n\r\nbody\r\n.\r\n');
    await client.talk('S: 250 2.0.0');
    const [alice, bob] = [await fixture.inbox('alice'), await fixture.inbox('bob')];
    assert.deepEqual([alice.length, bob.length], [counts[0]! + 1, counts[1]! + 1], 'one copy each');
    assert.equal(alice.at(-1), bob.at(-1));
    assert.doesNotMatch(alice.at(-1)!, /for <|demo\.test>/);
  });

  it('that the client cuts short is forgotten', async () => {
    const client = await fixture.connect(refusing);
    await client.begin('alice@demo.test');
    const before = (await fixture.inbox('alice')).length;
    await client.send('A: 1\r\n\r\nhalf a mess');
    client.close();
    await client.quiet();
    assert.equal((await fixture.inbox('alice')).length, before);
    assert.equal(fixture.budget.usedOctets, 0);
  });
});
