/** Mail from users to other servers: where it goes, what arrives there, what is tried again, who is told. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { simpleParser } from 'mailparser';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isPrivate } from '../../src/networks.ts';
import type { RemoteServer } from '../support/remote-server.ts';
import { message, OutboundFixture } from './support.ts';

/** Content of the part of a multipart with this type. */
function partOf(octets: string, type: string): string {
  const [, boundary = ''] = /boundary="([^"]+)"/.exec(octets)!;
  const part = octets.split(`--${boundary}`).find((one) => one.includes(`Content-Type: ${type}\r\n`))!;
  return part.slice(part.indexOf('\r\n\r\n') + 4, -2);
}

describe('mail to other servers', function () {
  this.timeout(20_000);
  let fixture: OutboundFixture;

  beforeEach(async () => {
    fixture = await OutboundFixture.open();
  });
  afterEach(() => fixture.close());

  describe('arrives', () => {
    it('octet for octet after our Received field, dots and all, and leaves the queue empty', async () => {
      const remote = await fixture.remote('example.org');
      const text = message('dots', '.\r\n..\r\n.a\r\nlast');
      await fixture.submit(['x@example.org'], text);
      const [one] = await remote.received(1);
      assert.equal(one!.from, '<alice@demo.test> BODY=8BITMIME SIZE='.concat(String(one!.data.length)));
      assert.deepEqual(one!.to, ['<x@example.org>']);
      assert.ok(one!.data.endsWith(text.slice(text.indexOf('From:'))));
      assert.match(one!.data, /^Received: from /);
      assert.doesNotMatch(one!.data, /Return-Path/i);
      await fixture.empty();
    });

    it('with megabytes, streamed from the sealed body', async () => {
      const remote = await fixture.remote('example.org');
      const lines = randomBytes(2_500_000)
        .toString('base64')
        .match(/.{1,76}/g)!;
      const text = message('large', lines.join('\r\n'));
      await fixture.submit(['x@example.org'], text);
      const [one] = await remote.received(1);
      assert.ok(one!.data.endsWith(text));
      await fixture.empty();
    });

    it('at each domain of its recipients in one transaction, and at users of ours without leaving', async () => {
      const first = await fixture.remote('one.test');
      const second = await fixture.remote('two.test');
      await fixture.submit(['a@one.test', 'bob@demo.test', 'b@two.test', 'c@one.test', 'a@one.test']);
      assert.deepEqual((await first.received(1))[0]!.to, ['<a@one.test>', '<c@one.test>']);
      assert.deepEqual((await second.received(1))[0]!.to, ['<b@two.test>']);
      await fixture.empty();
      const [copy] = await fixture.smtp.inbox('bob');
      assert.match(copy!, /^Return-Path: <alice@demo.test>\r\n/);
      for (const remote of [first, second]) assert.ok(!remote.commands.join().includes('bob'));
    });

    it('in transactions of a hundred recipients', async () => {
      const remote = await fixture.remote('example.org');
      const recipients = Array.from({ length: 250 }, (_, n) => `r${n}@example.org`);
      await fixture.submit(recipients);
      const accepted = await remote.received(3);
      assert.deepEqual(accepted.flatMap(({ to }) => to).sort(), recipients.map((one) => `<${one}>`).sort());
      await fixture.empty();
    });

    it('one after the other over one connection', async () => {
      const remote = await fixture.remote('example.org');
      for (let n = 1; n <= 3; n++) {
        await fixture.submit(['x@example.org']);
        await remote.received(n);
        await fixture.empty();
      }
      assert.equal(remote.connections, 1);
    });

    it('at an internationalized address, with SMTPUTF8, and a domain in A-labels', async () => {
      const remote = await fixture.remote('xn--bcher-kva.test');
      const client = await fixture.signIn();
      await client.talk('C: MAIL FROM:<alice@demo.test> SMTPUTF8\nS: 250');
      await client.send(Buffer.from('RCPT TO:<jürg@bücher.test>\r\n'));
      assert.match(await client.reply(), /^250/);
      await client.talk('C: DATA\nS: 354');
      await client.send(`${message('x')}.\r\n`);
      assert.match(await client.reply(), /^250/);
      const [one] = await remote.received(1);
      assert.match(one!.from, /SMTPUTF8/);
      assert.deepEqual(one!.to, [Buffer.from('<jürg@xn--bcher-kva.test>').toString('latin1')]);
    });

    it('with SMTPUTF8 when only its header needs it, and without when nothing does', async () => {
      const remote = await fixture.remote('example.org');
      for (const subject of ['Gr\u00fc\u00dfe', 'plain']) {
        const client = await fixture.signIn();
        await client.talk(
          'C: MAIL FROM:<alice@demo.test> SMTPUTF8\nS: 250\nC: RCPT TO:<x@example.org>\nS: 250',
        );
        await client.talk('C: DATA\nS: 354');
        await client.send(Buffer.from(`${message(subject)}.\r\n`));
        assert.match(await client.reply(), /^250/);
        await fixture.empty();
      }
      assert.deepEqual(
        remote.accepted.map(({ from }) => / SMTPUTF8/.test(from)),
        [true, false],
      );
    });

    it('at an address literal, without asking the DNS', async () => {
      const remote = await fixture.remote('unused.test');
      await fixture.submit(['x@[127.0.0.2]']);
      await remote.received(1);
      assert.deepEqual(fixture.dns.questions, []);
    });
  });

  describe('finds its way', () => {
    it('to the exchange of the lowest preference that answers', async () => {
      const far = await fixture.remote('far.test');
      const near = await fixture.remote('near.test');
      fixture.dns.entries['example.org'] = {
        MX: [
          [30, 'mx1.far.test'],
          [10, 'dead.example.org'],
          [20, 'mx2.near.test'],
        ],
      };
      fixture.dns.entries['dead.example.org'] = { A: ['127.0.0.99'] };
      await fixture.submit(['x@example.org']);
      await near.received(1);
      await fixture.empty();
      assert.equal(far.connections, 0);
    });

    it('to the next exchange when one greets with 554, ends the session, or says 421', async () => {
      for (const answer of [
        (verb: string) => (verb === 'greeting' ? '554 no mail here' : undefined),
        (verb: string) => (verb === 'EHLO' ? ('drop' as const) : undefined),
        (verb: string) => (verb === 'MAIL' ? '421 4.3.2 going down' : undefined),
      ]) {
        const good = await fixture.remote('good.test');
        const bad = await fixture.remote('bad.test', { answer });
        const names = Object.keys(fixture.dns.entries);
        const hostOf = (domain: string) =>
          names.findLast((name) => name.startsWith('mx') && name.endsWith(domain))!;
        const domain = `d${names.length}.test`;
        fixture.dns.entries[domain] = {
          MX: [
            [10, hostOf('bad.test')],
            [20, hostOf('good.test')],
          ],
        };
        await fixture.submit([`x@${domain}`]);
        await good.received(1);
        assert.equal(bad.accepted.length, 0);
        await fixture.empty();
      }
    });

    it('to the domain itself where there is no MX', async () => {
      const remote = await fixture.remote('example.org');
      fixture.dns.entries['example.org'] = { A: ['127.0.0.2'] };
      await fixture.submit(['x@example.org']);
      await remote.received(1);
    });

    it('not to a neighbour of ours that a sender, or the DNS of a stranger, points at', async () => {
      await fixture.outbound.close(0);
      fixture.outbound = fixture.newOutbound({ mayReach: (address) => !isPrivate(address) });
      await fixture.outbound.start();
      const remote = await fixture.remote('example.org');
      fixture.dns.entries['bare.test'] = { A: ['127.0.0.2'] };
      await fixture.submit(['x@[127.0.0.2]', 'x@[IPv6:::ffff:127.0.0.2]', 'x@example.org', 'x@bare.test']);
      await fixture.empty();
      assert.equal(remote.connections, 0);
      const [report, ...others] = await fixture.smtp.inbox('alice');
      assert.deepEqual(others, []);
      assert.equal(report!.match(/\r\nAction: failed\r\nStatus: 5\.4\.4\r\n/g)?.length, 4);
    });

    it('through a TCP answer when the UDP one is cut', async () => {
      const remote = await fixture.remote('example.org');
      const many = Array.from({ length: 30 }, (_, n): [number, string] => [
        20,
        `a-long-name-of-a-server-that-is-away-${n}.example.org`,
      ]);
      fixture.dns.entries['example.org'] = { MX: [...many, [10, 'mx1.example.org']] };
      await fixture.submit(['x@example.org']);
      await remote.received(1);
    });

    for (const [what, entry, status] of [
      ['that does not exist', 'NXDOMAIN', '5.1.2'],
      ['that takes no mail (null MX)', { MX: [[0, '.']] }, '5.1.10'],
      ['whose only server has no address', { MX: [[10, 'nowhere.test']] }, '5.4.4'],
      ['whose server we are', { MX: [[10, 'MX.demo.test']] }, '5.4.6'],
    ] as const) {
      it(`nowhere at a domain ${what}: the sender is told ${status}`, async () => {
        fixture.dns.entries['example.org'] = entry;
        fixture.dns.entries['mx.demo.test'] = { A: ['127.0.0.9'] };
        await fixture.submit(['x@example.org']);
        await fixture.empty();
        const [report] = await fixture.smtp.inbox('alice');
        assert.match(report!, new RegExp(`\\r\\nStatus: ${status.replaceAll('.', '\\.')}\\r\\n`));
      });
    }

    for (const entry of ['SERVFAIL', 'silent'] as const) {
      it(`later, when the DNS says ${entry}`, async () => {
        fixture.dns.entries['example.org'] = entry;
        await fixture.submit(['x@example.org']);
        await fixture.waiting();
        assert.deepEqual(await fixture.smtp.inbox('alice'), []);
        const remote = await fixture.remote('other.test');
        fixture.dns.entries['example.org'] = { MX: [[10, 'mx1.other.test']] };
        await fixture.outbound.retry((await fixture.items())[0]!.id);
        await remote.received(1);
        await fixture.empty();
      });
    }

    it('not to a better exchange’s worse neighbour that is ourselves', async () => {
      const remote = await fixture.remote('better.test');
      fixture.dns.entries['mx.demo.test'] = { A: ['127.0.0.9'] };
      fixture.dns.entries['example.org'] = {
        MX: [
          [20, 'mx.demo.test'],
          [10, 'mx1.better.test'],
        ],
      };
      await remote.stop();
      await fixture.submit(['x@example.org']);
      await fixture.waiting();
      assert.ok(!fixture.smtp.logged.some(({ fields }) => JSON.stringify(fields).includes('5.4.6')));
      // Stopped already.
      remote.stop = async () => undefined;
    });

    it('not back to ourselves, when a server greets with our name', async () => {
      await fixture.remote('example.org', {
        answer: (verb) => (verb === 'greeting' ? '220 mx.demo.test ESMTP' : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.empty();
      assert.match((await fixture.smtp.inbox('alice'))[0]!, /\r\nStatus: 5\.4\.6\r\n/);
    });
  });

  describe('over TLS', () => {
    it('where it is offered, whatever the certificate', async () => {
      const remote = await fixture.remote('example.org', { startTls: 'works' });
      await fixture.submit(['x@example.org']);
      assert.equal((await remote.received(1))[0]!.isSecure, true);
    });

    for (const startTls of ['refuses', 'breaks'] as const) {
      it(`goes without when the server ${startTls} it`, async () => {
        const remote = await fixture.remote('example.org', { startTls });
        await fixture.submit(['x@example.org']);
        assert.equal((await remote.received(1))[0]!.isSecure, false);
        await fixture.empty();
      });
    }
  });

  describe('that is refused', () => {
    const refusing = (verb: string, said: string) => (heard: string) => (heard === verb ? said : undefined);

    for (const verb of ['MAIL', 'RCPT', 'DATA', 'end'])
      it(`for good at ${verb} comes back to its sender, with the server’s words`, async () => {
        await fixture.remote('example.org', { answer: refusing(verb, '550 5.7.1 we do not like you') });
        await fixture.submit(['x@example.org']);
        await fixture.empty();
        const [report, ...others] = await fixture.smtp.inbox('alice');
        assert.deepEqual(others, []);
        assert.match(report!, /550 we do not like you/);
        assert.match(
          report!,
          /\r\nFinal-Recipient: rfc822; x@example\.org\r\nAction: failed\r\nStatus: 5\.7\.1\r\n/,
        );
      });

    for (const verb of ['MAIL', 'RCPT', 'DATA', 'end'])
      it(`for now at ${verb} is tried again, and nobody is told`, async () => {
        const remote = await fixture.remote('example.org', {
          answer: refusing(verb, '451 4.7.1 greylisted'),
        });
        await fixture.submit(['x@example.org']);
        await fixture.waiting();
        assert.equal(remote.accepted.length, 0);
        remote.answer = () => undefined;
        await fixture.outbound.retry((await fixture.items())[0]!.id);
        await remote.received(1);
        await fixture.empty();
        assert.deepEqual(await fixture.smtp.inbox('alice'), []);
      });

    for (const verb of ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'end'])
      it(`by a connection that ends at ${verb} is tried again`, async () => {
        const remote = await fixture.remote('example.org', { answer: refusing(verb, 'drop') });
        await fixture.submit(['x@example.org']);
        await fixture.waiting();
        remote.answer = () => undefined;
        await fixture.outbound.retry((await fixture.items())[0]!.id);
        await remote.received(1);
        await fixture.empty();
      });

    it('for some of its recipients goes to the others, once', async () => {
      const remote = await fixture.remote('example.org', {
        answer: (verb, line) =>
          verb !== 'RCPT'
            ? undefined
            : line.includes('never')
              ? '550 5.1.1 no such user'
              : line.includes('later')
                ? '452 4.2.2 full'
                : undefined,
      });
      await fixture.submit(['yes@example.org', 'never@example.org', 'later@example.org']);
      await fixture.waiting();
      assert.deepEqual(
        remote.accepted.map(({ to }) => to),
        [['<yes@example.org>']],
      );
      const [report] = await fixture.smtp.inbox('alice');
      assert.ok(report!.includes('never@example.org') && !report!.includes('later@example.org'));
      remote.answer = () => undefined;
      await fixture.outbound.retry((await fixture.items())[0]!.id);
      await remote.received(2);
      await fixture.empty();
      assert.deepEqual(remote.accepted[1]!.to, ['<later@example.org>']);
      assert.equal((await fixture.smtp.inbox('alice')).length, 1);
    });

    it('for each of them, but not alike: who is put off is tried again, and the other comes back', async () => {
      const remote = await fixture.remote('example.org', {
        answer: (verb, line) =>
          verb !== 'RCPT' ? undefined : line.includes('never') ? '550 5.1.1 no such user' : '452 4.2.2 full',
      });
      for (const recipients of [
        ['never@example.org', 'later@example.org'],
        ['later@example.org', 'never@example.org'],
      ])
        await fixture.submit(recipients);
      await fixture.waiting(2);
      const reports = await fixture.inbox('alice', 2);
      for (const report of reports) assert.ok(report.includes('never@') && !report.includes('later@'));
      remote.answer = () => undefined;
      for (const { id } of await fixture.items()) await fixture.outbound.retry(id);
      await remote.received(2);
      await fixture.empty();
      for (const { to } of remote.accepted) assert.deepEqual(to, ['<later@example.org>']);
    });

    for (const [said, isForGood] of [
      ['552 5.3.4 too large', true],
      ['250 2.0.0 taken', false],
    ] as const)
      it(`in its middle with ${said.slice(0, 3)} by a server that gets nothing more over this session`, async () => {
        const remote = await fixture.remote('example.org', {
          answer: (verb) => (verb === 'DATA' ? `354 go on\r\n${said}` : undefined),
        });
        await fixture.submit(['x@example.org'], message('large', `${'x'.repeat(70)}\r\n`.repeat(60_000)));
        if (isForGood) assert.match((await fixture.inbox('alice', 1))[0]!, /\r\nStatus: 5\.3\.4\r\n/);
        else await fixture.waiting();
        remote.answer = () => undefined;
        if (isForGood) await fixture.submit(['x@example.org'], message('next'));
        else await fixture.outbound.retry((await fixture.items())[0]!.id);
        const accepted = await remote.received(1);
        await fixture.empty();
        assert.equal(remote.connections, 2);
        assert.equal(accepted.length, 1);
        assert.doesNotMatch(accepted[0]!.data, /RSET|MAIL FROM/);
      });

    it('because it is too large, whatever was said of its recipient in the message before', async () => {
      const remote = await fixture.remote('small.test', {
        extensions: ['SIZE 1000'],
        answer: (verb, line) =>
          verb === 'RCPT' && line.includes('never') ? '550 5.1.1 no such user' : undefined,
      });
      await fixture.submit(['yes@small.test', 'never@small.test']);
      await remote.received(1);
      await fixture.empty();
      await fixture.submit(['never@small.test'], message('x', 'y'.repeat(900)));
      await fixture.empty();
      const reports = await fixture.smtp.inbox('alice');
      assert.deepEqual(
        reports.map((report) => /\r\nStatus: (\S+)\r\n/.exec(report)![1]),
        ['5.1.1', '5.3.4'],
      );
      assert.equal(remote.connections, 1);
    });

    it('because it is too large for the server, or needs what it has not', async () => {
      await fixture.remote('small.test', { extensions: ['SIZE 100'] });
      const plain = await fixture.remote('plain.test', { extensions: [] });
      await fixture.submit(['x@small.test'], message('x', 'y'.repeat(500)));
      await fixture.empty();
      const client = await fixture.signIn();
      await client.talk('C: MAIL FROM:<alice@demo.test> SMTPUTF8\nS: 250');
      await client.send(Buffer.from('RCPT TO:<jürg@plain.test>\r\n'));
      assert.match(await client.reply(), /^250/);
      await client.talk('C: DATA\nS: 354');
      await client.send(`${message('x')}.\r\n`);
      assert.match(await client.reply(), /^250/);
      await fixture.empty();
      const reports = await fixture.smtp.inbox('alice');
      assert.match(reports[0]!, /\r\nStatus: 5\.3\.4\r\n/);
      assert.match(reports[1]!, /\r\nFinal-Recipient: utf-8; j/);
      assert.match(reports[1]!, /\r\nStatus: 5\.6\.7\r\n/);
      assert.equal(plain.accepted.length, 0);
    });
  });

  describe('reports of failure', () => {
    it('are what RFC 3464 says, as a mail client reads them', async () => {
      await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? '550-5.1.1 no such\r\n550 5.1.1 user here' : undefined),
      });
      await fixture.submit(['x@example.org'], message('my secret subject', 'the body'));
      const [octets] = await fixture.inbox('alice', 1);
      const report = await simpleParser(Buffer.from(octets!, 'latin1'));
      assert.match(octets!, /^Return-Path: <>\r\nReceived: by mx\.demo\.test id /);
      assert.equal(report.from!.value[0]!.address, 'MAILER-DAEMON@mx.demo.test');
      assert.equal(report.headers.get('auto-submitted'), 'auto-replied');
      const type = report.headers.get('content-type') as unknown as {
        value: string;
        params: Record<string, string>;
      };
      assert.deepEqual([type.value, type.params['report-type']], ['multipart/report', 'delivery-status']);
      assert.match(report.text!, /<x@example\.org>/);
      assert.match(report.text!, /mx1\.example\.org said: 550 no such user here/);
      const status = partOf(octets!, 'message/delivery-status');
      const [ofMessage, ofRecipient] = status.trim().split('\r\n\r\n');
      assert.match(ofMessage!, /^Reporting-MTA: dns; mx\.demo\.test\r\nArrival-Date: /);
      const named = new Map(ofRecipient!.split('\r\n').map((line) => line.split(': ') as [string, string]));
      assert.equal(named.get('Final-Recipient'), 'rfc822; x@example.org');
      assert.equal(named.get('Action'), 'failed');
      assert.equal(named.get('Status'), '5.1.1');
      assert.equal(named.get('Remote-MTA'), 'dns; mx1.example.org');
      assert.equal(named.get('Diagnostic-Code'), 'smtp; 550 5.1.1 no such user here');
      assert.match(partOf(octets!, 'text/rfc822-headers'), /Subject: my secret subject/);
      assert.doesNotMatch(octets!, /the body/);
    });

    it('are not sent of what had the null sender', async () => {
      await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? '550 no' : undefined) });
      await fixture.submit(['x@example.org'], undefined, '');
      await fixture.empty();
      assert.deepEqual(await fixture.smtp.inbox('alice'), []);
    });
  });

  it('that nobody can relay comes from no stranger: MX refuses it', async () => {
    const mx = await fixture.smtp.mx();
    const client = await fixture.smtp.connect(mx);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<x@example.org>\nS: 250');
    await client.talk('C: RCPT TO:<y@example.net>\nS: 550 5.7.1');
  });

  it('for a domain that can be none is refused at once', async () => {
    const client = await fixture.signIn();
    await client.talk('C: MAIL FROM:<alice@demo.test>\nS: 250');
    for (const bad of ['x@no_dots..test', 'x@127.0.0.1', 'x@[what]']) {
      await client.talk(`C: RCPT TO:<${bad}>\nS: 5`);
    }
  });

  it('is put off while the queue is full', async () => {
    fixture.smtp.queueOctets = 10;
    await fixture.remote('example.org', { answer: () => '450 later' });
    await fixture.submit(['x@example.org']).catch(() => undefined);
    const client = await fixture.signIn();
    await client.talk(
      'C: MAIL FROM:<alice@demo.test> SIZE=5000\nS: 250\nC: RCPT TO:<x@example.org>\nS: 452 4.3.1',
    );
  });

  it('logs neither addresses nor what servers say', async () => {
    const remote: RemoteServer = await fixture.remote('secret-domain.test', {
      answer: (verb) => (verb === 'RCPT' ? '550 5.1.1 secret words of the server' : undefined),
    });
    await fixture.submit(['secret-user@secret-domain.test']);
    await fixture.empty();
    assert.ok(remote.connections > 0);
    const logged = JSON.stringify(fixture.smtp.logged);
    assert.match(logged, /"statuses":\["5\.1\.1"\]/);
    assert.doesNotMatch(logged, /secret/);
  });
});
