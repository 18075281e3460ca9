/** What senders ask to be told, and are told: RFC 3461. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { SendingLimits } from '../../src/outbound/sending-limits.ts';
import { message, OutboundFixture } from './support.ts';

const DSN = ['PIPELINING', '8BITMIME', 'DSN'];

describe('delivery status notifications', function () {
  this.timeout(20_000);
  let fixture: OutboundFixture;
  beforeEach(async () => {
    fixture = await OutboundFixture.open();
  });
  afterEach(() => fixture.close());

  /** Alice submits; parameters stand behind MAIL and each RCPT. */
  async function submit(
    mail: string,
    recipients: readonly string[],
    text = message('hello', 'the body'),
  ): Promise<void> {
    const client = await fixture.signIn();
    await client.talk(`C: MAIL FROM:<alice@demo.test> ${mail}\nS: 250`);
    for (const recipient of recipients) await client.talk(`C: RCPT TO:${recipient}\nS: 250`);
    await client.talk('C: DATA\nS: 354');
    await client.send(`${text}.\r\n`);
    assert.match(await client.reply(), /^250 /);
    client.close();
  }

  it('are offered to users alone: not where strangers send, and not by LMTP', async () => {
    for (const [start, isOffered] of [
      ['submission', true],
      ['mx', false],
      ['lmtp', false],
    ] as const) {
      const client = await fixture.smtp.connect(await fixture.smtp[start]());
      await client.talk('S: 220');
      await client.send(start === 'lmtp' ? 'LHLO h\r\n' : 'EHLO h\r\n');
      assert.equal(/^250[ -]DSN\r?$/m.test(await client.reply()), isOffered, start);
    }
  });

  it('are left to a server that knows them, with all that the sender asked for', async () => {
    const remote = await fixture.remote('example.org', { extensions: DSN });
    await submit('RET=HDRS ENVID=a+2Bb+3Dc', [
      '<x@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2Bold@example.org',
      '<y@example.org> NOTIFY=NEVER',
      '<z@example.org>',
    ]);
    const [one] = await remote.received(1);
    assert.match(one!.from, /^<alice@demo\.test> .*RET=HDRS ENVID=a\+2Bb\+3Dc$/);
    assert.deepEqual(one!.to, [
      '<x@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2Bold@example.org',
      '<y@example.org> NOTIFY=NEVER',
      '<z@example.org>',
    ]);
    await fixture.empty();
    assert.deepEqual(await fixture.smtp.inbox('alice'), []);
  });

  it('say that a message was sent on, when the server there will not report', async () => {
    const remote = await fixture.remote('example.org');
    await submit('ENVID=my+2Bid', [
      '<x@example.org> NOTIFY=SUCCESS ORCPT=rfc822;first@example.org',
      '<y@example.org> NOTIFY=FAILURE',
    ]);
    assert.deepEqual((await remote.received(1))[0]!.to, ['<x@example.org>', '<y@example.org>']);
    await fixture.empty();
    const [report, ...others] = await fixture.smtp.inbox('alice');
    assert.deepEqual(others, []);
    assert.match(report!, /\r\nOriginal-Envelope-Id: my\+id\r\n/);
    assert.match(
      report!,
      /\r\nOriginal-Recipient: rfc822; first@example\.org\r\nFinal-Recipient: rfc822; x@example\.org\r\nAction: relayed\r\n/,
    );
    assert.ok(!report!.includes('y@example.org'));
  });

  it('of failure are not sent to who wants none', async () => {
    await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? '550 5.1.1 no' : undefined) });
    await submit('RET=FULL', ['<x@example.org> NOTIFY=NEVER', '<y@example.org> NOTIFY=SUCCESS,DELAY']);
    await fixture.empty();
    assert.deepEqual(await fixture.smtp.inbox('alice'), []);
  });

  it('return the message, or its header, as it was asked for', async () => {
    await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? '550 5.1.1 no' : undefined) });
    await submit('RET=FULL', ['<x@example.org>']);
    await fixture.inbox('alice', 1);
    await submit('RET=HDRS', ['<x@example.org>']);
    const [full, header] = await fixture.inbox('alice', 2);
    assert.match(full!, /\r\nContent-Type: message\/rfc822\r\n[\s\S]*\r\nSubject: hello\r\n\r\nthe body\r\n/);
    assert.match(header!, /\r\nContent-Type: text\/rfc822-headers\r\n[\s\S]*\r\nSubject: hello\r\n/);
    assert.ok(!header!.includes('the body'));
  });

  it('of delivery here reach a user of ours', async () => {
    await submit('', ['<bob@demo.test> NOTIFY=SUCCESS', '<all@demo.test> NOTIFY=FAILURE']);
    const [report] = (await fixture.inbox('alice', 2)).filter((text) => text.includes('MAILER-DAEMON'));
    assert.match(
      report!,
      /\r\nFinal-Recipient: rfc822; bob@demo\.test\r\nAction: delivered\r\nStatus: 2\.1\.5\r\n/,
    );
    assert.ok(!report!.includes('all@demo.test'));
  });

  it('cannot be asked for by a stranger, who might name anybody as the one to be told', async () => {
    const client = await fixture.smtp.connect(await fixture.smtp.mx());
    await client.talk(`S: 220\nC: EHLO h\nS: 250
      C: MAIL FROM:<victim@example.org> RET=FULL\nS: 555 5.5.4
      C: MAIL FROM:<victim@example.org> ENVID=e1\nS: 555 5.5.4
      C: MAIL FROM:<victim@example.org>\nS: 250
      C: RCPT TO:<bob@demo.test> NOTIFY=SUCCESS\nS: 555 5.5.4
      C: RCPT TO:<bob@demo.test>\nS: 250\nC: DATA\nS: 354
      C: Subject: from abroad\nC: \nC: x\nC: .\nS: 250`);
    assert.equal((await fixture.smtp.inbox('bob')).length, 1);
    assert.deepEqual(await fixture.items(), []);
  });

  it('of failure go out to a stranger, from nobody, with the header alone, and are reported on to nobody', async () => {
    const remote = await fixture.remote('example.org', { extensions: DSN });
    fixture.smtp.directory.createGroup('some@demo.test', ['bob@demo.test', 'full@demo.test']);
    const client = await fixture.smtp.connect(await fixture.smtp.mx());
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<x@example.org>\nS: 250');
    await client.talk('C: RCPT TO:<some@demo.test>\nS: 250\nC: DATA\nS: 354');
    await client.send(`Subject: from abroad\r\n\r\n${'x'.repeat(1_990)}\r\n.\r\n`);
    assert.match(await client.reply(), /^250/);
    const [report] = await remote.received(1);
    assert.match(report!.from, /^<>/);
    assert.deepEqual(report!.to, ['<x@example.org> NOTIFY=NEVER']);
    assert.match(report!.data, /\r\nAction: failed\r\n/);
    assert.match(report!.data, /\r\nSubject: from abroad\r\n/);
    assert.doesNotMatch(report!.data, /xxxx/);
    await fixture.empty();
  });

  it('that leave are counted: those beyond the bound of the organization wait', async () => {
    await fixture.outbound.close(0);
    const limits = new SendingLimits({
      ...{ userPerHour: null, userPerDay: null, organizationPerHour: 1, organizationPerDay: null },
    });
    fixture.outbound = fixture.newOutbound({
      countReport: (organization) => limits.take(organization, null),
    });
    await fixture.outbound.start();
    const remote = await fixture.remote('example.com');
    await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? '550 5.1.1 no' : undefined) });
    fixture.smtp.directory.createGroup('wide@demo.test', ['x@example.org']);
    for (let n = 0; n < 3; n++) {
      const client = await fixture.smtp.connect(await fixture.smtp.mx());
      await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<stranger@example.com>\nS: 250');
      await client.talk('C: RCPT TO:<wide@demo.test>\nS: 250\nC: DATA\nS: 354\nC: A: 1\nC: .\nS: 250');
    }
    await remote.received(1);
    await fixture.waiting(2);
    assert.equal(remote.accepted.length, 1);
  });

  it('tell the sender that a member of a group did not get the message, without its name', async () => {
    fixture.smtp.directory.createGroup('some@demo.test', ['bob@demo.test', 'full@demo.test']);
    await submit('', ['<some@demo.test>'], message('long', 'x'.repeat(1_900)));
    const [report] = await fixture.inbox('alice', 1);
    assert.match(
      report!,
      /\r\nFinal-Recipient: rfc822; some@demo\.test\r\nAction: failed\r\nStatus: 5\.2\.2\r\n/,
    );
    assert.ok(!report!.includes('full@demo.test'));
    assert.equal((await fixture.smtp.inbox('bob')).length, 1);
  });

  it('are not asked for by what RFC 3461 does not know', async () => {
    const client = await fixture.signIn();
    await client.talk(`C: MAIL FROM:<alice@demo.test> RET=ALL\nS: 501
      C: MAIL FROM:<alice@demo.test> ENVID=${'x'.repeat(101)}\nS: 501
      C: MAIL FROM:<alice@demo.test>\nS: 250
      C: RCPT TO:<x@example.org> NOTIFY=SOMETIMES\nS: 501
      C: RCPT TO:<x@example.org> NOTIFY=NEVER,SUCCESS\nS: 501
      C: RCPT TO:<x@example.org> ORCPT=nothing\nS: 501
      C: RCPT TO:<x@example.org> ORCPT=rfc822;${'x'.repeat(500)}\nS: 501`);
  });
});
