import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { contents, message, StoreFixture } from './support.ts';

describe('embedded store smoke', () => {
  it('delivers and reads back, also after a restart', async () => {
    const fixture = await StoreFixture.open();
    const a = await fixture.newMailbox();
    const b = await fixture.newMailbox();
    const octets = message('one');
    console.log(await fixture.deliver(await fixture.sealed(octets), [a, b]));
    const big = message('big', 'x'.repeat(3_000_000));
    await fixture.deliver(await fixture.sealed(big), [a, b]);
    assert.deepEqual(await contents(await fixture.open(a)), [
      [1, octets],
      [2, big],
    ]);
    await fixture.store.checkpoint();
    assert.deepEqual(await contents(await fixture.open(a)), [
      [1, octets],
      [2, big],
    ]);
    await fixture.reopen();
    assert.deepEqual(await contents(await fixture.open(b)), [
      [1, octets],
      [2, big],
    ]);
    assert.deepEqual(fixture.fatal, []);
    await fixture.remove();
  });
});
