import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { newMailboxId } from '../../src/ids.ts';
import { LeaseKeeper } from '../../src/keys/lease-keeper.ts';
import type { OpenedKeys } from '../../src/keys/opened-keys.ts';
import { generateIdentitySeed, identityFromSeed } from '../../src/seal/recipient.ts';
import { StandingClock } from './support.ts';

const SECOND = 1000;
const ended = { kind: 'unavailable', code: 'timeout' };

describe('lease keeper', () => {
  const mailbox = newMailboxId();
  let clock: StandingClock;
  let keeper: LeaseKeeper;
  let opened: OpenedKeys[];

  const open = async (): Promise<OpenedKeys> => {
    const identity = identityFromSeed('x25519', generateIdentitySeed());
    const keys = {
      identity,
      indexKey: Buffer.alloc(32, 7),
      requestId: `request ${opened.length}`,
      keyId: 'local:default',
    };
    opened.push(keys);
    return keys;
  };
  const acquire = () => keeper.acquire(mailbox, 1, open);

  beforeEach(() => {
    clock = new StandingClock();
    keeper = new LeaseKeeper(clock, { idleMs: 60 * SECOND, absoluteMs: 300 * SECOND });
    opened = [];
  });

  it('opens keys once for requests that come together, and says whom the key service answered', async () => {
    const grants = await Promise.all([acquire(), acquire(), acquire()]);
    assert.equal(opened.length, 1);
    assert.deepEqual(
      grants.map(({ source }) => source),
      ['key-service', 'memory', 'memory'],
    );
    assert.equal(new Set(grants.map(({ lease }) => lease)).size, 1);
    assert.equal((await acquire()).source, 'memory');
  });

  it('gives every one of them the error when the key service fails, and asks anew the next time', async () => {
    const failing = async () => Promise.reject(new Error('down'));
    const results = await Promise.allSettled([
      keeper.acquire(mailbox, 1, failing),
      keeper.acquire(mailbox, 1, open),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal((await acquire()).source, 'key-service');
  });

  it('keeps epochs and mailboxes apart', async () => {
    await acquire();
    assert.equal((await keeper.acquire(mailbox, 2, open)).source, 'key-service');
    assert.equal((await keeper.acquire(newMailboxId(), 1, open)).source, 'key-service');
  });

  it('ends a lease 60 s after its last use, not before', async () => {
    const { lease } = await acquire();
    clock.advance(59 * SECOND);
    lease.touch();
    clock.advance(59 * SECOND);
    assert.ok(lease.isLive);
    clock.advance(1 * SECOND);
    assert.ok(!lease.isLive);
    assert.equal(keeper.size, 0);
    assert.equal((await acquire()).source, 'key-service');
  });

  it('does not take the acquiring of a lease from memory for a use', async () => {
    const { lease } = await acquire();
    clock.advance(59 * SECOND);
    await acquire();
    clock.advance(1 * SECOND);
    assert.ok(!lease.isLive);
  });

  it('ends a lease 300 s after the unwrap however often it is used', async () => {
    const { lease } = await acquire();
    assert.equal(lease.expiresAt, clock.now() + 300 * SECOND);
    for (let second = 0; second < 299; second++) {
      clock.advance(SECOND);
      lease.touch();
    }
    assert.ok(lease.isLive);
    clock.advance(SECOND);
    assert.ok(!lease.isLive);
    assert.equal(keeper.size, 0);
  });

  it('ends a lease from a cache when the cache says, and never later than after a new unwrap', async () => {
    const cachedUntil = clock.now() + 20 * SECOND;
    const { lease, source } = await keeper.acquire(mailbox, 1, async () => ({
      ...(await open()),
      cachedUntil,
    }));
    assert.deepEqual([source, lease.expiresAt], ['redis', cachedUntil]);
    clock.advance(19 * SECOND);
    lease.touch();
    assert.ok(lease.isLive);
    clock.advance(SECOND);
    assert.ok(!lease.isLive);
    assert.equal(clock.timers, 0);
    const late = { cachedUntil: clock.now() + 3600 * SECOND };
    const bounded = await keeper.acquire(mailbox, 1, async () => ({ ...(await open()), ...late }));
    assert.equal(bounded.lease.expiresAt, clock.now() + 300 * SECOND);
  });

  it('ends a lease 300 s after the unwrap also when the wall clock is set back meanwhile', async () => {
    const { lease } = await acquire();
    clock.setBack(3600 * SECOND);
    for (let second = 0; second < 300; second += 50) {
      lease.touch();
      clock.advance(50 * SECOND);
    }
    assert.ok(!lease.isLive);
    assert.equal(keeper.size, 0);
  });

  it('zeroes the index key and forgets identity and memos when a lease ends, and keeps no timer', async () => {
    const { lease } = await acquire();
    const slot = Symbol('names');
    let made = 0;
    const make = () => ++made;
    assert.equal(lease.memo(slot, make), 1);
    assert.equal(lease.memo(slot, make), 1);
    clock.advance(60 * SECOND);
    assert.ok(opened[0]!.indexKey.every((octet) => octet === 0));
    assert.throws(() => lease.identity, ended);
    assert.throws(() => lease.indexKey, ended);
    assert.throws(() => lease.memo(slot, make), ended);
    assert.equal(clock.timers, 0);
    const { lease: next } = await acquire();
    assert.equal(next.memo(slot, make), 2);
  });

  it('ends leases at once when it is told to, those of other mailboxes excepted', async () => {
    const { lease } = await acquire();
    const other = await keeper.acquire(newMailboxId(), 1, open);
    keeper.forget(mailbox);
    assert.ok(!lease.isLive);
    assert.ok(other.lease.isLive);
    keeper.forgetAll();
    assert.ok(!other.lease.isLive);
  });

  it('yields no lease from an unwrap that was in flight when the mailbox was locked', async () => {
    const { promise, resolve } = Promise.withResolvers<OpenedKeys>();
    const locked = keeper.acquire(mailbox, 1, () => promise);
    keeper.forget(mailbox);
    const { lease } = await acquire();
    const keys = await open();
    resolve(keys);
    await assert.rejects(locked, { kind: 'unavailable', code: 'busy' });
    assert.ok(keys.indexKey.every((octet) => octet === 0));
    assert.ok(lease.isLive);
    assert.equal((await acquire()).source, 'memory');
  });
});
