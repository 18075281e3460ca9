/**
 * Sets of UIDs as the journal records them: ascending ranges, written like an IMAP sequence set. A range may span UIDs
 * that do not exist; whoever applies it touches only those that do.
 */
import type { Uid } from '../../ids.ts';
import type { UidSet } from '../operation.ts';

export type UidRange = readonly [first: number, last: number];

export function parseUidSet(set: UidSet): UidRange[] {
  return set.split(',').map((range) => {
    const [first, last] = range.split(':');
    return [Number(first), Number(last ?? first)];
  });
}

/** The union of ranges in any order, as [first, last, first, last ...], ascending, disjoint and not adjacent. */
export function unionOf(ranges: readonly UidRange[]): number[] {
  const union: number[] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const end = union.length - 1;
    if (end > 0 && first <= union[end]! + 1) union[end] = Math.max(union[end]!, last);
    else union.push(first, last);
  }
  return union;
}

/**
 * The fewest ranges that hold exactly `chosen` of the UIDs in `all`. Both ascending, `chosen` a subset of `all`.
 */
export function toUidSet(chosen: readonly Uid[], all: Uint32Array, indexOf: (uid: number) => number): UidSet {
  const ranges: string[] = [];
  for (let i = 0; i < chosen.length; i++) {
    const first = chosen[i]!;
    let at = indexOf(first);
    while (i + 1 < chosen.length && all[at + 1] === chosen[i + 1]) {
      at++;
      i++;
    }
    ranges.push(chosen[i] === first ? `${first}` : `${first}:${chosen[i]}`);
  }
  return ranges.join(',');
}
