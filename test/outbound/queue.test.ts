/** What waits: when it is tried again, what an administrator can do with it, and what keys, crashes and full disks do to it. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { RefusedError, UnavailableError } from '../../src/errors.ts';
import type { MessageId } from '../../src/ids.ts';
import { OUTBOUND_MESSAGES } from '../../src/limits.ts';
import type { Smarthost } from '../../src/outbound/route.ts';
import { startSubmission } from '../../src/smtp/submission.ts';
import { CERTIFICATE, PASSWORD } from '../smtp/support.ts';
import { ca } from '../support/certificate.ts';
import { message, OutboundFixture, type OutboundOptions } from './support.ts';

const later = () => '451 4.7.1 later';

describe('the queue', function () {
  this.timeout(20_000);
  let fixture: OutboundFixture;
  const open = async (options: OutboundOptions = {}): Promise<void> => {
    fixture = await OutboundFixture.open(options);
  };
  afterEach(() => fixture.close());

  const onlyId = async (): Promise<MessageId> => {
    const [only, ...others] = await fixture.items();
    assert.deepEqual(others, []);
    return only!.id;
  };

  describe('tries again', () => {
    it('by itself, until a server that puts off whom it does not know takes the mail', async () => {
      await open({ retryMs: [50, 100] });
      let attempts = 0;
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' && ++attempts <= 3 ? '450 4.7.1 greylisted' : undefined),
      });
      await fixture.submit(['x@example.org']);
      await remote.received(1);
      await fixture.empty();
      assert.equal(attempts, 4);
      assert.deepEqual(await fixture.smtp.inbox('alice'), []);
    });

    it('until the message expires, and tells its sender what was said last', async () => {
      await open({ retryMs: [50], expiryMs: 300, delayReportMs: 100_000 });
      await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? '450 4.2.2 box is full' : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.empty();
      const [report, ...others] = await fixture.smtp.inbox('alice');
      assert.deepEqual(others, []);
      assert.match(report!, /\r\nAction: failed\r\nStatus: 4\.4\.7\r\n/);
      assert.match(report!, /450 box is full/);
    });

    it('and tells the sender once that there is a delay', async () => {
      await open({ retryMs: [50], delayReportMs: 100 });
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? later() : undefined),
      });
      await fixture.submit(['x@example.org']);
      const [report] = await fixture.inbox('alice', 1);
      assert.match(report!, /\r\nAction: delayed\r\nStatus: 4\.7\.1\r\n/);
      assert.match(report!, /\r\nWill-Retry-Until: /);
      const tried = remote.commands.length;
      await fixture.until(() => remote.commands.length > tried + 10);
      assert.equal((await fixture.smtp.inbox('alice')).length, 1);
      remote.answer = () => undefined;
      await fixture.empty();
      assert.equal((await fixture.smtp.inbox('alice')).length, 1);
    });

    it('no sooner because a report cannot be delivered: servers are left alone, and the report comes later', async () => {
      await open({ retryMs: [60_000] });
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? later() : undefined),
      });
      const com = await fixture.remote('example.com');
      fixture.smtp.directory.createGroup('wide@demo.test', ['never@example.org', 'later@example.org']);
      const client = await fixture.smtp.connect(await fixture.smtp.mx());
      await client.talk('S: 220\nC: EHLO h\nS: 250\nC: MAIL FROM:<stranger@example.com>\nS: 250');
      await client.talk('C: RCPT TO:<wide@demo.test>\nS: 250\nC: DATA\nS: 354\nC: A: 1\nC: .\nS: 250');
      await fixture.waiting();
      const id = await onlyId();
      // The report to the stranger has no room.
      fixture.smtp.queueOctets = 10;
      remote.answer = (verb, line) =>
        verb !== 'RCPT' ? undefined : line.includes('never') ? '550 5.1.1 no' : later();
      await fixture.outbound.retry(id);
      await fixture.until(() =>
        fixture.smtp.logged.some(({ text }) => text.startsWith('a report could not')),
      );
      await fixture.until(([item]) => item!.state === 'due' && item!.nextAt.getTime() > Date.now() + 30_000);
      fixture.smtp.queueOctets = null;
      remote.answer = () => undefined;
      await fixture.outbound.retry(id);
      const [report] = await com.received(1);
      assert.match(report!.data, /\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/);
      assert.deepEqual((await remote.received(1))[0]!.to, ['<later@example.org>']);
      await fixture.empty();
    });

    it('not at a destination that could not be reached a moment ago: its other mail is put off', async () => {
      await open();
      fixture.dns.entries['example.org'] = { MX: [[10, 'mx.example.org']] };
      fixture.dns.entries['mx.example.org'] = { A: ['127.0.0.77'] };
      for (let n = 0; n < 3; n++) await fixture.submit(['x@example.org']);
      await fixture.waiting(3);
      const remote = await fixture.remote('example.org', { address: '127.0.0.77' });
      await fixture.submit(['x@example.org']);
      await fixture.waiting(4);
      assert.equal(remote.connections, 0);
      await fixture.outbound.retry((await fixture.items())[0]!.id);
      await remote.received(1);
    });
  });

  describe('survives', () => {
    it('the end of the process: what waits is there again, with what was tried', async () => {
      await open();
      const remote = await fixture.remote('example.org', {
        answer: (verb, line) => (verb === 'RCPT' && line.includes('later') ? later() : undefined),
      });
      await fixture.submit(['now@example.org', 'later@example.org']);
      await fixture.waiting();
      const id = await onlyId();
      const before = await fixture.outbound.detail(id, 'test');
      await fixture.outbound.close(0);
      await fixture.smtp.store.reopen();
      fixture.outbound = fixture.newOutbound();
      await fixture.outbound.start();
      await fixture.waiting();
      assert.deepEqual(await fixture.outbound.detail(id, 'test'), before);
      remote.answer = () => undefined;
      await fixture.outbound.retry(id);
      await fixture.empty();
      assert.deepEqual(
        remote.accepted.map(({ to }) => to),
        [['<now@example.org>'], ['<later@example.org>']],
      );
    });

    it('a stop in the middle of a message, which goes out whole afterwards', async () => {
      await open();
      let isHanging = true;
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'DATA' && isHanging ? 'hang' : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.until(() => remote.commands.includes('DATA'));
      await fixture.outbound.close(50);
      isHanging = false;
      fixture.outbound = fixture.newOutbound({ retryMs: [50] });
      await fixture.outbound.start();
      await fixture.outbound.retry(await onlyId());
      await remote.received(1);
      await fixture.empty();
    });

    it('a stop while servers do not greet, and messages wait for sessions to them: it does not wait for those', async () => {
      await open({ perDestination: 1 });
      const answer = (verb: string) => (verb === 'greeting' ? ('hang' as const) : undefined);
      const silent = [
        await fixture.remote('one.test', { answer }),
        await fixture.remote('two.test', { answer }),
      ];
      fixture.dns.entries['example.org'] = {
        MX: [
          [10, 'mx1.one.test'],
          [20, 'mx2.two.test'],
        ],
      };
      for (let n = 0; n < 3; n++) await fixture.submit(['x@example.org', 'y@one.test']);
      await fixture.until(() => silent[0]!.connections === 2);
      await fixture.outbound.close(50);
      assert.deepEqual(
        silent.map(({ connections }) => connections),
        [2, 0],
      );
      for (const remote of silent) remote.answer = () => undefined;
      fixture.outbound = fixture.newOutbound();
      await fixture.outbound.start();
      await silent[0]!.received(6);
      await fixture.empty();
    });

    it('a key service that is away: mail is taken, local mail is delivered, and the queue says why it waits', async () => {
      await open();
      const remote = await fixture.remote('example.org');
      const { keyring } = fixture.smtp.store;
      const ownerHandle = keyring.ownerHandle.bind(keyring);
      let isDown = true;
      await fixture.outbound.close(0);
      keyring.ownerHandle = (request) => {
        const handle = ownerHandle(request);
        if (request.purpose !== 'queue') return handle;
        const lease = handle.lease.bind(handle);
        return Object.assign(handle, {
          lease: async () => {
            if (isDown) throw new UnavailableError('key-service-down', 'The key service does not answer');
            return lease();
          },
        });
      };
      fixture.outbound = fixture.newOutbound();
      await fixture.outbound.start();
      for (let n = 0; n < 3; n++) await fixture.submit(['x@example.org', 'bob@demo.test']);
      assert.equal((await fixture.smtp.inbox('bob')).length, 3);
      await fixture.until(
        (items) => items.length === 3 && items.every(({ waitsFor }) => waitsFor === 'key-service-down'),
      );
      const said = fixture.smtp.logged.filter(({ text }) => text === 'outgoing mail waits');
      assert.equal(said.length, 1);
      assert.equal(remote.connections, 0);
      isDown = false;
      for (const { id } of await fixture.items()) await fixture.outbound.retry(id);
      await remote.received(3);
      await fixture.empty();
    });

    it('keys that go away while a server takes the message: it is not sent twice', async () => {
      await open({ retryMs: [50] });
      const { keyring, directory } = { ...fixture.smtp.store, directory: fixture.smtp.directory };
      const queue = directory.queueMailbox(directory.organizations()[0]!.id)!;
      let isTaken = false;
      const remote = await fixture.remote('example.org', {
        answer: (verb) => {
          if (verb === 'end') {
            isTaken = true;
            keyring.endLease(queue);
          }
          return undefined;
        },
      });
      await fixture.submit(['x@example.org', 'y@example.org']);
      await fixture.empty();
      assert.ok(isTaken);
      assert.equal(remote.accepted.length, 1);
    });

    it('a lock while a server takes the message: it waits, and is not sent twice', async () => {
      await open({ retryMs: [50] });
      const remote = await fixture.remote('example.org', {
        answer: (verb, line) => (verb === 'RCPT' && line.includes('later') ? later() : undefined),
      });
      remote.beforeEnd = () => fixture.smtp.accounts.lockOrganization('Demo', 'test', '');
      await fixture.submit(['now@example.org', 'later@example.org']);
      await fixture.until(([item]) => item?.waitsFor === 'locked');
      remote.beforeEnd = null;
      remote.answer = () => undefined;
      await fixture.smtp.accounts.unlockOrganization('Demo', 'test');
      await remote.received(2);
      await fixture.empty();
      assert.deepEqual(
        remote.accepted.map(({ to }) => to),
        [['<now@example.org>'], ['<later@example.org>']],
      );
    });

    it('a full disk: what is there goes out, so that there is room again', async () => {
      await open();
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? later() : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.waiting();
      await fixture.outbound.close(0);
      await fixture.smtp.store.reopen({ diskReserveOctets: Number.MAX_SAFE_INTEGER });
      fixture.outbound = fixture.newOutbound({ retryMs: [50] });
      await fixture.outbound.start();
      await fixture.outbound.retry(await onlyId());
      await fixture.until(() => remote.commands.filter((line) => line.startsWith('RCPT')).length > 1);
      remote.answer = () => undefined;
      await remote.received(1);
      await fixture.empty();
    });
  });

  it('holds no keys while it waits, and every use of them is on record', async () => {
    await open();
    const locked: string[] = [];
    const { keyring } = fixture.smtp.store;
    const lock = keyring.endLease.bind(keyring);
    keyring.endLease = (mailbox) => {
      locked.push(mailbox);
      lock(mailbox);
    };
    await fixture.remote('example.org', { answer: later });
    await fixture.submit(['x@example.org']);
    await fixture.waiting();
    const { directory } = fixture.smtp;
    const queue = directory.queueMailbox(directory.organizations().find(({ name }) => name === 'Demo')!.id)!;
    await fixture.until(() => locked.includes(queue));
    const journals = join(fixture.smtp.store.directory, 'keys', 'journal');
    const journal = (await readdir(journals)).find((name) => name.startsWith('use-'))!;
    const records = (await readFile(join(journals, journal), 'utf8')).trim().split('\n');
    const used = records.map((line) => JSON.parse(line)).filter(({ principal }) => principal === 'queue');
    assert.ok(used.some(({ event, reason }) => event === 'intent' && reason === 'send mail'));
    assert.ok(used.every(({ mailbox, purpose }) => mailbox === queue && purpose === 'queue'));
  });

  describe('in the hands of an administrator', () => {
    it('keeps what is held, also through a restart, until it is released', async () => {
      await open({ retryMs: [50] });
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? later() : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.until((items) => items.length === 1);
      const id = await onlyId();
      await fixture.outbound.hold(id);
      assert.equal((await fixture.items())[0]!.state, 'held');
      await fixture.outbound.close(0);
      await fixture.smtp.store.reopen();
      fixture.outbound = fixture.newOutbound({ retryMs: [50] });
      await fixture.outbound.start();
      await fixture.until((items) => items[0]?.state === 'held');
      remote.answer = () => undefined;
      await fixture.outbound.retry(id);
      await remote.received(1);
      await fixture.empty();
    });

    it('lets go of the keys with which it was shown, though nothing is sent', async () => {
      await open();
      const { keyring, directory } = { ...fixture.smtp.store, directory: fixture.smtp.directory };
      const queue = directory.queueMailbox(
        directory.organizations().find(({ name }) => name === 'Demo')!.id,
      )!;
      await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? later() : undefined) });
      await fixture.submit(['x@example.org']);
      await fixture.waiting();
      const locked: string[] = [];
      const endLease = keyring.endLease.bind(keyring);
      keyring.endLease = (mailbox) => {
        locked.push(mailbox);
        endLease(mailbox);
      };
      await fixture.until(() => locked.includes(queue));
      locked.length = 0;
      await fixture.outbound.detail(await onlyId(), 'administrator');
      await fixture.until(() => locked.includes(queue));
    });

    it('shows whom a message is for and what was said, and to nobody without the keys', async () => {
      await open();
      await fixture.remote('example.org', { answer: (verb) => (verb === 'RCPT' ? later() : undefined) });
      await fixture.submit(['x@example.org']);
      await fixture.waiting();
      const { envelope, note } = await fixture.outbound.detail(await onlyId(), 'administrator');
      assert.equal(envelope.reversePath, 'alice@demo.test');
      assert.deepEqual(
        envelope.recipients.map(({ address }) => address),
        ['x@example.org'],
      );
      assert.deepEqual(
        note.recipients.map(({ state, attempts, reply }) => [state, attempts, reply!.code, reply!.text]),
        [['waiting', 1, 451, 'later']],
      );
    });

    it('sends a message once, however many commands meet its attempts', async () => {
      await open({ retryMs: [20] });
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'RCPT' ? later() : undefined),
      });
      await fixture.submit(['x@example.org', 'y@example.org']);
      await fixture.until((items) => items.length === 1);
      const id = await onlyId();
      const commands = Array.from({ length: 12 }, (_, n) => {
        if (n === 6) remote.answer = () => undefined;
        return (n % 3 === 0 ? fixture.outbound.hold(id) : fixture.outbound.retry(id)).catch(
          (error: unknown) => assert.ok(['nonexistent', 'in-use'].includes((error as { code: string }).code)),
        );
      });
      await Promise.all(commands);
      await fixture.outbound.retry(id).catch(() => undefined);
      await fixture.empty();
      assert.equal(remote.accepted.length, 1);
    });

    it('forgets what is dropped, and tells nobody', async () => {
      await open();
      await fixture.remote('example.org', { answer: later });
      await fixture.submit(['x@example.org']);
      await fixture.waiting();
      const id = await onlyId();
      await fixture.outbound.drop(id);
      assert.deepEqual(await fixture.items(), []);
      await assert.rejects(fixture.outbound.retry(id), { code: 'nonexistent' });
      assert.deepEqual(await fixture.smtp.inbox('alice'), []);
    });
  });

  describe('keeps to its bounds', () => {
    it('of sessions to one domain, while other domains are served', async () => {
      await open({ perDestination: 2 });
      let open2 = 0;
      let most = 0;
      const slow = await fixture.remote('slow.test', {
        answer: (verb) => {
          if (verb === 'MAIL') most = Math.max(most, ++open2);
          return verb === 'end' ? 'hang' : undefined;
        },
      });
      const quick = await fixture.remote('quick.test');
      for (let n = 0; n < 6; n++) await fixture.submit(['x@slow.test']);
      await fixture.submit(['x@quick.test']);
      await quick.received(1);
      assert.equal(most, 2);
      assert.equal(slow.connections, 2);
      await fixture.outbound.close(0);
      fixture.outbound = fixture.newOutbound();
    });

    it('of one organization: its mail to servers that hang, however much, leaves room for another', async () => {
      await open({ total: 4, perDestination: 1 });
      const { accounts, directory } = fixture.smtp;
      const { id } = await accounts.createOrganization('Other', null, 'test');
      directory.createDomain(id, 'other.test');
      await accounts.createUsers([{ address: 'carol@other.test', password: PASSWORD }], 'test');
      const slow = await fixture.remote('slow.test', {
        answer: (verb) => (verb === 'MAIL' ? 'hang' : undefined),
      });
      const quick = await fixture.remote('quick.test');
      const alice = await fixture.signIn();
      for (let n = 0; n <= OUTBOUND_MESSAGES; n++) {
        fixture.dns.entries[`slow${n}.test`] = { MX: [[10, 'mx1.slow.test']] };
        await alice.talk(`C: MAIL FROM:<alice@demo.test>\nS: 250\nC: RCPT TO:<x@slow${n}.test>\nS: 250
          C: DATA\nS: 354\nC: From: alice@demo.test\nC: .\nS: 250`);
      }
      await fixture.until(
        (items) => slow.connections === 2 && items.filter(({ state }) => state === 'working').length === 100,
      );
      const carol = await fixture.smtp.signIn(fixture.submission, 'carol@other.test');
      await carol.talk(`C: MAIL FROM:<carol@other.test>\nS: 250\nC: RCPT TO:<x@quick.test>\nS: 250
        C: DATA\nS: 354\nC: From: carol@other.test\nC: .\nS: 250`);
      await quick.received(1);
      assert.equal(slow.connections, 2);
    });

    it('and what expires takes its turn at a busy domain, where it would be put off again and again', async () => {
      await open({ perDestination: 1, expiryMs: 300, delayReportMs: 100_000 });
      const remote = await fixture.remote('example.org', {
        answer: (verb) => (verb === 'MAIL' ? 'hang' : undefined),
      });
      await fixture.submit(['x@example.org']);
      await fixture.until(() => remote.commands.some((line) => line.startsWith('MAIL')));
      await fixture.submit(['x@example.org']);
      await fixture.until((items) =>
        items.some(({ state, nextAt }) => state === 'due' && +nextAt > Date.now()),
      );
      const second = (await fixture.items()).find(({ state }) => state === 'due')!;
      await fixture.until(() => Date.now() > second.arrivedAt.getTime() + 300);
      await fixture.outbound.retry(second.id);
      await fixture.until((items) => items.length === 2 && items.every(({ state }) => state === 'working'));
      await remote.stop();
      remote.stop = async () => undefined;
      await fixture.empty();
      const reports = await fixture.smtp.inbox('alice');
      assert.equal(reports.length, 2);
    });

    it('and sends all that waits for a busy domain as its sessions become free', async () => {
      await open({ perDestination: 1 });
      const remote = await fixture.remote('example.org');
      await Promise.all(
        Array.from({ length: 12 }, (_, n) => fixture.submit(['x@example.org'], message(`n${n}`))),
      );
      await remote.received(12);
      await fixture.empty();
      assert.equal(remote.connections, 1);
    });
  });

  describe('hands over', () => {
    it('what a static route covers, whatever the DNS says', async () => {
      const routes: { domain: string; host: string; port: number }[] = [];
      await open({ routes });
      const remote = await fixture.remote('inside.test');
      routes.push({ domain: '.example.org', host: '127.0.0.2', port: fixture.port });
      await fixture.submit(['x@a.example.org']);
      await remote.received(1);
      assert.deepEqual(fixture.dns.questions, []);
      await fixture.submit(['x@example.org']);
      await fixture.empty();
      assert.equal((await fixture.smtp.inbox('alice')).length, 1);
    });

    it('nothing over a session that was made with less security, other authorities or another password', async () => {
      const host = { host: '127.0.0.2', user: null, passwordFile: null, caFile: null };
      let smarthost: Smarthost | null = null;
      await open({ smarthost: () => smarthost });
      const remote = await fixture.remote('relay.test');
      smarthost = { ...host, port: fixture.port, security: 'opportunistic' };
      for (let n = 1; n <= 2; n++) {
        await fixture.submit(['x@example.org']);
        await remote.received(n);
        await fixture.empty();
      }
      assert.equal(remote.connections, 1);
      const variants: readonly Partial<Smarthost>[] = [
        { security: 'starttls' },
        { caFile: '/dev/null' },
        { user: 'u', passwordFile: '/dev/null' },
      ];
      for (const [index, variant] of variants.entries()) {
        smarthost = { ...host, port: fixture.port, security: 'opportunistic', ...variant };
        await fixture.submit(['x@example.org']);
        await fixture.until(() => remote.connections === 2 + index);
      }
      // Of the three only the authorities mean nothing to a server without TLS.
      await remote.received(3);
      await fixture.waiting(2);
    });

    for (const missing of ['passwordFile', 'caFile'] as const)
      it(`nothing to a smarthost whose ${missing} cannot be read: mail waits, the log has it once, and the sender hears of it`, async () => {
        const [passwordFile, nowhere] = ['/dev/null', '/nowhere/at/all'];
        const smarthost: Smarthost = {
          ...{
            host: '127.0.0.2',
            port: 0,
            security: 'opportunistic',
            user: 'us',
            passwordFile,
            caFile: null,
          },
          [missing]: nowhere,
        };
        await open({
          smarthost: () => ({ ...smarthost, port: fixture.port }),
          ...{ retryMs: [50], expiryMs: 400, delayReportMs: 100_000 },
        });
        const remote = await fixture.remote('relay.test', { extensions: ['AUTH PLAIN'] });
        await fixture.submit(['x@example.org']);
        await fixture.until(async ([item]) => {
          if (item === undefined) assert.fail('it did not wait');
          const { note } = await fixture.outbound.detail(item.id, 'test');
          return note.recipients[0]!.reply?.status === '4.3.5';
        });
        const [report] = await fixture.inbox('alice', 1);
        assert.match(report!, /\r\nAction: failed\r\nStatus: 4\.4\.7\r\n/);
        const said = fixture.smtp.logged.filter(({ text }) => text.includes('cannot be read'));
        assert.deepEqual(
          said.map(({ fields }) => fields),
          [{ file: nowhere, code: 'ENOENT' }],
        );
        assert.deepEqual(
          remote.commands.filter((line) => /^(AUTH|MAIL)/.test(line)),
          [],
        );
      });

    it('everything to a smarthost, all domains in one transaction, with a password and only over TLS that it can verify', async () => {
      let smarthost: Smarthost | null = null;
      let isRight = true;
      await open({ smarthost: () => smarthost });
      const passwordFile = join(fixture.smtp.store.directory, 'password');
      await writeFile(passwordFile, 'right password\n');
      const credentials: string[] = [];
      const seen: string[] = [];
      const relay = await startSubmission(
        { address: '127.0.0.1', port: 0, host: 'relay.test', tls: CERTIFICATE },
        {
          ...fixture.smtp.deps,
          authenticate: async ({ username, password }) => {
            credentials.push(`${username}:${password}`);
            if (!isRight) throw new RefusedError('bad-credentials', 'no');
            const { organization, mailbox } = fixture.smtp.directory.user('bob@demo.test');
            return { organization, mailbox, owns: () => true };
          },
          resolve: () => ({ kind: 'foreign' }),
          deliverer: {
            deliver: async ({ recipients }) => {
              seen.push(
                ...recipients.flatMap((one) =>
                  one.flatMap(({ onward }) => onward!.map(({ address }) => address)),
                ),
              );
              return { outcomes: recipients.map(() => null), failures: new Map() };
            },
          },
        },
      );
      const own = { host: 'localhost', port: relay.port, user: 'us', passwordFile } as const;
      smarthost = { ...own, security: 'starttls', caFile: null };
      fixture.dns.entries['localhost'] = { A: ['127.0.0.1'] };
      await fixture.submit(['x@one.test', 'y@two.test']);
      await fixture.waiting();
      const id = await onlyId();
      const said = async () => (await fixture.outbound.detail(id, 'test')).note.recipients[0]!.reply!.status;
      assert.equal(await said(), '4.7.5');
      assert.deepEqual(credentials, []);
      const caFile = join(fixture.smtp.store.directory, 'ca.pem');
      await writeFile(caFile, ca);
      smarthost = { ...own, security: 'starttls', caFile };
      isRight = false;
      await fixture.outbound.retry(id);
      await fixture.until(() => credentials.length === 1);
      await fixture.waiting();
      assert.equal(await said(), '4.7.8');
      isRight = true;
      await fixture.outbound.retry(id);
      await fixture.empty();
      assert.deepEqual(credentials, ['us:right password', 'us:right password']);
      assert.deepEqual(seen, ['x@one.test', 'y@two.test']);
      await relay.close(0);
    });
  });
});
