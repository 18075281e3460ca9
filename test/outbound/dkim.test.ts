/** DKIM signatures on outgoing mail, verified by mailauth as another server would. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { dkimRecord } from '../../src/cli/dns-records.ts';
import { bodyHashOf } from '../../src/outbound/dkim.ts';
import type { RemoteServer } from '../support/remote-server.ts';
import { message, OutboundFixture } from './support.ts';
import { verifiedBy } from './verify.ts';

describe('DKIM', function () {
  this.timeout(20_000);
  let fixture: OutboundFixture;
  let remote: RemoteServer | null;
  beforeEach(async () => {
    fixture = await OutboundFixture.open();
    remote = null;
  });
  afterEach(() => fixture.close());

  async function newKeys(domain = 'demo.test'): Promise<void> {
    const { accounts } = fixture.smtp;
    for (const key of await accounts.createDkimKeys(domain, ['rsa', 'ed25519'], 'test')) {
      const { name, value } = dkimRecord(key);
      fixture.dns.entries[name] = { TXT: [value] };
    }
    await accounts.activateDkimKeys(domain);
  }

  /** What the verifier says of each signature of a message that Alice sent. */
  async function verdicts(text: string): Promise<string[]> {
    remote ??= await fixture.remote('example.org');
    const before = remote.accepted.length;
    await fixture.submit(['x@example.org'], text);
    const one = (await remote.received(before + 1)).at(-1);
    return verifiedBy(fixture.dns, Buffer.from(one!.data, 'latin1'));
  }

  const both = ['ed25519-sha256 demo.test pass', 'rsa-sha256 demo.test pass'];
  for (const [what, text] of [
    ['plain mail', message('hello')],
    ['an empty body', message('empty', '').replace(/\r\n\r\n[\s\S]*$/, '\r\n\r\n')],
    [
      'spaces, tabs, dots and empty lines at odd places',
      message('odd \t  ends ', ' \t\r\n\r\n.\r\n a  b\t\tc \r\n..x\r\n\r\n\r\n'),
    ],
    [
      'folded and repeated fields',
      message('x').replace(
        'Subject: x',
        'Subject: a\r\n\tb\r\n  c\r\nReferences: <1@x>\r\nReferences: <2@x>',
      ),
    ],
    ['8-bit text', Buffer.from(message('Gr\u00fc\u00dfe', 'Sch\u00f6n.')).toString('latin1')],
    [
      'megabytes',
      message(
        'large',
        randomBytes(1_500_000)
          .toString('base64')
          .replace(/.{1,76}/g, '$&  \r\n'),
      ),
    ],
  ] as const) {
    it(`signs ${what} twice, so that it verifies`, async () => {
      await newKeys();
      assert.deepEqual(await verdicts(text), both);
    });
  }

  it('fails when the body, a signed field or the number of them was changed', async () => {
    await newKeys();
    remote = await fixture.remote('example.org');
    await fixture.submit(['x@example.org'], message('hello'));
    const { data } = (await remote.received(1))[0]!;
    for (const changed of [
      data.replace('Hello.', 'Hallo.'),
      data.replace('Subject: hello', 'Subject: hallo'),
      data.replace('Subject: hello', 'Subject: hallo\r\nSubject: hello'),
    ]) {
      assert.notEqual(changed, data);
      const found = await verifiedBy(fixture.dns, Buffer.from(changed, 'latin1'));
      assert.ok(found.length === 2 && found.every((verdict) => !verdict.endsWith(' pass')), found.join());
    }
  });

  it('signs nothing without keys, or with keys that wait', async () => {
    assert.deepEqual(await verdicts(message('none')), []);
    await fixture.smtp.accounts.createDkimKeys('demo.test', ['rsa'], 'test');
    assert.deepEqual((await verdicts(message('waiting'))).length, 0);
  });

  it('goes on with the old keys until the new ones are activated', async () => {
    await newKeys();
    const [old] = fixture.smtp.accounts.dkimKeys('demo.test');
    await fixture.smtp.accounts.createDkimKeys('demo.test', ['rsa', 'ed25519'], 'test');
    assert.deepEqual(await verdicts(message('during')), both);
    await fixture.smtp.accounts.activateDkimKeys('demo.test');
    const states = fixture.smtp.accounts.dkimKeys('demo.test').map(({ state }) => state);
    assert.deepEqual(states.sort(), ['active', 'active', 'retired', 'retired']);
    await fixture.smtp.accounts.removeDkimKey('demo.test', old!.selector, 'test');
    assert.equal(fixture.smtp.accounts.dkimKeys('demo.test').length, 3);
  });

  describe('and what strangers send to a group with a member elsewhere', () => {
    const text = message('From the boss');
    beforeEach(async () => {
      await newKeys();
      fixture.smtp.directory.createGroup('wide@demo.test', ['x@example.org']);
    });

    /** By the listener for the world. */
    async function fromAbroad(sender: string): Promise<void> {
      const client = await fixture.smtp.connect(await fixture.smtp.mx());
      await client.talk(`S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<${sender}>\nS: 250`);
      await client.talk('C: RCPT TO:<wide@demo.test>\nS: 250\nC: DATA\nS: 354');
      await client.send(`${text}.\r\n`);
      assert.match(await client.reply(), /^250/);
      client.close();
    }

    for (const sender of ['stranger@example.com', 'alice@demo.test', ''])
      it(`signs nothing of it, though it says it is from one of ours: sender <${sender}>`, async () => {
        remote = await fixture.remote('example.org');
        await fromAbroad(sender);
        const { data } = (await remote.received(1))[0]!;
        assert.match(data, /^From: alice@demo\.test\r$/m);
        assert.deepEqual(await verifiedBy(fixture.dns, Buffer.from(data, 'latin1')), []);
      });

    it('signs what a user sends to the group, and the report that a stranger gets', async () => {
      remote = await fixture.remote('example.org');
      await fixture.submit(['wide@demo.test'], text);
      const [copy] = await remote.received(1);
      assert.deepEqual(await verifiedBy(fixture.dns, Buffer.from(copy!.data, 'latin1')), both);
      remote.answer = (verb) => (verb === 'RCPT' ? '550 5.1.1 no' : undefined);
      const com = await fixture.remote('example.com');
      await fromAbroad('stranger@example.com');
      const [report] = await com.received(1);
      assert.match(report!.data, /^From: .*<MAILER-DAEMON@mx\.demo\.test>\r$/m);
      assert.deepEqual(await verifiedBy(fixture.dns, Buffer.from(report!.data, 'latin1')), both);
    });
  });

  it('hashes a body the same in any chunking', async () => {
    const body = Buffer.from(' a \t b\r\n\r\n\r\nc\r\n \r\n\r\n');
    const inChunks = (size: number) =>
      bodyHashOf(
        (async function* () {
          for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
        })(),
      );
    const whole = await inChunks(body.length);
    for (let size = 1; size < body.length; size++) assert.deepEqual(await inChunks(size), whole);
  });
});
