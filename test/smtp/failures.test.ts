import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MemoryBudget } from '../../src/delivery/spool.ts';
import { IntegrityError } from '../../src/errors.ts';
import { startLmtp } from '../../src/smtp/lmtp.ts';
import { startMx } from '../../src/smtp/mx.ts';
import { SmtpFixture } from './support.ts';

const OPTIONS = { address: '127.0.0.1', port: 0, host: 'mx.demo.test', tls: null };
const MESSAGE = 'A: 1\r\n\r\ncanary\r\n.\r\n';

describe('SMTP when something goes wrong', () => {
  let fixture: SmtpFixture;
  beforeEach(async () => {
    fixture = await SmtpFixture.open();
  });
  afterEach(() => fixture.close());

  it('refuses for now, at RCPT, when the disk is all but full', async () => {
    await fixture.store.reopen({ diskReserveOctets: Number.MAX_SAFE_INTEGER });
    const client = await fixture.connect(await fixture.mx());
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250');
    await client.talk('C: RCPT TO:<alice@demo.test>\nS: 452 4.3.1');
  });

  it('answers 451 when the store is closed under a message', async () => {
    const client = await fixture.connect(await fixture.mx());
    await client.begin('alice@demo.test', 'bob@demo.test');
    await fixture.store.store.close();
    await client.send(MESSAGE);
    await client.talk('S: 451 4.3.2');
    const lmtp = await fixture.connect(await fixture.lmtp());
    await lmtp.talk('S: 220\nC: LHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250\nC: RCPT TO:<alice@demo.test>');
    assert.match(await lmtp.reply(), /^(250 2\.1\.5|451 4\.3\.2)/);
    assert.doesNotMatch(JSON.stringify(fixture.logged), /canary|demo\.test|example\.org/);
  });

  it('answers 451 to a bug, says nothing of it, and logs where it is but not what it choked on', async () => {
    const deliverer = { deliver: () => Promise.reject(new TypeError('cannot read canary')) };
    const mx = await startMx(OPTIONS, { ...fixture.deps, deliverer });
    const client = await fixture.connect(mx);
    await client.begin('alice@demo.test');
    await client.send(MESSAGE);
    assert.equal(await client.reply(), '451 4.3.0 Local error in processing, try again later');
    const bug = fixture.logged.find(({ level }) => level === 'error')!;
    assert.match(JSON.stringify(bug.fields), /"name":"TypeError".*failures\.test/);
    assert.doesNotMatch(JSON.stringify(fixture.logged), /canary/);
    await mx.close(0);
  });

  it('answers 451 for a key that cannot be trusted, also for a group that it belongs to', async () => {
    const { deliverHandle } = fixture.deps;
    const bob = fixture.directory.user('bob@demo.test').mailbox;
    const mx = await startMx(OPTIONS, {
      ...fixture.deps,
      deliverHandle: (organization, mailbox, quotaOctets) => {
        if (mailbox === bob) throw new IntegrityError('recipient-unverified', 'The key is not signed');
        return deliverHandle(organization, mailbox, quotaOctets);
      },
    });
    const client = await fixture.connect(mx);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250');
    await client.talk('C: RCPT TO:<all@demo.test>\nS: 451 4.3.0\nC: RCPT TO:<alice@demo.test>\nS: 250 2.1.5');
    await mx.close(0);
  });

  it('refuses for now what the spool has no room for, for each recipient of LMTP', async () => {
    const lmtp = await startLmtp(OPTIONS, { ...fixture.deps, budget: new MemoryBudget(0) });
    const client = await fixture.connect(lmtp);
    await client.talk('S: 220\nC: LHLO h\nS: 250');
    await client.beginMail('alice@demo.test', 'bob@demo.test');
    await rm(fixture.spoolDirectory, { recursive: true });
    await client.send(`A: 1\r\n\r\n${'x'.repeat(200_000)}\r\n.\r\n`);
    await client.talk('S: 452 4.3.1\nS: 452 4.3.1\nC: NOOP\nS: 250 2.0.0 OK');
    await lmtp.close(0);
  });

  it('has the message of a group whose other member is full, and logs which mailbox has not', async () => {
    fixture.directory.createGroup('two@demo.test', ['alice@demo.test', 'full@demo.test']);
    const client = await fixture.connect(await fixture.mx());
    await client.begin('two@demo.test');
    await client.send(`A: 1\r\n\r\n${'x'.repeat(2_000)}\r\n.\r\n`);
    await client.talk('S: 250 2.0.0');
    assert.equal((await fixture.inbox('alice')).length, 1);
    const { mailbox } = fixture.directory.user('full@demo.test');
    assert.ok(fixture.logged.some(({ fields }) => (fields as { mailbox?: string }).mailbox === mailbox));
  });
});
