import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { KmsEndpoint, TEST_ACCESS_KEY } from '../keys/kms-endpoint/server.ts';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { Outbox } from './outbox.ts';

/** Leases end so long after their beginning: a lease from before an outage must not hide it. */
const LEASE_SECONDS = 1;
/** Of every outage. */
const MESSAGES = 200;
const MANY_MESSAGES = 1_000;
/** Slow, and still in time (limits.ts, AWS_ATTEMPT_MS). */
const SLOW_MS = 1_000;
const FLAP_MS = 150;

/** What happens to the services, and what a login with the right password is answered meanwhile. */
interface Outage {
  readonly name: string;
  readonly messages: number;
  readonly login: RegExp;
  begin(): unknown;
  end(): unknown;
}

describe('outages of what opens keys', function () {
  this.timeout(120_000);
  let scratch: string;
  let kms: KmsEndpoint;
  let redis: RedisServer;
  let keyId: string;
  let server: Letterlock;
  let alice: LetterlockUser;
  const outbox = new Outbox();

  const start = async (): Promise<void> => {
    server = await startLetterlock({
      data: join(scratch, 'data'),
      config: {
        plaintextAuthNetworks: ['127.0.0.0/8'],
        keys: {
          service: 'aws',
          aws: { keyId, endpoint: kms.url },
          leaseIdleSeconds: LEASE_SECONDS,
          leaseAbsoluteSeconds: LEASE_SECONDS,
        },
        redis: { url: `redis://127.0.0.1:${redis.port}` },
      },
      environment: { AWS_ACCESS_KEY_ID: TEST_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: 'secret' },
    });
    alice = server.users[0]!;
  };

  before(async () => {
    scratch = await makeScratch('outages');
    kms = await KmsEndpoint.start();
    redis = await startRedis();
    keyId = kms.keys.create().arn;
    await start();
  });
  after(async () => {
    await server?.stop();
    await kms?.down();
    await redis?.stop();
    await removeScratch(scratch);
  });

  const leasesEnd = (): Promise<void> => sleep(LEASE_SECONDS * 1000 + 100);

  const login = async (password = alice.password): Promise<string> => {
    const client = await RawImap.connect(server.ports.imap);
    const { status, text } = await client.command(`LOGIN ${alice.address} "${password}"`);
    client.destroy();
    return `${status} ${text}`;
  };

  const readAll = async (): Promise<void> => {
    for (const user of server.users) await outbox.checkInbox(server, user);
  };

  let flapping: NodeJS.Timeout;
  const outages: readonly Outage[] = [
    {
      name: 'the key service and Redis are down',
      messages: MANY_MESSAGES,
      login: /^NO \[UNAVAILABLE\]/,
      begin: () => Promise.all([kms.down(), redis.kill()]),
      end: () => Promise.all([kms.up(), redis.start()]),
    },
    {
      name: 'the key service is down',
      messages: MESSAGES,
      login: /^NO \[UNAVAILABLE\]/,
      begin: () => kms.down(),
      end: () => kms.up(),
    },
    {
      name: 'Redis is down',
      messages: MESSAGES,
      login: /^OK/,
      begin: () => redis.kill(),
      end: () => redis.start(),
    },
    {
      name: 'Redis accepts connections and never answers',
      messages: MESSAGES,
      login: /^OK/,
      begin: () => redis.freeze(),
      end: () => redis.thaw(),
    },
    {
      name: 'the key service is slow and Redis does not answer',
      messages: MESSAGES,
      login: /^OK/,
      begin: () => {
        redis.freeze();
        kms.faults.standing = { kind: 'slow', ms: SLOW_MS };
      },
      end: () => {
        redis.thaw();
        kms.faults.clear();
      },
    },
    {
      name: 'the key service accepts connections and never answers',
      messages: MESSAGES,
      login: /^NO \[UNAVAILABLE\]/,
      begin: () => {
        kms.faults.standing = { kind: 'hang' };
      },
      end: () => kms.faults.clear(),
    },
    {
      name: 'the key service is slow',
      messages: MESSAGES,
      login: /^OK/,
      begin: () => {
        kms.faults.standing = { kind: 'slow', ms: SLOW_MS };
      },
      end: () => kms.faults.clear(),
    },
    {
      name: 'the key service throttles',
      messages: MESSAGES,
      login: /^NO \[UNAVAILABLE\]/,
      begin: () => {
        kms.faults.standing = { kind: 'error', type: 'ThrottlingException' };
      },
      end: () => kms.faults.clear(),
    },
    {
      name: 'the key service and Redis come and go',
      messages: MESSAGES,
      login: /^(?:OK|NO \[UNAVAILABLE\])/,
      begin: () => {
        flapping = setInterval(() => {
          if (kms.faults.standing === null) redis.freeze();
          else redis.thaw();
          kms.faults.standing = kms.faults.standing === null ? { kind: 'reset' } : null;
        }, FLAP_MS);
      },
      end: () => {
        clearInterval(flapping);
        redis.thaw();
        kms.faults.clear();
      },
    },
  ];

  for (const { name, messages, login: answer, begin, end } of outages) {
    it(`${name}: mail is accepted, no password is called wrong, and all is readable afterwards`, async () => {
      await begin();
      try {
        await leasesEnd();
        const [, right, wrong] = await Promise.all([
          outbox.send(server, messages),
          login(),
          login('not the password'),
        ]);
        assert.match(right, answer);
        assert.match(wrong, /^NO \[AUTHENTICATIONFAILED\]/);
      } finally {
        await end();
      }
      await readAll();
    });
  }

  it('an open session is told so, keeps its folder, and goes on when the key service is back', async () => {
    const session = await RawImap.login(server.ports.imap, alice);
    const { untagged } = await session.ok('SELECT INBOX');
    await kms.down();
    await leasesEnd();
    await outbox.send(server, 10);
    const refused = await session.command('UID FETCH 1:* (ENVELOPE)');
    assert.equal(refused.status, 'NO');
    assert.match(refused.text, /^\[UNAVAILABLE\]/);
    // What needs no key goes on, and the new messages are told.
    assert.ok(
      (await session.ok('NOOP')).untagged.concat(refused.untagged).some((line) => /EXISTS$/.test(line)),
    );
    await kms.up();
    await session.ok('UID FETCH 1:* (ENVELOPE)');
    const again = await session.ok('SELECT INBOX');
    const uidValidity = (lines: readonly string[]) => lines.find((line) => line.includes('[UIDVALIDITY'));
    assert.equal(uidValidity(again.untagged), uidValidity(untagged));
    session.destroy();
    await readAll();
  });

  it('a server that is started without both receives, and shows all of it later', async () => {
    await Promise.all([kms.down(), redis.kill()]);
    await server.stop();
    await start();
    await outbox.send(server, MESSAGES);
    assert.match(await login(), /^NO \[UNAVAILABLE\]/);
    await server.kill9();
    await start();
    await outbox.send(server, MESSAGES);
    await Promise.all([kms.up(), redis.start()]);
    await readAll();
  });
});
