import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { pageOf } from '../../../src/imap/wire/partial-range.ts';

describe('a page of results (RFC 9394 §3.1)', () => {
  const ten = Array.from({ length: 10 }, (_, at) => at + 1);
  const rows: readonly [number, number, number[]][] = [
    [1, 3, [1, 2, 3]],
    [3, 1, [1, 2, 3]],
    [9, 12, [9, 10]],
    [11, 20, []],
    [10, 10, [10]],
    [-1, -3, [8, 9, 10]],
    [-3, -1, [8, 9, 10]],
    [-9, -12, [1, 2]],
    [-11, -20, []],
    [-10, -10, [1]],
    [1, 4_294_967_295, ten],
    [-1, -4_294_967_295, ten],
  ];
  for (const [from, to, expected] of rows) {
    it(`${from}:${to} of ten is ${expected.join(' ') || 'nothing'}`, () => {
      const { start, end } = pageOf({ from, to }, 10);
      assert.deepEqual(ten.slice(start, end), expected);
    });
  }

  it('of nothing is nothing', () => {
    for (const range of [
      { from: 1, to: 5 },
      { from: -1, to: -5 },
    ]) {
      const { start, end } = pageOf(range, 0);
      assert.deepEqual([].slice(start, end), []);
    }
  });
});
