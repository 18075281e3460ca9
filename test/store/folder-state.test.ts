import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { Uid } from '../../src/ids.ts';
import { FolderState } from '../../src/store/embedded/folder-state.ts';
import { KeywordSets, keywordText } from '../../src/store/embedded/keyword-sets.ts';
import { parseUidSet, toUidSet } from '../../src/store/embedded/uid-ranges.ts';
import { Flag, type FlagOperation } from '../../src/store/types.ts';

interface NaiveEntry {
  flags: number;
  keywords: number[];
  modSeq: number;
}

const KEYWORDS = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 4 });
const FLAGS = fc.nat(31);
const CHOICE = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
const OPERATION = fc.constantFrom<FlagOperation>('add', 'remove', 'replace');

const STEP = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), gap: fc.nat(3), flags: FLAGS, keywords: KEYWORDS }),
  fc.record({
    kind: fc.constant('flags' as const),
    choice: CHOICE,
    operation: OPERATION,
    flags: FLAGS,
    keywords: KEYWORDS,
  }),
  fc.record({ kind: fc.constant('remove' as const), choice: CHOICE }),
);

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

function changed(
  entry: NaiveEntry,
  operation: FlagOperation,
  flags: number,
  keywords: readonly number[],
): NaiveEntry {
  const { modSeq } = entry;
  if (operation === 'replace') return { flags, keywords: sorted(keywords), modSeq };
  if (operation === 'add')
    return {
      flags: entry.flags | flags,
      keywords: sorted([...new Set([...entry.keywords, ...keywords])]),
      modSeq,
    };
  return {
    flags: entry.flags & ~flags,
    keywords: entry.keywords.filter((one) => !keywords.includes(one)),
    modSeq,
  };
}

describe('the state of an open folder', () => {
  it('is that of a plain map from UIDs to flags, whatever was done to it', () => {
    fc.assert(
      fc.property(fc.array(STEP, { maxLength: 200 }), (steps) => {
        const state = new FolderState(new KeywordSets());
        const naive = new Map<number, NaiveEntry>();
        let uid = 0;
        let modSeq = 0;
        const chosen = (choice: readonly boolean[]): Uid[] =>
          [...naive.keys()].filter((_, index) => choice[index % choice.length]) as Uid[];
        const rangesOf = (uids: readonly Uid[]) =>
          uids.length === 0 ? [] : parseUidSet(toUidSet(uids, state.uids, (one) => state.indexOf(one)));
        for (const step of steps) {
          modSeq++;
          if (step.kind === 'append') {
            uid += 1 + step.gap;
            naive.set(uid, { flags: step.flags, keywords: sorted(step.keywords), modSeq });
            state.append([uid, step.flags, keywordText(step.keywords), modSeq]);
            continue;
          }
          const uids = chosen(step.choice);
          const ranges = rangesOf(uids);
          if (step.kind === 'remove') {
            for (const one of uids) naive.delete(one);
            assert.deepEqual(state.remove(ranges), uids);
            continue;
          }
          const { operation, flags, keywords } = step;
          for (const one of uids) {
            const before = naive.get(one)!;
            const after = changed(before, operation, flags, keywords);
            const isChange = after.flags !== before.flags || `${after.keywords}` !== `${before.keywords}`;
            assert.equal(state.wouldChange(state.indexOf(one), operation, flags, keywords), isChange);
            naive.set(one, { ...after, modSeq });
          }
          assert.deepEqual(state.changeFlags(ranges, operation, flags, keywords, modSeq), uids);
        }
        assert.deepEqual([...state.uids], [...naive.keys()]);
        assert.equal(state.count, naive.size);
        for (const [index, [one, entry]] of [...naive].entries()) {
          assert.equal(state.indexOf(one), index);
          const { system, keywords, modSeq: at } = state.flagsAt(index);
          assert.deepEqual({ flags: system, keywords, modSeq: at }, entry);
        }
        for (const absent of [0, uid + 1, ...Array.from({ length: uid }, (_, i) => i)]) {
          if (!naive.has(absent)) assert.equal(state.indexOf(absent), -1);
        }
        const deleted = [...naive]
          .filter(([, { flags }]) => (flags & Flag.Deleted) !== 0)
          .map(([one]) => one);
        assert.deepEqual(state.deleted(null), deleted);
        assert.deepEqual(state.deleted([...naive.keys()] as Uid[]), deleted);
      }),
      { numRuns: 150 },
    );
  });
});

describe('sets of UIDs', () => {
  const UIDS = fc.uniqueArray(fc.integer({ min: 1, max: 0xffff_fffe }), { maxLength: 60 }).map(sorted);

  it('hold exactly the chosen of those that exist, in as few ranges as there are runs', () => {
    fc.assert(
      fc.property(UIDS, fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), (all, choice) => {
        const chosen = all.filter((_, index) => choice[index]) as Uid[];
        if (chosen.length === 0) return;
        const array = Uint32Array.from(all);
        const set = toUidSet(chosen, array, (uid) => array.indexOf(uid));
        const ranges = parseUidSet(set);
        assert.deepEqual(
          all.filter((uid) => ranges.some(([first, last]) => uid >= first && uid <= last)),
          chosen,
        );
        const runs = chosen.filter(
          (uid, i) => i === 0 || array.indexOf(uid) !== array.indexOf(chosen[i - 1]!) + 1,
        );
        assert.equal(ranges.length, runs.length);
        assert.match(set, /^\d+(:\d+)?(,\d+(:\d+)?)*$/);
      }),
    );
  });
});
