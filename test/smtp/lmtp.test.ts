import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { SmtpFixture } from './support.ts';

describe('LMTP listener', () => {
  let fixture: SmtpFixture;
  let lmtp: SmtpListener;
  before(async () => {
    fixture = await SmtpFixture.open();
    lmtp = await fixture.lmtp({ messageOctets: 100_000 });
  });
  afterEach(() => fixture.disconnectAll());
  after(() => fixture.close());

  it('speaks LHLO and no HELO', async () => {
    const client = await fixture.connect(lmtp);
    await client.talk(`
      S: 220 mx.demo.test LMTP
      C: EHLO h
      S: 500
      C: HELO h
      S: 500
      C: MAIL FROM:<>
      S: 503 5.5.1
      C: LHLO h
      S: 250-mx.demo.test
      C: DATA
      S: 503 5.5.1`);
  });

  it('answers for each recipient in turn, repeated and refused ones too', async () => {
    const client = await fixture.connect(lmtp);
    await client.talk(`
      S: 220
      C: LHLO h
      S: 250
      C: MAIL FROM:<x@example.org>
      S: 250 2.1.0
      C: RCPT TO:<alice@demo.test>
      S: 250 2.1.5
      C: RCPT TO:<nobody@demo.test>
      S: 550 5.1.1
      C: RCPT TO:<full@demo.test>
      S: 250 2.1.5
      C: RCPT TO:<alice@demo.test>
      S: 250 2.1.5
      C: RCPT TO:<all@demo.test>
      S: 250 2.1.5
      C: DATA
      S: 354`);
    await client.send(`A: 1\r\n\r\n${'x'.repeat(2_000)}\r\n.\r\n`);
    await client.talk('S: 250 2.0.0\nS: 552 5.2.2\nS: 250 2.0.0\nS: 250 2.0.0\nC: NOOP\nS: 250 2.0.0 OK');
    assert.equal((await fixture.inbox('alice')).length, 1);
    assert.equal((await fixture.inbox('bob')).length, 1);
    assert.match((await fixture.inbox('bob'))[0]!, /with LMTP id/);
  });

  for (const [claim, message, reply] of [
    ['a bare LF', 'A: 1\r\n\r\nx\ny\r\n', '550 5.6.0'],
    ['a message that is too large', `A: 1\r\n\r\n${'x'.repeat(100_000)}\r\n`, '552 5.3.4'],
    ['a mail loop', `${'Received: x\r\n'.repeat(50)}\r\n`, '554 5.4.6'],
  ] as const) {
    it(`refuses ${claim} once for each recipient`, async () => {
      const client = await fixture.connect(lmtp);
      await client.talk('S: 220\nC: LHLO h\nS: 250');
      await client.beginMail('alice@demo.test', 'bob@demo.test', 'alice@demo.test');
      await client.send(`${message}.\r\n`);
      await client.talk(`S: ${reply}\nS: ${reply}\nS: ${reply}\nC: NOOP\nS: 250 2.0.0 OK`);
    });
  }
});
