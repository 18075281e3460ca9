/** Groups with members elsewhere. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { UnavailableError } from '../../src/errors.ts';
import { startSubmission } from '../../src/smtp/submission.ts';
import { CERTIFICATE } from '../smtp/support.ts';
import { message, OutboundFixture } from './support.ts';

describe('a group with members elsewhere', function () {
  this.timeout(20_000);
  let fixture: OutboundFixture;
  beforeEach(async () => {
    fixture = await OutboundFixture.open();
    fixture.smtp.directory.createGroup('wide@demo.test', [
      'bob@demo.test',
      'X.Y@example.org',
      'z@example.net',
    ]);
  });
  afterEach(() => fixture.close());

  /** A stranger writes to the group. */
  async function fromAbroad(text = 'Subject: hi\r\n\r\nx\r\n'): Promise<void> {
    const client = await fixture.smtp.connect(await fixture.smtp.mx());
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<stranger@example.com>\nS: 250');
    await client.talk('C: RCPT TO:<wide@demo.test>\nS: 250\nC: DATA\nS: 354');
    await client.send(`${text}.\r\n`);
    assert.match(await client.reply(), /^250/);
    client.close();
  }

  it('takes mail of users and strangers to all of them, under the sender that it has', async () => {
    const [org, net] = [await fixture.remote('example.org'), await fixture.remote('example.net')];
    await fixture.submit(['wide@demo.test']);
    await fromAbroad();
    for (const remote of [org, net]) await remote.received(2);
    const senders = org.accepted.map(({ from }) => from.split(' ')[0]).sort();
    assert.deepEqual(senders, ['<alice@demo.test>', '<stranger@example.com>']);
    for (const { to } of org.accepted) assert.deepEqual(to, ['<X.Y@example.org>']);
    assert.equal((await fixture.smtp.inbox('bob')).length, 2);
    await fixture.empty();
  });

  it('of nobody else too; and tells a stranger of failures by its own address only', async () => {
    fixture.smtp.directory.removeMembers('wide@demo.test', ['bob@demo.test']);
    const com = await fixture.remote('example.com');
    await fixture.remote('example.org', {
      answer: (verb) => (verb === 'RCPT' ? '550 5.1.1 there is no X.Y here' : undefined),
    });
    await fixture.remote('example.net');
    await fromAbroad();
    const [report] = await com.received(1);
    assert.match(report!.from, /^<>/);
    assert.match(
      report!.data,
      /\r\nFinal-Recipient: rfc822; wide@demo\.test\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/,
    );
    assert.doesNotMatch(report!.data, /X\.Y/);
    await fixture.empty();
  });

  it('reaches a member whose domain has become ours in its mailbox', async () => {
    const { directory, accounts } = fixture.smtp;
    const { organization } = directory.user('alice@demo.test');
    directory.createDomain(organization, 'example.org');
    await accounts.createUsers([{ address: 'x.y@example.org', password: null }], 'test');
    const net = await fixture.remote('example.net');
    await fixture.submit(['wide@demo.test']);
    await net.received(1);
    await fixture.empty();
    const { mailbox } = directory.user('x.y@example.org');
    const handle = fixture.smtp.store.keyring.deliverHandle(organization, mailbox, 1);
    assert.equal(await fixture.smtp.store.store.hasRoom(handle, 0), false);
  });

  it('of whose members nobody is left is no recipient, rather than a full one for ever', async () => {
    const { directory } = fixture.smtp;
    const { organization } = directory.user('alice@demo.test');
    directory.removeMembers('wide@demo.test', ['bob@demo.test', 'z@example.net']);
    directory.createDomain(organization, 'example.org');
    const client = await fixture.signIn();
    await client.talk('C: MAIL FROM:<alice@demo.test>\nS: 250\nC: RCPT TO:<wide@demo.test>\nS: 550 5.1.1');
  });

  describe('whose queue is full', () => {
    beforeEach(() => {
      // Room for an octet, and for no message.
      fixture.smtp.queueOctets = 10;
    });

    it('is put off for all, so that nobody misses what others have: at RCPT, or after the message', async () => {
      const client = await fixture.signIn();
      await client.talk(`C: MAIL FROM:<alice@demo.test> SIZE=5000\nS: 250
        C: RCPT TO:<wide@demo.test>\nS: 452 4.3.1\nC: RSET\nS: 250`);
      for (const recipients of [['wide@demo.test'], ['bob@demo.test', 'wide@demo.test'], ['x@example.org']]) {
        await client.talk('C: MAIL FROM:<alice@demo.test>\nS: 250');
        for (const recipient of recipients) await client.talk(`C: RCPT TO:<${recipient}>\nS: 250`);
        await client.talk('C: DATA\nS: 354');
        await client.send(`${message('x')}.\r\n`);
        assert.match(await client.reply(), /^452 4\.3\.1 /);
      }
      assert.deepEqual(await fixture.smtp.inbox('bob'), []);
      assert.deepEqual(await fixture.items(), []);
    });

    it('by LMTP, which has no answer for a part, tells the sender that members did not get it', async () => {
      const client = await fixture.smtp.connect(await fixture.smtp.lmtp());
      await client.talk('S: 220\nC: LHLO h\nS: 250\nC: MAIL FROM:<alice@demo.test>\nS: 250');
      await client.talk('C: RCPT TO:<wide@demo.test>\nS: 250\nC: DATA\nS: 354');
      await client.send(`${message('x')}.\r\n`);
      assert.match(await client.reply(), /^250/);
      assert.equal((await fixture.smtp.inbox('bob')).length, 1);
      const [report, ...others] = await fixture.inbox('alice', 1);
      assert.deepEqual(others, []);
      assert.match(
        report!,
        /\r\nFinal-Recipient: rfc822; wide@demo\.test\r\nAction: failed\r\nStatus: 4\.3\.1\r\n/,
      );
      assert.doesNotMatch(report!, /X\.Y|example\.net/);
    });
  });

  it('is refused where this server sends nothing', async () => {
    fixture.smtp.hasQueue = false;
    const client = await fixture.smtp.connect(await fixture.smtp.mx());
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<stranger@example.com>\nS: 250');
    await client.talk('C: RCPT TO:<wide@demo.test>\nS: 550 5.7.1');
  });
});

