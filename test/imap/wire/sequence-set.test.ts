import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  commonNumbers,
  commonRanges,
  hasStar,
  largestNumber,
  lengthOf,
  numbersInOrder,
  parseSequenceSet,
  printSequenceSet,
  rangesContain,
  rangesOf,
  rangesWithout,
  resolveSequenceSet,
  STAR,
  selectFrom,
  sequenceSetOf,
} from '../../../src/imap/wire/sequence-set.ts';
import { IMAP_SEQUENCE_RANGES } from '../../../src/limits.ts';

const number = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom(STAR, 0xffff_ffff));
const set = fc
  .array(fc.record({ from: number, to: number }, { noNullPrototype: true }), { minLength: 1, maxLength: 12 })
  .map((ranges) => ({ ranges }));

describe('imap/wire/sequence-set', () => {
  // RFC 9051 §9 `sequence-set` and its comments: largest number 15 in the examples there.
  const resolved: readonly (readonly [text: string, largest: number, ranges: readonly number[]])[] = [
    ['2,4:7,9,12:*', 15, [2, 2, 4, 7, 9, 9, 12, 15]],
    ['*:4,5:7', 10, [4, 10]],
    ['*:4,5:7', 3, [3, 7]],
    ['2:4', 9, [2, 4]],
    ['4:2', 9, [2, 4]],
    ['*', 9, [9, 9]],
    ['*:*', 9, [9, 9]],
    ['559:*', 3, [3, 559]],
    ['1:*', 0, []],
    ['*,3', 0, [3, 3]],
    ['1,2,3,5', 9, [1, 3, 5, 5]],
    ['3,1:2,2:8', 9, [1, 8]],
    ['4294967295', 9, [4294967295, 4294967295]],
  ];
  for (const [text, largest, ranges] of resolved) {
    it(`${text} with largest ${largest} is ${ranges.join(' ') || 'empty'}`, () => {
      const parsed = parseSequenceSet(text);
      assert.ok(parsed !== null);
      assert.equal(printSequenceSet(parsed), text === '*:*' ? '*' : text);
      assert.deepEqual(resolveSequenceSet(parsed, largest), ranges);
    });
  }

  for (const text of [
    '',
    '0',
    '1,0',
    '0:*',
    ',',
    '1,',
    ',1',
    '1:',
    ':1',
    '1:2:3',
    '1-2',
    '4294967296',
    '**',
    '$',
    ' 1',
    '1 ',
    '+1',
    '1,,2',
    '1:2:',
    'x',
  ]) {
    it(`${JSON.stringify(text)} is no sequence set`, () => {
      assert.equal(parseSequenceSet(text), null);
    });
  }

  it('the number of ranges is bounded', () => {
    const text = (ranges: number) => Array.from({ length: ranges }, (_, i) => 2 * i + 1).join(',');
    assert.equal(parseSequenceSet(text(IMAP_SEQUENCE_RANGES))?.ranges.length, IMAP_SEQUENCE_RANGES);
    assert.equal(parseSequenceSet(text(IMAP_SEQUENCE_RANGES + 1)), null);
  });

  it('the largest number spelled out and stars are told', () => {
    const parsed = parseSequenceSet('7,3:12,5:*')!;
    assert.equal(largestNumber(parsed), 12);
    assert.equal(hasStar(parsed), true);
    assert.equal(hasStar(parseSequenceSet('7,3:12')!), false);
    assert.equal(largestNumber(parseSequenceSet('*')!), 0);
  });

  it('a set printed and parsed is the same set', () => {
    fc.assert(
      fc.property(set, (value) => {
        assert.deepEqual(parseSequenceSet(printSequenceSet(value)), value);
      }),
    );
  });

  it('membership and selection agree with the definition, number by number', () => {
    fc.assert(
      fc.property(
        set,
        fc.integer({ min: 0, max: 70 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 70 })),
        (value, largest, numbers) => {
          const isIn = (n: number): boolean =>
            value.ranges.some(({ from, to }) => {
              if (largest === 0 && (from === STAR || to === STAR)) return false;
              const [a, b] = [from === STAR ? largest : from, to === STAR ? largest : to];
              return n >= Math.min(a, b) && n <= Math.max(a, b);
            });
          const ranges = resolveSequenceSet(value, largest);
          for (let n = 1; n <= 70; n += 1) assert.equal(rangesContain(ranges, n), isIn(n), `${n}`);
          const sorted = Uint32Array.from(numbers).sort();
          assert.deepEqual(selectFrom(sorted, ranges), [...sorted].filter(isIn));
        },
      ),
    );
  });

  it('resolved ranges ascend and neither touch nor overlap', () => {
    fc.assert(
      fc.property(set, fc.integer({ min: 0, max: 70 }), (value, largest) => {
        const ranges = resolveSequenceSet(value, largest);
        for (let i = 0; i < ranges.length; i += 2) {
          assert.ok(ranges[i]! <= ranges[i + 1]!);
          if (i > 0) assert.ok(ranges[i]! > ranges[i - 1]! + 1);
        }
      }),
    );
  });

  it('ranges have in common, leave, and are made of what each number says', () => {
    const ranges = set.map((value) => resolveSequenceSet(value, 70));
    const sorted = fc
      .uniqueArray(fc.integer({ min: 1, max: 80 }))
      .map((numbers) => Uint32Array.from(numbers).sort());
    fc.assert(
      fc.property(ranges, ranges, sorted, sorted, (left, right, numbers, others) => {
        const common = commonRanges(left, right);
        const rest = rangesWithout(left, numbers);
        for (let n = 1; n <= 81; n += 1) {
          assert.equal(rangesContain(common, n), rangesContain(left, n) && rangesContain(right, n), `${n}`);
          assert.equal(rangesContain(rest, n), rangesContain(left, n) && !numbers.includes(n), `${n}`);
          assert.equal(rangesContain(rangesOf(numbers), n), numbers.includes(n), `${n}`);
        }
        assert.deepEqual(
          commonNumbers(numbers, others),
          numbers.filter((n) => others.includes(n)),
        );
      }),
    );
  });

  it('a set is as long as the numbers it spells out, in their order', () => {
    const parsed = parseSequenceSet('3:1,7,9:10')!;
    assert.deepEqual([...numbersInOrder(parsed)], [3, 2, 1, 7, 9, 10]);
    assert.equal(lengthOf(parsed), 6);
    assert.equal(lengthOf(parseSequenceSet('1:4294967295')!), 4_294_967_295);
  });

  it('a set made of numbers keeps their order, as COPYUID needs (RFC 4315 §3)', () => {
    assert.equal(printSequenceSet(sequenceSetOf([3, 4, 5, 9])), '3:5,9');
    assert.equal(printSequenceSet(sequenceSetOf([304, 319, 320, 2, 1])), '304,319:320,2,1');
    assert.equal(printSequenceSet(sequenceSetOf([])), '');
    assert.deepEqual(sequenceSetOf(new Uint32Array([7])).ranges, [{ from: 7, to: 7 }]);
  });
});
