import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { SmtpFixture } from './support.ts';

const GREETING = 'S: 220 mx.demo.test ESMTP\nC: EHLO h.example.org\nS: 250-mx.demo.test\n';

/** What a client says and hears after the greeting. */
const CONVERSATIONS: readonly (readonly [claim: string, conversation: string])[] = [
  [
    'refuses an unknown user with 550 5.1.1 and takes the others',
    `C: MAIL FROM:<x@example.org>
     S: 250 2.1.0
     C: RCPT TO:<nobody@demo.test>
     S: 550 5.1.1
     C: RCPT TO:<bob@demo.test>
     S: 250 2.1.5`,
  ],
  [
    'does not relay',
    `C: MAIL FROM:<x@example.org>
     S: 250 2.1.0
     C: RCPT TO:<x@example.org>
     S: 550 5.7.1`,
  ],
  [
    'refuses a disabled user with 550 5.2.1',
    `C: MAIL FROM:<>
     S: 250 2.1.0
     C: RCPT TO:<disabled@demo.test>
     S: 550 5.2.1`,
  ],
  [
    'refuses at RCPT, for now, what a mailbox has no room for, by the declared size',
    `C: MAIL FROM:<x@example.org> SIZE=100
     S: 250 2.1.0
     C: RCPT TO:<full@demo.test>
     S: 250 2.1.5
     C: RSET
     S: 250 2.0.0
     C: MAIL FROM:<x@example.org> SIZE=3000
     S: 250 2.1.0
     C: RCPT TO:<full@demo.test>
     S: 452 4.2.2`,
  ],
  [
    'takes a size of 0 for one that is not known',
    `C: MAIL FROM:<x@example.org> SIZE=0
     S: 250 2.1.0
     C: RCPT TO:<full@demo.test>
     S: 250 2.1.5`,
  ],
  [
    'refuses at MAIL what is larger than the limit',
    `C: MAIL FROM:<x@example.org> SIZE=100001
     S: 552 5.3.4
     C: MAIL FROM:<x@example.org> SIZE=100000
     S: 250 2.1.0`,
  ],
  [
    'refuses parameters that were not announced with 555 5.5.4',
    `C: MAIL FROM:<x@example.org> RET=HDRS
     S: 555 5.5.4 Parameter RET is not supported
     C: MAIL FROM:<x@example.org> BODY=BINARYMIME
     S: 501 5.5.4
     C: MAIL FROM:<x@example.org> BODY=8BITMIME AUTH=<>
     S: 250 2.1.0
     C: RCPT TO:<bob@demo.test> NOTIFY=NEVER
     S: 555 5.5.4 Parameter NOTIFY is not supported`,
  ],
  [
    'wants commands in order',
    `C: RCPT TO:<bob@demo.test>
     S: 503 5.5.1
     C: DATA
     S: 503 5.5.1
     C: MAIL FROM:<x@example.org>
     S: 250 2.1.0
     C: MAIL FROM:<y@example.org>
     S: 503 5.5.1
     C: DATA
     S: 503 5.5.1
     C: RSET
     S: 250 2.0.0
     C: RCPT TO:<bob@demo.test>
     S: 503 5.5.1`,
  ],
  [
    'refuses what is no address, and what is no command',
    `C: MAIL FROM:x@example.org
     S: 501 5.1.7
     C: MAIL FROM:<x@example.org>
     S: 250 2.1.0
     C: RCPT TO:<>
     S: 501 5.1.3
     C: RCPT TO:<a..b@demo.test>
     S: 501 5.1.3
     C: FROB
     S: 500 5.5.2
     C: XCLIENT ADDR=192.0.2.1
     S: 500 5.5.2
     C: AUTH PLAIN AGEAYg==
     S: 500 5.5.2`,
  ],
  [
    'takes a local part beyond ASCII with SMTPUTF8 only, asked for with that very MAIL',
    `C: MAIL FROM:<j\xc3\xb6rg@example.org>
     S: 553 5.6.7
     C: MAIL FROM:<j\xc3\xb6rg@example.org> SMTPUTF8 RET=FULL
     S: 555 5.5.4
     C: MAIL FROM:<j\xc3\xb6rg@example.org>
     S: 553 5.6.7
     C: MAIL FROM:<j\xc3\xb6rg@example.org> SMTPUTF8
     S: 250 2.1.0`,
  ],
  [
    'takes two recipients and refuses the third with 452 4.5.3, however the first are repeated',
    `C: MAIL FROM:<x@example.org>
     S: 250 2.1.0
     C: RCPT TO:<bob@demo.test>
     S: 250 2.1.5
     C: RCPT TO:<bob@demo.test>
     S: 250 2.1.5
     C: RCPT TO:<alice@demo.test>
     S: 452 4.5.3`,
  ],
  [
    'resolves aliases, sub-addresses, groups and postmaster',
    ['al', 'AL', 'alice+lists', 'al+x', 'all', 'postmaster']
      .map((name) => `${name}@demo.test`)
      .concat('Postmaster', '@relay.example:bob@demo.test')
      .map((address) => `C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<${address}>\nS: 250 2.1.5\nC: RSET\nS: 250`)
      .join('\n'),
  ],
  ['says good-bye', 'C: NOOP\nS: 250 2.0.0\nC: VRFY bob\nS: 252 2.1.5\nC: QUIT\nS: 221 2.0.0\nS: end'],
];

