import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { sortYielding, yieldingTo } from '../src/yielding.ts';

describe('a sort that gives way', () => {
  it('sorts as any other, and leaves equals in their order', async () => {
    const items = fc.array(fc.record({ rank: fc.nat(5), id: fc.nat() }), { maxLength: 70 });
    const compare = (a: { rank: number }, b: { rank: number }): number => a.rank - b.rank;
    await fc.assert(
      fc.asyncProperty(items, async (list) => {
        assert.deepEqual(await sortYielding(list, compare, yieldingTo()), list.toSorted(compare));
      }),
    );
  });
});
