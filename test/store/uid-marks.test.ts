import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { UidMarks } from '../../src/store/embedded/uid-marks.ts';

describe('marks of UIDs', () => {
  it('are those of a set, in whatever order one asks', () => {
    const uid = fc.integer({ min: 1, max: 100 });
    fc.assert(
      fc.property(fc.uniqueArray(uid), fc.array(fc.boolean()), fc.array(uid), (some, isMarked, asked) => {
        const all = Uint32Array.from(some).sort();
        const marks = new UidMarks(all);
        const set = new Set<number>();
        for (const [at, value] of all.entries()) {
          if (!isMarked[at]) continue;
          marks.mark(at);
          set.add(value);
        }
        assert.equal(marks.size, set.size);
        for (const one of [0, ...asked, ...all, 101, 0xffff_ffff]) assert.equal(marks.has(one), set.has(one));
      }),
    );
  });

  it('take a bit each, and one list for many', () => {
    const all = Uint32Array.from({ length: 1_000_000 }, (_, at) => at + 1);
    const before = process.memoryUsage();
    const many = Array.from({ length: 32 }, () => {
      const marks = new UidMarks(all);
      for (let at = 0; at < all.length; at++) marks.mark(at);
      return marks;
    });
    const now = process.memoryUsage();
    assert.ok(many.every((marks) => marks.has(1_000_000)));
    const taken = now.heapUsed + now.arrayBuffers - before.heapUsed - before.arrayBuffers;
    assert.ok(taken < 32_000_000, `${taken} octets`);
  });
});