describe('MX listener', () => {
  let fixture: SmtpFixture;
  let mx: SmtpListener;
  before(async () => {
    fixture = await SmtpFixture.open();
    mx = await fixture.mx({ messageOctets: 100_000, recipients: 2 });
  });
  afterEach(() => fixture.disconnectAll());
  after(() => fixture.close());

  for (const [claim, conversation] of CONVERSATIONS) {
    it(claim, async () => {
      const client = await fixture.connect(mx);
      await client.talk(GREETING + conversation);
    });
  }

  it('announces what it does and nothing else', async () => {
    const client = await fixture.connect(mx);
    await client.talk('S: 220\nC: EHLO h');
    assert.deepEqual((await client.reply()).split('\r\n'), [
      '250-mx.demo.test',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-ENHANCEDSTATUSCODES',
      '250-STARTTLS',
      '250 SIZE 100000',
    ]);
  });

  it('does not announce STARTTLS without a certificate, nor over TLS', async () => {
    const client = await fixture.connect(await fixture.mx({ tls: null }));
    await client.talk('S: 220\nC: EHLO h');
    assert.doesNotMatch(await client.reply(), /STARTTLS/);
    await client.talk('C: STARTTLS\nS: 500 5.5.2');
    const secure = await fixture.connect(mx);
    await secure.talk('S: 220\nC: STARTTLS\nS: 220');
    await secure.startTls();
    await secure.talk('C: MAIL FROM:<>\nS: 503 5.5.1\nC: EHLO h');
    assert.doesNotMatch(await secure.reply(), /STARTTLS/);
  });

  it('discards what is pipelined behind STARTTLS, and what was said before it', async () => {
    const client = await fixture.connect(mx);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<x@example.org>\nS: 250');
    await client.send('STARTTLS\r\nRCPT TO:<bob@demo.test>\r\nNOOP\r\n');
    await client.talk('S: 220 2.0.0');
    await client.startTls();
    await client.talk('C: RCPT TO:<bob@demo.test>\nS: 503 5.5.1 Error: send HELO');
    await client.talk('C: EHLO h\nS: 250\nC: RCPT TO:<bob@demo.test>\nS: 503 5.5.1 Error: need MAIL');
    assert.equal(await client.quiet(), '');
  });

  it('answers pipelined commands in one write, and what follows a message only after it', async () => {
    const client = await fixture.connect(mx);
    await client.talk('S: 220');
    await client.send(
      'EHLO h\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<alice@demo.test>\r\nRCPT TO:<no@demo.test>\r\nDATA\r\n',
    );
    await client.talk('S: 250\nS: 250 2.1.0\nS: 250 2.1.5\nS: 550 5.1.1\nS: 354');
    const before = (await fixture.inbox('alice')).length;
    await client.send('A: 1\r\n\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nQUIT\r\n');
    await client.talk('S: 250 2.0.0 Accepted\nS: 250 2.1.0\nS: 250 2.1.5\nS: 221 2.0.0\nS: end');
    assert.equal((await fixture.inbox('alice')).length, before + 1);
  });

  it('refuses a message beyond the limit with 552 5.3.4 and goes on, stuffed dots not counted', async () => {
    const client = await fixture.connect(mx);
    await client.begin('bob@demo.test');
    await client.send(`${'x'.repeat(99_999)}\r\n.\r\n`);
    await client.talk('S: 552 5.3.4');
    await client.beginMail('bob@demo.test');
    await client.send(`A: 1\r\n\r\n${'..x\r\n'.repeat(20_000)}`);
    await client.send(`${'x'.repeat(100_000 - 8 - 80_000 - 2)}\r\n.\r\n`);
    await client.talk('S: 250 2.0.0');
  });

  it('refuses a mail loop with 554 5.4.6', async () => {
    const client = await fixture.connect(mx);
    for (const [hops, reply] of [
      [49, '250 2.0.0'],
      [50, '554 5.4.6'],
    ] as const) {
      if (hops === 49) await client.begin('bob@demo.test');
      else await client.beginMail('bob@demo.test');
      await client.send(`${'Received: from a\r\n\tby b\r\n'.repeat(hops)}\r\n.\r\n`);
      await client.talk(`S: ${reply}`);
    }
  });

  it('refuses with 552 5.2.2 after DATA what the mailbox turns out to have no room for', async () => {
    const client = await fixture.connect(mx);
    await client.begin('full@demo.test');
    await client.send(`A: 1\r\n\r\n${'x'.repeat(2_000)}\r\n.\r\n`);
    await client.talk('S: 552 5.2.2');
    const before = (await fixture.inbox('bob')).length;
    await client.beginMail('bob@demo.test', 'full@demo.test');
    await client.send(`A: 1\r\n\r\n${'x'.repeat(1_900)}\r\n.\r\n`);
    await client.talk('S: 552 5.2.2');
    assert.equal((await fixture.inbox('bob')).length, before, 'delivered to one of two, and refused');
  });

  it('ends a connection after fifty refusals, but not for recipients beyond the limit', async () => {
    const client = await fixture.connect(mx);
    await client.talk(`S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250`);
    await client.talk('C: RCPT TO:<bob@demo.test>\nS: 250\nC: RCPT TO:<alice@demo.test>\nS: 250');
    await client.send('RCPT TO:<alice@demo.test>\r\n'.repeat(100));
    await client.talk('S: 452 4.5.3\n'.repeat(100));
    await client.talk('C: RSET\nS: 250\nC: MAIL FROM:<>\nS: 250');
    await client.send('RCPT TO:<nobody@demo.test>\r\n'.repeat(51));
    await client.talk(`${'S: 550 5.1.1\n'.repeat(50)}S: 421 4.7.0 Too many errors\nS: end`);
  });

  it('turns HTTP, early talkers and endless lines away', async () => {
    const http = await fixture.connect(mx);
    await http.talk('S: 220\nC: POST / HTTP/1.1\nS: 421 4.7.0\nS: end');
    const endless = await fixture.connect(mx);
    await endless.talk('S: 220');
    await endless.send(`EHLO ${'x'.repeat(2_100)}`);
    await endless.talk('S: 421 4.5.2\nS: end');
    const early = await fixture.connect(await fixture.mx({ bannerPauseMs: 5_000 }));
    await early.talk('C: EHLO h\nS: 421 4.7.0\nS: end');
  });

  it('takes so many connections, and so many from one address', async () => {
    const few = await fixture.mx({ connections: 2 });
    const first = await fixture.connect(few);
    await first.talk('S: 220');
    const second = await fixture.connect(few);
    await second.talk('S: 220');
    await (await fixture.connect(few)).talk('S: 421 4.7.0\nS: end');
    await first.talk('C: QUIT\nS: 221\nS: end');
    await (await fixture.connect(few)).talk('S: 220');
    const one = await fixture.mx({ connectionsPerAddress: 1 });
    const only = await fixture.connect(one);
    await only.talk('S: 220');
    await (await fixture.connect(one)).talk('S: 421 4.7.0\nS: end');
    await only.talk('C: QUIT\nS: 221\nS: end');
    // The server sees the end a moment after the client.
    await only.quiet();
    await (await fixture.connect(one)).talk('S: 220');
  });

  it('closes a connection that is idle', async () => {
    const client = await fixture.connect(await fixture.mx({ idleMs: 50 }));
    await client.talk('S: 220\nS: 421 4.4.2\nS: end');
  });

  it('rejects when its port is taken, or TLS is to be spoken without a certificate', async () => {
    const options = { address: '127.0.0.1', port: mx.port, host: 'h', tls: null };
    const { startMx } = await import('../../src/smtp/mx.ts');
    const { startSubmission } = await import('../../src/smtp/submission.ts');
    await assert.rejects(startMx(options, fixture.deps), { code: 'EADDRINUSE' });
    await assert.rejects(startSubmission({ ...options, port: 0, isTlsImplicit: true }, fixture.deps), {
      code: 'invalid',
    });
  });
});
