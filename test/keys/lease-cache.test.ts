import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { newMailboxId } from '../../src/ids.ts';
import { AwsKeyService } from '../../src/keys/aws-service.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { Lease } from '../../src/keys/lease.ts';
import { entryName } from '../../src/keys/lease-entry.ts';
import { RedisLink, type RedisLinkOptions } from '../../src/keys/redis-link.ts';
import {
  eventually,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisWithSentinel,
} from '../support/redis.ts';
import type { Key } from './kms-endpoint/key-table.ts';
import { KmsEndpoint, TEST_ACCESS_KEY } from './kms-endpoint/server.ts';
import {
  cleanUp,
  createTenant,
  journalRecords,
  openKeyring,
  ownerRequest,
  StandingClock,
  type Tenant,
  temporaryDirectory,
} from './support.ts';

const SECOND = 1000;
/** A machine that is busy with other tests may take longer than REDIS_DEADLINE_MS allows. */
const PATIENT_MS = 5_000;
const down = { kind: 'unavailable', code: 'key-service-down' };

interface Node {
  readonly keyring: Keyring;
  readonly journal: string;
  readonly redis: RedisLink;
  readonly log: string[];
}

describe('lease cache', () => {
  let endpoint: KmsEndpoint;
  let key: Key;
  let redis: RedisServer;
  let clock: StandingClock;
  let directory: string;
  let nodes: Node[];
  const closed = new WeakSet<Node>();

  before(async () => {
    endpoint = await KmsEndpoint.start();
    key = endpoint.keys.create();
    redis = await startRedis();
  });
  after(async () => {
    await redis?.stop();
    await endpoint?.down();
    await cleanUp();
  });
  beforeEach(async () => {
    await redis.admin.flushall();
    clock = new StandingClock();
    directory = temporaryDirectory();
    nodes = [];
  });
  afterEach(async () => {
    for (const node of nodes) await close(node);
  });

  /** A process that starts over the same keys.db; the one before is closed first. */
  async function start(options: Partial<RedisLinkOptions> = {}): Promise<Node> {
    for (const node of nodes) await close(node);
    const service = await AwsKeyService.open({
      defaultKeyId: key.arn,
      region: null,
      endpoint: endpoint.url,
      credentials: { accessKeyId: TEST_ACCESS_KEY, secretAccessKey: 'secret' },
    });
    const log: string[] = [];
    const note =
      (level: string) =>
      (fields: object, message: string): void =>
        void log.push(`${level} ${message} ${JSON.stringify(fields)}`);
    const link = await RedisLink.open({
      where: { kind: 'single', address: { host: '127.0.0.1', port: redis.port }, database: 0 },
      username: null,
      password: null,
      tls: null,
      deadlineMs: PATIENT_MS,
      startMs: PATIENT_MS,
      log: { debug: note('debug'), info: note('info'), warn: note('warn') },
      ...options,
    });
    const { keyring, journal } = await openKeyring({
      directory,
      service: () => service,
      clock,
      redis: link,
    });
    const node = { keyring, journal, redis: link, log };
    nodes.push(node);
    return node;
  }

  /** Once only, whoever comes first: a test that looks at what is left, or the end of all. */
  async function close(node: Node): Promise<void> {
    if (closed.has(node)) return;
    closed.add(node);
    await node.keyring.close();
  }

  const lease = ({ keyring }: Node, { organization, mailbox }: Tenant): Promise<Lease> =>
    keyring.ownerHandle(ownerRequest({ organization, mailbox })).lease();

  /** Purposes of the Decrypt calls since the last look. */
  function decrypts(): string[] {
    const purposes = endpoint.calls
      .filter(({ operation }) => operation === 'Decrypt')
      .map(({ context }) => context['letterlock:purpose']!);
    endpoint.calls.length = 0;
    return purposes;
  }

  const isCached = async ({ mailbox }: Tenant): Promise<boolean> =>
    (await redis.admin.exists(entryName(mailbox, 1))) === 1;
  const entryOf = async ({ mailbox }: Tenant): Promise<Buffer> =>
    (await redis.admin.getBuffer(entryName(mailbox, 1)))!;
  /** As somebody with all rights to Redis would: for ever. */
  const plant = ({ mailbox }: Tenant, entry: Buffer, epoch = 1) =>
    redis.admin.set(entryName(mailbox, epoch), entry);

  /** A mailbox whose keys were opened once and are in Redis. */
  async function cached(node: Node): Promise<{ tenant: Tenant; opened: Lease }> {
    const tenant = await createTenant(node.keyring);
    const opened = await lease(node, tenant);
    await eventually(() => isCached(tenant));
    decrypts();
    return { tenant, opened };
  }

  async function neighbourOf({ keyring }: Node, { organization }: Tenant): Promise<Tenant> {
    const mailbox = newMailboxId();
    await keyring.createMailboxKeys({ organization, mailbox, principal: 'admin' });
    return { organization, mailbox };
  }

  /** The lease records of a node, as they stand once it is closed. */
  async function leases(node: Node): Promise<Record<string, unknown>[]> {
    await close(node);
    return journalRecords(node.journal).filter(({ event }) => event === 'lease');
  }

  it('spares the second start the unwrap of the mailbox, for one of the cache key', async () => {
    const first = await start();
    const { tenant, opened } = await cached(first);
    const neighbour = await neighbourOf(first, tenant);
    await lease(first, neighbour);
    await eventually(() => isCached(neighbour));
    const stanza = first.keyring
      .deliverHandle(tenant.organization, tenant.mailbox, null)
      .recipient.wrap(Buffer.alloc(16, 1));
    const indexKey = Buffer.from(opened.indexKey);
    const second = await start();
    decrypts();
    const again = await lease(second, tenant);
    assert.deepEqual(again.identity.unwrap(stanza), Buffer.alloc(16, 1));
    assert.deepEqual(Buffer.from(again.indexKey), indexKey);
    await lease(second, neighbour);
    assert.deepEqual(decrypts(), ['cache']);
    assert.equal(second.keyring.cacheState, 'answering');
  });

  it('shares one look in Redis between requests that come together, and leaves a record for each', async () => {
    const first = await start();
    const { tenant } = await cached(first);
    const [original] = await leases(first);
    const second = await start();
    await Promise.all([lease(second, tenant), lease(second, tenant), lease(second, tenant)]);
    const records = await leases(second);
    assert.deepEqual(
      records.map(({ source, requestId, keyId }) => [source, requestId, keyId]),
      ['redis', 'memory', 'memory'].map((source) => [source, original!['requestId'], key.arn]),
    );
    assert.equal(original!['source'], 'key-service');
    assert.ok(endpoint.calls.every(({ requestId }) => requestId !== original!['requestId']));
  });

  it('has the unwrap of a cache key on record, with its purpose', async () => {
    const first = await start();
    await cached(first);
    await close(first);
    const uses = journalRecords(first.journal).filter(({ purpose }) => purpose === 'cache');
    assert.deepEqual(
      uses.map(({ event, operation, outcome, principal }) => [event, operation, outcome, principal]),
      ['wrap', 'unwrap'].flatMap((operation) => [
        ['intent', operation, undefined, 'lease-cache'],
        ['outcome', operation, 'ok', 'lease-cache'],
      ]),
    );
    assert.deepEqual(nodes[0]!.log, ['info the lease cache answers {}']);
  });

  it('ends a lease from Redis when the 300 seconds of the original unwrap end', async () => {
    const first = await start();
    const { tenant, opened } = await cached(first);
    const { expiresAt } = opened;
    clock.advance(50 * SECOND);
    const second = await start();
    const again = await lease(second, tenant);
    assert.equal(again.expiresAt, expiresAt);
    assert.deepEqual(decrypts(), ['cache']);
    for (let at = 50; at < 290; at += 10) {
      clock.advance(10 * SECOND);
      await lease(second, tenant);
    }
    // The cache key was unwrapped at 50 s, the mailbox at 0: each ends in its time.
    assert.deepEqual(decrypts(), []);
    clock.advance(10 * SECOND);
    assert.throws(() => again.identity, { kind: 'unavailable' });
    await lease(second, tenant);
    assert.deepEqual(decrypts(), ['mailbox']);
  });

  it('keeps an entry in Redis no longer than idle time and absolute time allow, and renews it by use', async () => {
    const first = await start();
    const { tenant } = await cached(first);
    const ttl = () => redis.admin.pttl(entryName(tenant.mailbox, 1));
    assert.ok((await ttl()) <= 60 * SECOND);
    const shorten = () => redis.admin.pexpire(entryName(tenant.mailbox, 1), 10 * SECOND);
    await shorten();
    clock.advance(14 * SECOND);
    await lease(first, tenant);
    assert.ok((await ttl()) <= 10 * SECOND, 'not with every use');
    clock.advance(1 * SECOND);
    await lease(first, tenant);
    await eventually(async () => (await ttl()) > 50 * SECOND);
    for (let at = 15; at < 285; at += 15) {
      clock.advance(15 * SECOND);
      await lease(first, tenant);
    }
    await eventually(async () => (await ttl()) <= 15 * SECOND);
  });

  it('is neither filled nor kept by background work', async () => {
    const first = await start();
    const tenant = await createTenant(first.keyring);
    const background = first.keyring.ownerHandle({ ...ownerRequest(tenant), isBackground: true });
    await background.lease();
    assert.deepEqual(await redis.admin.keys('*'), []);
    await lease(first, tenant); // from memory: nothing to write
    first.keyring.endLease(tenant.mailbox);
    await lease(first, tenant);
    await eventually(() => isCached(tenant));
    await redis.admin.pexpire(entryName(tenant.mailbox, 1), 10 * SECOND);
    clock.advance(20 * SECOND);
    await background.lease();
    await first.redis.read('a later command'); // what was sent before it was carried out
    assert.ok((await redis.admin.pttl(entryName(tenant.mailbox, 1))) <= 10 * SECOND);
  });

  it('has nothing of a mailbox whose keys were removed', async () => {
    const first = await start();
    const { tenant } = await cached(first);
    const entry = await entryOf(tenant);
    await first.keyring.removeMailboxKeys(tenant.mailbox, 'admin');
    assert.equal(await isCached(tenant), false);
    await plant(tenant, entry);
    await first.keyring.removeOrganizationKeys(tenant.organization, 'admin');
    assert.deepEqual(first.keyring.verify(), []);
  });

  it('is left to itself when the cache key in keys.db is of another organization; fsck names it', async () => {
    const first = await start();
    const { tenant } = await cached(first);
    const { tenant: stranger } = await cached(first);
    await close(first);
    const database = new DatabaseSync(join(directory, 'keys.db'));
    const copy = `UPDATE cache_key SET (context, wrapped) =
      (SELECT context, wrapped FROM cache_key WHERE organization = ?) WHERE organization = ?`;
    database.prepare(copy).run(stranger.organization, tenant.organization);
    database.close();
    const second = await start();
    decrypts();
    await lease(second, tenant);
    assert.deepEqual(decrypts(), ['mailbox']);
    assert.match(second.keyring.verify()[0]!.sentence, /context of another/);
    assert.match(second.log.join(), /the lease cache has no key.*context-mismatch/);
  });

  describe('that somebody writes to', () => {
    const FLAWS = [
      ['with a bit changed', (entry: Buffer) => Buffer.from(entry.fill(entry.at(-1)! ^ 1, entry.length - 1))],
      ['with a later end', (entry: Buffer) => Buffer.from(entry.fill(entry[8]! ^ 1, 8, 9))],
      ['cut', (entry: Buffer) => entry.subarray(0, -1)],
      ['of an unknown version', (entry: Buffer) => Buffer.from(entry.fill(2, 0, 1))],
      ['empty of sense', () => Buffer.from('garbage')],
      ['of ten megabytes', () => Buffer.alloc(10_000_000, 1)],
    ] as const;
    for (const [what, change] of FLAWS) {
      it(`gives nothing for an entry ${what}, which is removed, and the key service is asked`, async () => {
        const first = await start();
        const { tenant } = await cached(first);
        await plant(tenant, change(await entryOf(tenant)));
        const second = await start();
        await lease(second, tenant);
        assert.deepEqual(decrypts(), ['cache', 'mailbox']);
        assert.match(second.log.join(), /is not what was stored/);
        await eventually(async () => (await isCached(tenant)) && (await entryOf(tenant)).length < 300);
      });
    }

    it('gives nothing for a value of another type', async () => {
      const first = await start();
      const { tenant } = await cached(first);
      await redis.admin.del(entryName(tenant.mailbox, 1));
      await redis.admin.lpush(entryName(tenant.mailbox, 1), 'x');
      const second = await start();
      await lease(second, tenant);
      assert.deepEqual(decrypts(), ['cache', 'mailbox']);
      assert.equal(second.keyring.cacheState, 'answering');
    });

    it('does not give one mailbox what is of another, of its organization or not', async () => {
      const first = await start();
      const { tenant: alice } = await cached(first);
      const bob = await neighbourOf(first, alice);
      await lease(first, bob);
      await eventually(() => isCached(bob));
      const { tenant: stranger } = await cached(first);
      const [ofBob, ofStranger] = [await entryOf(bob), await entryOf(stranger)];
      for (const foreign of [ofBob, ofStranger]) {
        await plant(alice, foreign);
        const next = await start();
        decrypts();
        await lease(next, alice);
        assert.deepEqual(decrypts(), ['cache', 'mailbox']);
        await next.redis.remove(entryName(alice.mailbox, 1));
      }
    });

    it('gives nothing for an entry that is put back after its end', async () => {
      const first = await start();
      const { tenant } = await cached(first);
      await plant(tenant, await entryOf(tenant));
      clock.advance(300 * SECOND);
      const second = await start();
      await lease(second, tenant);
      assert.deepEqual(decrypts(), ['cache', 'mailbox']);
      // Nor one that seems to come from the future: a clock that was set back, or not ours.
      await eventually(
        async () => (await isCached(tenant)) && (await redis.admin.pttl(entryName(tenant.mailbox, 1))) > 0,
      );
      await plant(tenant, await entryOf(tenant));
      clock.setBack(3600 * SECOND);
      const third = await start();
      await lease(third, tenant);
      assert.deepEqual(decrypts(), ['cache', 'mailbox']);
      assert.match(third.log.join(), /expires-too-late/);
    });

    for (const what of ['mailbox', 'organization'] as const) {
      it(`gives nothing for an entry that is put back after its ${what} was locked`, async () => {
        const first = await start();
        const { tenant } = await cached(first);
        const entry = await entryOf(tenant);
        const { locks } = first.keyring;
        if (what === 'mailbox') {
          await locks.lockMailbox(tenant.mailbox, 'admin', '');
          assert.equal(await isCached(tenant), false);
        } else await locks.lockOrganization(tenant.organization, 'admin', '');
        await plant(tenant, entry);
        await assert.rejects(lease(first, tenant), { code: 'locked' });
        assert.deepEqual(decrypts(), []);
        if (what === 'mailbox') await locks.unlockMailbox(tenant.mailbox, 'admin');
        else await locks.unlockOrganization(tenant.organization, 'admin');
        await lease(first, tenant);
        assert.deepEqual(
          decrypts().filter((purpose) => purpose === 'mailbox'),
          ['mailbox'],
        );
        await plant(tenant, entry);
        const second = await start();
        await lease(second, tenant);
        assert.deepEqual(
          decrypts().filter((purpose) => purpose === 'mailbox'),
          ['mailbox'],
        );
        assert.match(second.log.join(), /seal-broken/);
      });
    }

    it('keeps nothing of an unwrap that was in flight when its mailbox and its organization were locked', async () => {
      for (const what of ['mailbox', 'organization'] as const) {
        const node = await start();
        const tenant = await createTenant(node.keyring);
        const { locks } = node.keyring;
        endpoint.faults.next(...Array.from({ length: 3 }, () => ({ kind: 'slow', ms: 300 }) as const));
        const opening = lease(node, tenant);
        await eventually(() => endpoint.active > 0);
        if (what === 'mailbox') await locks.lockMailbox(tenant.mailbox, 'admin', '');
        else await locks.lockOrganization(tenant.organization, 'admin', '');
        await assert.rejects(opening, { code: 'locked' });
        if (what === 'mailbox') await locks.unlockMailbox(tenant.mailbox, 'admin');
        else await locks.unlockOrganization(tenant.organization, 'admin');
        await eventually(() => endpoint.active === 0);
        const next = await start();
        decrypts();
        await lease(next, tenant);
        assert.ok(decrypts().includes('mailbox'), what);
      }
    });
  });

  describe('and a key service that is down', () => {
    after(() => endpoint.up().catch(() => undefined));

    it('serves what is cached while the cache key is in memory, and then says what the key service says', async () => {
      const first = await start();
      const { tenant } = await cached(first);
      await endpoint.down();
      first.keyring.endLease(tenant.mailbox);
      await lease(first, tenant);
      await plant(tenant, await entryOf(tenant));
      clock.advance(300 * SECOND);
      await assert.rejects(lease(first, tenant), down);
      const second = await start();
      await assert.rejects(lease(second, tenant), down);
      await endpoint.up();
      await lease(second, tenant);
    });

    it('is not used where the key policy denies the purpose, and all works', async () => {
      const first = await start();
      const { tenant } = await cached(first);
      const { policy } = key;
      const Condition = { StringEquals: { 'kms:EncryptionContext:letterlock:purpose': 'cache' } };
      const deny = {
        Effect: 'Deny',
        Principal: '*',
        Action: 'kms:Decrypt',
        Resource: '*',
        Condition,
      } as const;
      key.policy = { ...policy, Statement: [...policy.Statement, deny] };
      const second = await start();
      await lease(second, tenant);
      second.keyring.endLease(tenant.mailbox);
      await lease(second, tenant);
      assert.deepEqual(decrypts(), ['cache', 'mailbox', 'mailbox'], 'and it is not asked each time');
      key.policy = policy;
    });
  });

  describe('in a Redis that fails', () => {
    /** Opens the mailbox without the help of memory; how long it took. */
    async function reopen(node: Node, tenant: Tenant): Promise<number> {
      node.keyring.endLease(tenant.mailbox);
      const begin = performance.now();
      await lease(node, tenant);
      return performance.now() - begin;
    }

    it('costs nothing but calls to the key service when Redis is killed, and comes back with it', async () => {
      const node = await start();
      const { tenant } = await cached(node);
      await redis.kill();
      for (let round = 0; round < 20; round++) await reopen(node, tenant);
      assert.equal(node.keyring.cacheState, 'failing');
      assert.deepEqual(new Set(decrypts()), new Set(['mailbox']));
      await redis.start();
      await eventually(async () => {
        await reopen(node, tenant);
        return isCached(tenant);
      });
      decrypts();
      await reopen(node, tenant);
      assert.deepEqual(decrypts(), []);
      const changes = node.log.filter((line) => /answer/.test(line)).map((line) => line.split(' {')[0]);
      assert.deepEqual(changes, [
        'info the lease cache answers',
        'warn the lease cache does not answer',
        'info the lease cache answers again',
      ]);
    }).timeout(30_000);

    it('costs one deadline in a pause when Redis is frozen, however many log in, and queues nothing', async () => {
      const deadlineMs = 300;
      const node = await start({ deadlineMs });
      const { tenant } = await cached(node);
      redis.freeze();
      const begin = performance.now();
      const times: number[] = [];
      for (let round = 0; round < 100; round++) times.push(await reopen(node, tenant));
      const slow = times.filter((ms) => ms >= deadlineMs).length;
      const pauses = Math.ceil((performance.now() - begin) / 2_000);
      assert.ok(slow >= 1 && slow <= 1 + pauses, `${slow} slow ones in ${pauses} pauses`);
      assert.equal(node.keyring.cacheState, 'failing');
      await eventually(() => node.redis.running === 0);
      redis.thaw();
      await eventually(async () => {
        await reopen(node, tenant);
        return node.keyring.cacheState === 'answering';
      });
    }).timeout(30_000);

    it('starts while Redis is frozen or absent', async () => {
      redis.freeze();
      const frozen = await start({ startMs: 500 });
      assert.equal(frozen.keyring.cacheState, 'failing');
      const tenant = await createTenant(frozen.keyring);
      await lease(frozen, tenant);
      await close(frozen);
      redis.thaw();
      await redis.kill();
      const alone = await start();
      await lease(alone, tenant);
      await redis.start();
    }).timeout(30_000);

    it('is filled again after a flush', async () => {
      const node = await start();
      const { tenant } = await cached(node);
      await redis.admin.flushall();
      await reopen(node, tenant);
      assert.deepEqual(decrypts(), ['mailbox']);
      await eventually(() => isCached(tenant));
      await reopen(node, tenant);
      assert.deepEqual(decrypts(), []);
    });

    it('goes on reading when Redis is full, and says once that it does not store', async () => {
      const node = await start();
      const { tenant } = await cached(node);
      const neighbours = await Promise.all([1, 2, 3].map(() => neighbourOf(node, tenant)));
      await redis.admin.config('SET', 'maxmemory-policy', 'noeviction');
      await redis.admin.config('SET', 'maxmemory', '1mb');
      try {
        decrypts();
        for (const neighbour of neighbours) await lease(node, neighbour);
        await eventually(() => node.log.some((line) => line.includes('refuses to store')));
        await reopen(node, tenant);
        assert.deepEqual(decrypts(), ['mailbox', 'mailbox', 'mailbox']);
        assert.equal(node.log.filter((line) => line.includes('refuses to store {"reason":"OOM"}')).length, 1);
        assert.equal(node.keyring.cacheState, 'answering');
      } finally {
        await redis.admin.config('SET', 'maxmemory', '0');
      }
    });

    it('does without Redis when the password is wrong, and tells nobody the right one', async () => {
      const guarded = await startRedis(['requirepass correct']);
      const where = {
        kind: 'single',
        address: { host: '127.0.0.1', port: guarded.port },
        database: 0,
      } as const;
      const node = await start({ where, password: 'wrong-secret' });
      const tenant = await createTenant(node.keyring);
      await lease(node, tenant);
      assert.equal(node.keyring.cacheState, 'failing');
      assert.doesNotMatch(node.log.join(), /secret|correct/);
      const right = await start({ where, password: 'correct' });
      await lease(right, tenant);
      assert.equal(right.keyring.cacheState, 'answering');
      await close(right);
      await guarded.stop();
    });

    it('needs no more rights than docs/operating.md gives it', async () => {
      await redis.admin.call('ACL', 'SETUSER', 'letterlock', ...documentedRights().split(' '));
      const node = await start({ username: 'letterlock', password: 'right' });
      const { tenant } = await cached(node);
      await reopen(node, tenant);
      assert.deepEqual(decrypts(), []);
      clock.advance(30 * SECOND);
      await redis.admin.pexpire(entryName(tenant.mailbox, 1), 5 * SECOND);
      await lease(node, tenant);
      await eventually(async () => (await redis.admin.pttl(entryName(tenant.mailbox, 1))) > 10 * SECOND);
      await node.keyring.locks.lockMailbox(tenant.mailbox, 'admin', '');
      assert.equal(await isCached(tenant), false);
      assert.deepEqual(node.log, ['info the lease cache answers {}']);
    });

    it('survives a replica that takes no writes', async () => {
      const replica = await startRedis([`replicaof 127.0.0.1 ${redis.port}`]);
      const where = {
        kind: 'single',
        address: { host: '127.0.0.1', port: replica.port },
        database: 0,
      } as const;
      await eventually(async () => /master_link_status:up/.test(await replica.admin.info('replication')));
      const node = await start({ where });
      const tenant = await createTenant(node.keyring);
      await lease(node, tenant);
      await eventually(() => node.log.some((line) => line.includes('"reason":"READONLY"')));
      await reopen(node, tenant);
      assert.equal(node.keyring.cacheState, 'answering');
      await close(node);
      await replica.stop();
    });

    for (const [what, octets] of [
      ['something else', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
      ['OK to everything', Buffer.from('+OK\r\n')],
      ['numbers', Buffer.from(':1\r\n')],
      ['lengths without end', Buffer.from('$999999999999\r\n')],
      ['nothing, and hangs up', null],
    ] as const) {
      it(`survives a server that answers ${what}`, async () => {
        const sockets = new Set<Socket>();
        const server = createServer((socket) => {
          sockets.add(socket);
          socket.on('error', () => {});
          socket.on('data', () => (octets === null ? socket.destroy() : socket.write(octets)));
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as { port: number };
        const where = { kind: 'single', address: { host: '127.0.0.1', port }, database: 0 } as const;
        const node = await start({ where, deadlineMs: 100 });
        const tenant = await createTenant(node.keyring);
        for (let round = 0; round < 10; round++) await reopen(node, tenant);
        await close(node);
        for (const socket of sockets) socket.destroy();
        server.close();
      });
    }
  });

  describe('behind sentinels', () => {
    it('follows the master through a failover, and serves from the new one', async () => {
      const group = await startRedisWithSentinel();
      try {
        const node = await start({
          where: {
            kind: 'sentinels',
            addresses: [{ host: '127.0.0.1', port: group.sentinelPort }],
            master: 'mail',
            password: null,
          },
        });
        const tenant = await createTenant(node.keyring);
        await lease(node, tenant);
        assert.equal(node.keyring.cacheState, 'answering');
        const name = entryName(tenant.mailbox, 1);
        const [first, second] = group.servers;
        await eventually(async () => (await first.admin.exists(name)) === 1);
        await group.failOver();
        assert.equal(await group.master(), second);
        await eventually(async () => {
          await second.admin.del(name);
          node.keyring.endLease(tenant.mailbox);
          await lease(node, tenant);
          await node.redis.read(name);
          return (await second.admin.exists(name)) === 1;
        });
        // Being reconfigured, servers drop their clients, once more after the role has changed.
        await eventually(async () => {
          node.keyring.endLease(tenant.mailbox);
          decrypts();
          await lease(node, tenant);
          return decrypts().length === 0;
        });
        await close(node);
      } finally {
        await group.stop();
      }
    }).timeout(90_000);
  });

  describe('in a cluster of three', () => {
    it('keeps entries on all nodes, and does without the one that is gone', async () => {
      const cluster = await startRedisCluster();
      try {
        const where = {
          kind: 'cluster',
          addresses: [{ host: '127.0.0.1', port: cluster.servers[0]!.port }],
        } as const;
        const rights = `${documentedRights()} +cluster|slots +cluster|info`;
        for (const { admin } of cluster.servers) {
          await admin.call('ACL', 'SETUSER', 'letterlock', ...rights.split(' '));
        }
        const user = { where, username: 'letterlock', password: 'right' };
        const first = await start(user);
        const tenants = [await createTenant(first.keyring)];
        while (tenants.length < 24) tenants.push(await neighbourOf(first, tenants[0]!));
        for (const tenant of tenants) await lease(first, tenant);
        const sizes = () => Promise.all(cluster.servers.map(({ admin }) => admin.dbsize()));
        await eventually(async () => (await sizes()).reduce((sum, size) => sum + size) === 24);
        assert.ok((await sizes()).every((size) => size > 0));
        const second = await start(user);
        decrypts();
        for (const tenant of tenants) await lease(second, tenant);
        assert.deepEqual(decrypts(), ['cache']);
        await cluster.servers[1]!.kill();
        for (const tenant of tenants) {
          second.keyring.endLease(tenant.mailbox);
          await lease(second, tenant);
        }
        await close(second);
      } finally {
        await cluster.stop();
      }
    }).timeout(90_000);
  });

  it('leaves nothing in a dump, an append-only file or on the wire that opens anything, or is a key', async () => {
    const file = await startRedis(['appendonly yes', 'appendfsync always', 'rdbcompression no']);
    const monitor = spawn('redis-cli', ['-p', String(file.port), 'MONITOR']);
    let seen = '';
    monitor.stdout.on('data', (octets) => (seen += octets));
    await eventually(() => seen.includes('OK'));
    const where = { kind: 'single', address: { host: '127.0.0.1', port: file.port }, database: 0 } as const;
    // What must not be found, as it goes through the key service.
    const secrets: Buffer[] = [];
    const opened = await openKeyring({
      directory,
      clock,
      redis: await RedisLink.open({
        where,
        username: null,
        password: null,
        tls: null,
        deadlineMs: PATIENT_MS,
      }),
      service: (local) => ({
        name: local.name,
        defaultKeyId: local.defaultKeyId,
        wrap(keyId, context, clear, signal) {
          secrets.push(Buffer.from(clear));
          return local.wrap(keyId, context, clear, signal);
        },
        unwrap: (...args) => local.unwrap(...args),
        rewrap: (...args) => local.rewrap(...args),
        describe: (...args) => local.describe(...args),
      }),
    });
    const node = { keyring: opened.keyring, journal: opened.journal, redis: null as never, log: [] };
    const tenant = await createTenant(node.keyring);
    const held = await lease(node, tenant);
    secrets.push(Buffer.from(held.indexKey));
    await eventually(async () => (await file.admin.dbsize()) === 1);
    await eventually(() => seen.includes(tenant.mailbox));
    await file.admin.save();
    await file.admin.bgrewriteaof();
    assert.equal(secrets.length, 4, 'directory key, seed, cache key, index key');
    const rows = new DatabaseSync(join(directory, 'keys.db'), { readOnly: true });
    const { cache_salt: salt } = rows.prepare('SELECT cache_salt FROM mailbox').get() as {
      cache_salt: Uint8Array;
    };
    const { wrapped } = rows.prepare('SELECT wrapped FROM cache_key').get() as { wrapped: Uint8Array };
    rows.close();

    const dump = readFileSync(join(file.directory, 'dump.rdb'));
    const aof = join(file.directory, 'appendonlydir');
    const written = [dump, ...readdirSync(aof).map((name) => readFileSync(join(aof, name))), unescaped(seen)];
    assert.ok(written[0]!.includes(tenant.mailbox), 'the dump has the entry');
    assert.ok(
      written.at(-1)!.includes((await file.admin.getBuffer(entryName(tenant.mailbox, 1)))!.subarray(-16)),
    );
    for (const secret of [...secrets, Buffer.from(salt), Buffer.from(wrapped)]) {
      const forms = [
        secret,
        ...(['hex', 'base64', 'base64url'] as const).map((form) => secret.toString(form)),
      ];
      for (const form of forms) {
        for (const octets of written) assert.ok(!octets.includes(form));
      }
    }
    monitor.kill();
    await close(node);
    await file.stop();
  });
});

/** What operators are told to give Letterlock's user, with the password `right`. */
function documentedRights(): string {
  const page = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8');
  return /^ {4}user letterlock (.*)$/m.exec(page)![1]!.replace(/>\S+/, '>right');
}

/** The octets of what MONITOR prints, `\\x00` and the like undone. */
const unescaped = (text: string): Buffer =>
  Buffer.from(
    text.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, letter: string) =>
      hex === undefined
        ? ({ n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }[letter] ?? letter)
        : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
    'latin1',
  );
