import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { base64, PASSWORD, plain, SmtpFixture } from './support.ts';

const ALICE = plain('alice@demo.test', PASSWORD);

describe('submission listeners', () => {
  let fixture: SmtpFixture;
  let starttls: SmtpListener;
  let implicit: SmtpListener;
  before(async () => {
    fixture = await SmtpFixture.open();
    starttls = await fixture.submission();
    implicit = await fixture.submission({ isTlsImplicit: true });
  });
  afterEach(() => fixture.disconnectAll());
  after(() => fixture.close());

  it('neither offer nor take AUTH before TLS', async () => {
    const client = await fixture.connect(starttls);
    await client.talk('S: 220\nC: EHLO h');
    assert.doesNotMatch(await client.reply(), /AUTH/);
    await client.talk(`C: AUTH PLAIN ${ALICE}\nS: 538 5.7.11\nC: MAIL FROM:<alice@demo.test>\nS: 530 5.7.0`);
  });

  it('take it without TLS from networks that are named', async () => {
    const named = await fixture.submission({ plaintextNetworks: ['127.0.0.0/8'] });
    const other = await fixture.submission({ plaintextNetworks: ['10.0.0.0/8', '::1/128'] });
    const trusted = await fixture.connect(named);
    await trusted.talk('S: 220\nC: EHLO h');
    assert.match(await trusted.reply(), /^250[ -]AUTH PLAIN LOGIN\r?$/m);
    await trusted.talk(`C: AUTH PLAIN ${ALICE}\nS: 235 2.7.0\nC: MAIL FROM:<alice@demo.test>\nS: 250 2.1.0`);
    await (await fixture.connect(other)).talk(
      `S: 220\nC: EHLO h\nS: 250\nC: AUTH PLAIN ${ALICE}\nS: 538 5.7.11`,
    );
  });

  it('forget at STARTTLS who signed in before it', async () => {
    const client = await fixture.connect(await fixture.submission({ plaintextNetworks: ['127.0.0.0/8'] }));
    await client.talk(`S: 220\nC: EHLO h\nS: 250\nC: AUTH PLAIN ${ALICE}\nS: 235`);
    await client.send(`STARTTLS\r\nAUTH PLAIN ${ALICE}\r\n`);
    await client.talk('S: 220');
    await client.startTls();
    await client.talk('C: EHLO h\nS: 250\nC: MAIL FROM:<alice@demo.test>\nS: 530 5.7.0');
  });

  const login = (user: string, password: string) =>
    `C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: ${base64(user)}\nS: 334 UGFzc3dvcmQ6\nC: ${base64(password)}`;

  for (const [claim, conversation] of [
    ['AUTH PLAIN in one line', `C: AUTH PLAIN ${ALICE}\nS: 235 2.7.0`],
    ['AUTH PLAIN in two', `C: AUTH PLAIN\nS: 334 \nC: ${ALICE}\nS: 235 2.7.0`],
    ['AUTH PLAIN with two spaces', `C: AUTH PLAIN  ${ALICE}\nS: 235 2.7.0`],
    ['AUTH LOGIN', `${login('alice@demo.test', PASSWORD)}\nS: 235 2.7.0`],
    ['AUTH LOGIN with an alias', `${login('AL@Demo.Test', PASSWORD)}\nS: 235 2.7.0`],
    [
      'a space after MAIL FROM:',
      `C: AUTH PLAIN ${ALICE}\nS: 235\nC: MAIL FROM: <alice@demo.test>\nS: 250 2.1.0`,
    ],
  ] as const) {
    it(`take ${claim}, over STARTTLS and over implicit TLS`, async () => {
      const secure = await fixture.connectTls(implicit);
      await secure.talk(`S: 220\nC: EHLO h\nS: 250\n${conversation}`);
      const upgraded = await fixture.connect(starttls);
      await upgraded.talk('S: 220\nC: EHLO h\nS: 250\nC: STARTTLS\nS: 220');
      await upgraded.startTls();
      await upgraded.talk(`C: EHLO h\nS: 250\n${conversation}`);
    });
  }

  for (const [claim, conversation] of [
    ['a wrong password', `C: AUTH PLAIN ${plain('alice@demo.test', 'wrong')}\nS: 535 5.7.8 The user name or`],
    [
      'an unknown user, alike',
      `C: AUTH PLAIN ${plain('nobody@demo.test', 'wrong')}\nS: 535 5.7.8 The user name or`,
    ],
    [
      'a disabled user, alike',
      `C: AUTH PLAIN ${plain('disabled@demo.test', PASSWORD)}\nS: 535 5.7.8 The user name or`,
    ],
    ['a wrong password to LOGIN', `${login('alice@demo.test', 'wrong')}\nS: 535 5.7.8`],
    [
      'acting for another',
      `C: AUTH PLAIN ${base64(`bob@demo.test\0alice@demo.test\0${PASSWORD}`)}\nS: 535 5.7.8`,
    ],
    ['what is no SASL', 'C: AUTH PLAIN AAAA\nS: 501 5.5.4'],
    ['other mechanisms', 'C: AUTH CRAM-MD5\nS: 504 5.5.4\nC: AUTH XOAUTH2 x\nS: 504 5.5.4'],
    ['an exchange that is given up', 'C: AUTH LOGIN\nS: 334\nC: *\nS: 501 5.5.4 Authentication aborted'],
    ['a second AUTH', `C: AUTH PLAIN ${ALICE}\nS: 235\nC: AUTH PLAIN ${ALICE}\nS: 503 5.5.1`],
  ] as const) {
    it(`refuse ${claim}`, async () => {
      const client = await fixture.connectTls(implicit);
      await client.talk(`S: 220\nC: EHLO h\nS: 250\n${conversation}`);
    });
  }

  for (const [claim, conversation] of [
    ['takes an alias', 'C: MAIL FROM:<AL@demo.test>\nS: 250 2.1.0'],
    ['takes the null reverse-path', 'C: MAIL FROM:<>\nS: 250 2.1.0'],
    ["refuses a colleague's", 'C: MAIL FROM:<bob@demo.test>\nS: 550 5.7.1'],
    ["refuses a stranger's", 'C: MAIL FROM:<alice@example.org>\nS: 550 5.7.1'],
    ['does not relay', 'C: MAIL FROM:<alice@demo.test>\nS: 250\nC: RCPT TO:<x@example.org>\nS: 550 5.7.1'],
  ] as const) {
    it(`binds the sender to its user: ${claim}`, async () => {
      const client = await fixture.signIn(starttls);
      await client.talk(conversation);
    });
  }

  const submit = async (message: string, reply: string): Promise<string | undefined> => {
    const client = await fixture.signIn(starttls);
    await client.talk(
      'C: MAIL FROM:<alice@demo.test>\nS: 250\nC: RCPT TO:<bob@demo.test>\nS: 250\nC: DATA\nS: 354',
    );
    await client.send(`${message}.\r\n`);
    await client.talk(`S: ${reply}`);
    return (await fixture.inbox('bob')).at(-1);
  };

  for (const [from, reply] of [
    ['From: Alice <alice@demo.test>\r\n', '250 2.0.0'],
    ['from : "Alice, at home" <AL@demo.test>, alice@demo.test (me)\r\n', '250 2.0.0'],
    ['From: bob@demo.test\r\n', '550 5.7.1'],
    ['From: Alice <alice@demo.test>, bob@demo.test\r\n', '550 5.7.1'],
    ['From: <alice@demo.test> <bob@demo.test>\r\n', '550 5.6.0'],
    ['From: alice@demo.test\r\nFROM: bob@demo.test\r\n', '550 5.6.0'],
    ['From: alice\r\n', '550 5.6.0'],
    ['To: bob@demo.test\r\n', '550 5.6.0'],
  ] as const) {
    it(`answer ${reply} to ${JSON.stringify(from)}`, async () => {
      await submit(`${from}\r\nx\r\n`, reply);
    });
  }

  it('remove Bcc, and add Date and Message-ID that are missing', async () => {
    const stored = await submit(
      'From: alice@demo.test\r\nBcc: bob@demo.test,\r\n alice@demo.test\r\n\r\nx\r\n',
      '250',
    );
    assert.match(
      stored!,
      /with ESMTPSA \(TLSv1\.3 .*\) id \S+\r\n\tfor <bob@demo\.test>; Tue, 03 Nov 2026 04:05:06 \+0000\r\nDate: Tue, 03 Nov 2026 04:05:06 \+0000\r\nMessage-ID: <[0-9a-f-]{36}@mx\.demo\.test>\r\nFrom: alice@demo\.test\r\n\r\nx\r\n$/,
    );
    const complete = 'Message-Id: <1@x>\r\nDate: long ago\r\nFrom: alice@demo.test\r\n\r\nx\r\n';
    assert.ok((await submit(complete, '250'))!.endsWith(`+0000\r\n${complete}`));
  });

  it('repair bare CR and LF', async () => {
    const stored = await submit(
      'From: alice@demo.test\nDate: d\nMessage-ID: m\n\na\rb\n.\nc\r\n',
      '250 2.0.0',
    );
    assert.ok(
      stored!.endsWith('From: alice@demo.test\r\nDate: d\r\nMessage-ID: m\r\n\r\na\r\nb\r\n.\r\nc\r\n'),
    );
  });

  it('end a connection that does not sign in', async () => {
    const client = await fixture.connectTls(implicit);
    await client.talk(`S: 220\n${'C: NOOP\nS: 250\n'.repeat(19)}C: NOOP\nS: 421`);
  });

  it('say in the log that a login failed, but not whose, and never a password', async () => {
    const client = await fixture.connectTls(implicit);
    await client.talk(
      `S: 220\nC: EHLO h\nS: 250\nC: AUTH PLAIN ${plain('alice@demo.test', 'sesame')}\nS: 535`,
    );
    const { level, fields } = fixture.logged.at(-1)!;
    assert.equal(level, 'info');
    assert.doesNotMatch(JSON.stringify(fields), /alice|sesame/);
  });
});