describe('a user who sends too much', function () {
  this.timeout(20_000);

  it('is put off with 451 for recipients elsewhere, members of groups too, and not for those here', async () => {
    const fixture = await OutboundFixture.open();
    try {
      await fixture.remote('example.org');
      fixture.smtp.directory.createGroup('wide@demo.test', [
        'bob@demo.test',
        'd@example.org',
        'e@example.org',
      ]);
      let count = 0;
      const submission = await startSubmission(
        { address: '127.0.0.1', port: 0, host: 'mx.demo.test', tls: CERTIFICATE },
        {
          ...fixture.smtp.deps,
          countRecipients: (_, __, recipients) => {
            if (count + recipients > 3) throw new UnavailableError('busy', 'You have sent to many of late');
            count += recipients;
          },
        },
      );
      const client = await fixture.smtp.signIn(submission);
      await client.talk(`C: MAIL FROM:<alice@demo.test>\nS: 250
        C: RCPT TO:<a@example.org>\nS: 250\nC: RCPT TO:<wide@demo.test>\nS: 250
        C: RCPT TO:<wide+again@demo.test>\nS: 451 4.3.2
        C: RCPT TO:<c@example.org>\nS: 451 4.3.2\nC: RCPT TO:<bob@demo.test>\nS: 250\nC: DATA\nS: 354`);
      await client.send(`${message('x')}.\r\n`);
      assert.match(await client.reply(), /^250/);
      client.close();
      await submission.close(0);
      await fixture.empty();
    } finally {
      await fixture.close();
    }
  });
});
