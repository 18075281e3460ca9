import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { formatSize, parseSize } from '../../src/cli/size.ts';

describe('sizes on the command line', () => {
  for (const [text, octets] of [
    ['1', 1],
    ['1000', 1000],
    ['10K', 10_240],
    ['10kb', 10_240],
    ['500M', 524_288_000],
    ['5G', 5_368_709_120],
    ['5GiB', 5_368_709_120],
    ['2t', 2 * 2 ** 40],
    ['none', null],
    ['None', null],
    ['', undefined],
    ['0', undefined],
    ['-1', undefined],
    ['1.5G', 1_610_612_736],
    ['0.001K', 1],
    ['1.', undefined],
    ['.5G', undefined],
    ['5X', undefined],
    ['G', undefined],
    ['99999999T', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)} as ${octets}`, () => assert.equal(parseSize(text), octets));
  }

  for (const [octets, text] of [
    [1, '1'],
    [1000, '1000'],
    [1024, '1K'],
    [1536, '1.5K'],
    [5 * 2 ** 30, '5G'],
    [5 * 2 ** 30 + 1, '5368709121'],
  ] as const) {
    it(`writes ${octets} as ${text}`, () => assert.equal(formatSize(octets), text));
  }

  it('reads back what it wrote', () => {
    const sizes = fc.oneof(
      fc.integer({ min: 1, max: 2 ** 45 }),
      fc
        .tuple(fc.integer({ min: 1, max: 999 }), fc.constantFrom(10, 20, 30, 40))
        .map(([n, bits]) => n * 2 ** bits),
    );
    fc.assert(fc.property(sizes, (octets) => assert.equal(parseSize(formatSize(octets)), octets)));
  });
});
