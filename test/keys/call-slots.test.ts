import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { CallSlots } from '../../src/keys/call-slots.ts';

const signal = new AbortController().signal;
const settled = () => new Promise(setImmediate);

/** Work that ends when it is told to. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const state = { isStarted: false, resolve, reject };
  return Object.assign(state, {
    start: () => {
      state.isStarted = true;
      return promise;
    },
  });
}

describe('call slots', () => {
  it('run so many at once, and then one for each that ends, in the order of arrival', async () => {
    const slots = new CallSlots({ running: 2, waiting: 10 });
    const works = Array.from({ length: 4 }, work);
    const results = works.map(({ start }) => slots.run(signal, start));
    await settled();
    assert.deepEqual(slots.counts, { running: 2, waiting: 2 });
    assert.deepEqual(
      works.map(({ isStarted }) => isStarted),
      [true, true, false, false],
    );
    works[1]!.resolve('b');
    assert.equal(await results[1], 'b');
    await settled();
    assert.deepEqual(
      works.map(({ isStarted }) => isStarted),
      [true, true, true, false],
    );
    for (const { resolve } of works) resolve('x');
    await Promise.all(results);
    assert.deepEqual(slots.counts, { running: 0, waiting: 0 });
  });

  it('are given back by work that fails, also at once', async () => {
    const slots = new CallSlots({ running: 1, waiting: 0 });
    const throwing = () => {
      throw new Error('no');
    };
    await assert.rejects(slots.run(signal, throwing), /no/);
    await assert.rejects(
      slots.run(signal, () => Promise.reject(new Error('later'))),
      /later/,
    );
    assert.deepEqual(slots.counts, { running: 0, waiting: 0 });
  });

  it('refuse who would have to wait behind too many', async () => {
    const slots = new CallSlots({ running: 1, waiting: 1 });
    const [first, second] = [work(), work()];
    const results = [slots.run(signal, first.start), slots.run(signal, second.start)];
    await assert.rejects(slots.run(signal, work().start), { kind: 'unavailable', code: 'key-service-down' });
    first.resolve('');
    second.resolve('');
    await Promise.all(results);
  });

  it('are not held by who gives up waiting', async () => {
    const slots = new CallSlots({ running: 1, waiting: 2 });
    const [first, second, third] = [work(), work(), work()];
    const patience = new AbortController();
    const held = slots.run(signal, first.start);
    const abandoned = slots.run(patience.signal, second.start);
    const patient = slots.run(signal, third.start);
    patience.abort(new Error('enough'));
    await assert.rejects(abandoned, /enough/);
    first.resolve('');
    third.resolve('');
    await Promise.all([held, patient]);
    assert.equal(second.isStarted, false);
    assert.deepEqual(slots.counts, { running: 0, waiting: 0 });
  });

  it('stay taken by work that outlives its caller, until it ends', async () => {
    const slots = new CallSlots({ running: 1, waiting: 0 });
    const patience = new AbortController();
    const late = work();
    const abandoned = slots.run(patience.signal, late.start);
    patience.abort(new Error('enough'));
    await assert.rejects(abandoned, /enough/);
    assert.deepEqual(slots.counts, { running: 1, waiting: 0 });
    late.reject(new Error('nobody hears this'));
    await settled();
    assert.deepEqual(slots.counts, { running: 0, waiting: 0 });
  });

  it('do not start for who has given up before', async () => {
    const slots = new CallSlots({ running: 1, waiting: 0 });
    const never = work();
    await assert.rejects(slots.run(AbortSignal.abort(new Error('before')), never.start), /before/);
    assert.equal(never.isStarted, false);
  });

  it('are passed on when a turn and giving up come together', async () => {
    const slots = new CallSlots({ running: 1, waiting: 1 });
    const patience = new AbortController();
    const [first, second] = [work(), work()];
    const held = slots.run(signal, first.start);
    const abandoned = slots.run(patience.signal, second.start);
    patience.abort(new Error('enough'));
    first.resolve('');
    await assert.rejects(abandoned, /enough/);
    await held;
    await settled();
    assert.deepEqual(slots.counts, { running: 0, waiting: 0 });
  });
});
