import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { SmtpFixture } from './support.ts';

describe('closing an SMTP listener', () => {
  let fixture: SmtpFixture;
  let mx: SmtpListener;
  beforeEach(async () => {
    fixture = await SmtpFixture.open();
    mx = await fixture.mx();
  });
  afterEach(() => fixture.close());

  it('ends idle connections with 421 and takes no new ones, but the message in flight to its reply', async () => {
    const sender = await fixture.connect(mx);
    await sender.begin('alice@demo.test');
    await sender.send('A: 1\r\n\r\nfirst half, ');
    const idle = await fixture.connect(mx);
    await idle.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250');

    const closed = mx.close(10_000);
    await idle.talk('S: 421 4.3.2\nS: end');
    assert.equal(await (await fixture.connect(mx)).reply(), '');
    await sender.send('second half\r\n.\r\n');
    await sender.talk('S: 250 2.0.0\nS: 421 4.3.2\nS: end');
    await closed;
    assert.deepEqual(await fixture.bodies('alice'), ['A: 1\r\n\r\nfirst half, second half\r\n']);
  });

  it('waits no longer than it is told to', async () => {
    const sender = await fixture.connect(mx);
    await sender.begin('alice@demo.test');
    await sender.send('A: 1\r\n\r\nfirst half, ');
    await mx.close(20);
    await sender.talk('S: 421 4.3.2\nS: end');
    assert.deepEqual(await fixture.bodies('alice'), []);
    assert.equal(fixture.budget.usedOctets, 0);
  });

  it('is not held up by a client that stopped in the middle of a TLS handshake', async () => {
    const upgrading = await fixture.connect(mx);
    await upgrading.talk('S: 220\nC: STARTTLS\nS: 220');
    await upgrading.send('\x16\x03\x01');
    const implicit = await fixture.submission({ isTlsImplicit: true });
    const silent = await fixture.connect(implicit);
    await silent.send('\x16\x03\x01');
    await silent.quiet();
    await Promise.all([mx.close(0), implicit.close(0)]);
    assert.equal(await upgrading.ended(), '');
    assert.equal(await silent.ended(), '');
  });

  it('is not held up by a client that does not read', async () => {
    const deaf = await fixture.connect(mx);
    await deaf.talk('S: 220');
    deaf.pause();
    void deaf.send('NOOP\r\n'.repeat(200_000));
    await deaf.quiet();
    await mx.close(0);
  });
});
