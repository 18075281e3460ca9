import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { after, afterEach, before, describe, it } from 'mocha';
import { localRecipient } from '../../src/delivery/recipients.ts';
import type { LocalMailbox } from '../../src/directory/types.ts';
import { newMailboxId } from '../../src/ids.ts';
import { SMTP_DATA_MS, SMTP_IDLE_MS, SMTP_MAILBOXES } from '../../src/limits.ts';
import { startMx } from '../../src/smtp/mx.ts';
import { SmtpFixture } from './support.ts';

const OPTIONS = { address: '127.0.0.1', port: 0, host: 'mx.demo.test', tls: null };

describe('SMTP limits', () => {
  let fixture: SmtpFixture;
  before(async () => {
    fixture = await SmtpFixture.open();
  });
  afterEach(() => {
    fixture.disconnectAll();
    mock.timers.reset();
  });
  after(() => fixture.close());

  const crowd = (size: number): LocalMailbox[] => {
    const { organization, mailbox } = fixture.directory.user('alice@demo.test');
    return [{ organization, mailbox, quotaOctets: null }].concat(
      Array.from({ length: size - 1 }, () => ({ organization, mailbox: newMailboxId(), quotaOctets: null })),
    );
  };
  const deliverHandle = (
    ...[organization, mailbox, quotaOctets]: Parameters<typeof fixture.deps.deliverHandle>
  ) => ({
    ...fixture.deps.deliverHandle(
      organization,
      fixture.directory.user('alice@demo.test').mailbox,
      quotaOctets,
    ),
    mailbox,
  });

  it('let the loop have its turns while a large group is looked up', async () => {
    let turns = 0;
    let isDone = false;
    const turn = () => {
      turns++;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    const placements = await localRecipient(
      {
        ...fixture.deps,
        resolve: () => ({ kind: 'local', mailboxes: crowd(100) }),
        deliverHandle: (...mailbox) => {
          for (const until = performance.now() + 1; performance.now() < until; );
          return deliverHandle(...mailbox);
        },
      },
      'all@demo.test',
      null,
    );
    isDone = true;
    assert.equal(placements.length, 100);
    assert.ok(turns >= 5, `${turns} turns in 100 ms`);
  });

  it('are kept by the mailboxes of all recipients together; one that is repeated costs nothing', async () => {
    const groups = { small: crowd(10), large: crowd(SMTP_MAILBOXES - 5) };
    const mx = await startMx(OPTIONS, {
      ...fixture.deps,
      deliverHandle,
      resolve: (address) => ({
        kind: 'local',
        mailboxes: address.startsWith('l') ? groups.large : groups.small,
      }),
    });
    const client = await fixture.connect(mx);
    await client.talk(`
      S: 220
      C: EHLO h
      S: 250
      C: MAIL FROM:<>
      S: 250
      C: RCPT TO:<large@demo.test>
      S: 250 2.1.5
      C: RCPT TO:<large@demo.test>
      S: 250 2.1.5
      C: RCPT TO:<small@demo.test>
      S: 452 4.5.3`);
    await mx.close(0);
  });

  it('are kept by people elsewhere too: a group has many names, and is not looked up again in vain', async () => {
    const { organization } = fixture.directory.user('alice@demo.test');
    const addresses = Array.from({ length: SMTP_MAILBOXES / 2 }, (_, n) => `m${n}@example.org`);
    let lookups = 0;
    const mx = await startMx(OPTIONS, {
      ...fixture.deps,
      deliverHandle,
      queueHandle: () => deliverHandle(organization, newMailboxId(), null),
      resolve: (address) => {
        if (address.endsWith('@example.org')) return { kind: 'foreign' };
        lookups++;
        return { kind: 'local', mailboxes: [], outside: { organization, addresses } };
      },
    });
    const client = await fixture.connect(mx);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250');
    await client.talk('C: RCPT TO:<list+1@demo.test>\nS: 250\nC: RCPT TO:<list+2@demo.test>\nS: 250');
    for (let n = 3; n < 10; n++) await client.talk(`C: RCPT TO:<list+${n}@demo.test>\nS: 452 4.5.3`);
    assert.equal(lookups, 2);
    await mx.close(0);
  });

  it('take a group alone, however many users and others it has', async () => {
    const { organization } = fixture.directory.user('alice@demo.test');
    const mailboxes = crowd(SMTP_MAILBOXES / 2 + 1);
    const addresses = Array.from({ length: SMTP_MAILBOXES / 2 }, (_, n) => `m${n}@example.org`);
    const mx = await startMx(OPTIONS, {
      ...fixture.deps,
      deliverHandle,
      queueHandle: () => deliverHandle(organization, newMailboxId(), null),
      resolve: (address) =>
        address.endsWith('@example.org')
          ? { kind: 'foreign' }
          : { kind: 'local', mailboxes, outside: { organization, addresses } },
    });
    const client = await fixture.connect(mx);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<>\nS: 250');
    await client.talk('C: RCPT TO:<all@demo.test>\nS: 250\nC: RCPT TO:<more@demo.test>\nS: 452 4.5.3');
    await mx.close(0);
  });

  it('end a client that sends a command octet by octet, or a message', async () => {
    mock.timers.enable({ apis: ['setInterval', 'Date'], now: Date.now() });
    const mx = await startMx(OPTIONS, fixture.deps);
    const slow = await fixture.connect(mx);
    const sender = await fixture.connect(mx);
    await slow.talk('S: 220');
    await sender.begin('alice@demo.test');
    await slow.send('E');
    mock.timers.tick(SMTP_IDLE_MS / 2);
    await slow.send('H');
    assert.equal(await slow.quiet(), '');
    mock.timers.tick(SMTP_IDLE_MS);
    await slow.talk('S: 421 4.4.2\nS: end');
    await sender.send('A: 1\r\n\r\nslow');
    assert.equal(await sender.quiet(), '');
    mock.timers.tick(SMTP_DATA_MS);
    await sender.talk('S: 421 4.4.2\nS: end');
    await mx.close(0);
  });

  it('give a client that took long for its message all its time for the next command', async () => {
    mock.timers.enable({ apis: ['setInterval', 'Date'], now: Date.now() });
    const mx = await startMx(OPTIONS, fixture.deps);
    const sender = await fixture.connect(mx);
    await sender.begin('alice@demo.test');
    mock.timers.tick(SMTP_DATA_MS - 1_000);
    await sender.send('A: 1\r\n\r\nx\r\n.\r\n');
    await sender.talk('S: 250 2.0.0');
    mock.timers.tick(SMTP_IDLE_MS - 1_000);
    await sender.talk('C: NOOP\nS: 250 2.0.0');
    await mx.close(0);
  });
});
