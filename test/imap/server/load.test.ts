import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RefusedError, UnavailableError } from '../../../src/errors.ts';
import { LoopLoad } from '../../../src/imap/load.ts';
import { BUSY_LOOP_MS } from '../../../src/limits.ts';
import { ImapFixture } from '../support.ts';

const APPLE = (event: string): string => `ID ("name" "com.apple.email.maild" "event" ${event})`;

describe('ID of a client that downloads in the background', () => {
  let fixture: ImapFixture;
  beforeEach(async () => {
    fixture = await ImapFixture.open();
    await fixture.addUser('phone');
  });
  afterEach(() => fixture.close());

  it('is put off while the server is busy, before and after the login', async () => {
    const client = await fixture.connect();
    await client.line();
    fixture.load.isBusy = true;
    assert.deepEqual(await client.run(APPLE('"indexer"')), [
      't NO [UNAVAILABLE] Busy; background downloads are to wait.',
    ]);
    await client.run('LOGIN phone secret');
    for (const event of ['"back-fill"', '"periodic,back-fill"', '"Indexer"', '"push, indexer"']) {
      assert.match((await client.run(APPLE(event))).at(-1)!, /^t NO \[UNAVAILABLE\]/, event);
    }
    // Others are answered: those who wait for their mail, and those who only use the same word.
    for (const event of ['NIL', '"periodic"', '"periodic,push"', '"indexers"']) {
      assert.match((await client.run(APPLE(event))).at(-1)!, /^t OK/, event);
    }
    assert.match((await client.run('ID ("name" "other" "event" "indexer")')).at(-1)!, /^t OK/);
    assert.match((await client.run('ID NIL')).at(-1)!, /^t OK/);
    fixture.load.isBusy = false;
    assert.match((await client.run(APPLE('"indexer"'))).at(-1)!, /^t OK/);
  });

  it('is put off while the mailbox is locked', async () => {
    const client = await fixture.signIn('phone');
    for (const error of [
      new RefusedError('key-denied', 'The mailbox is locked.'),
      new UnavailableError('key-service-down', 'Keys cannot be opened now.'),
    ]) {
      fixture.lockedError = error;
      assert.match((await client.run(APPLE('"back-fill"'))).at(-1)!, /^t NO \[UNAVAILABLE\]/);
      assert.match((await client.run(APPLE('"push"'))).at(-1)!, /^t OK/);
    }
    fixture.lockedError = null;
    assert.match((await client.run(APPLE('"back-fill"'))).at(-1)!, /^t OK/);
  });
});

describe('the load of a process', () => {
  /** Keeps the event loop from everything else. */
  const block = (ms: number): void => {
    for (const until = performance.now() + ms; performance.now() < until; );
  };

  it('is high while its event loop is late, and no longer', async () => {
    const load = new LoopLoad(250);
    try {
      assert.equal(load.isBusy, false);
      for (let round = 0; round < 1_000 && !load.isBusy; round += 1) {
        block(2 * BUSY_LOOP_MS);
        await delay(1);
      }
      assert.equal(load.isBusy, true);
      for (let round = 0; round < 1_000 && load.isBusy; round += 1) await delay(10);
      assert.equal(load.isBusy, false);
    } finally {
      load.stop();
    }
  });
});
