/**
 * Sequence sets: sets of message numbers or UIDs, as `2,4:7,9,12:*`. RFC 9051 §9 `sequence-set`, §4.1.1.
 *
 * A set as sent keeps its order and its stars. Resolved against the largest number there is, it becomes a sorted list of
 * disjoint ranges (`NumberRanges`), which is what membership and iteration work on.
 */
import { IMAP_SEQUENCE_RANGES } from '../../limits.ts';

/** '*' in a range: the largest number in use. */
export const STAR = 0;

/** Both ends belong to it. Either may be STAR; they may come in any order (`4:2` is `2:4`). */
export interface SequenceRange {
  readonly from: number;
  readonly to: number;
}

export interface SequenceSet {
  readonly ranges: readonly SequenceRange[];
  /** RFC 5182: what the last SEARCH saved, without ranges of its own. */
  readonly isSaved?: true;
}

/** `$`. */
export const SAVED_RESULT: SequenceSet = { ranges: [], isSaved: true };

/** Ascending, disjoint, not adjacent: [from, to, from, to ...], both ends included. */
export type NumberRanges = readonly number[];

const MAX_NUMBER = 0xffff_ffff;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const COMMA = 0x2c;
const ASTERISK = 0x2a;

/**
 * Parses a whole text; `$` (RFC 5182) is not for it to know.
 * @returns null when it is no sequence set, holds a zero or more than 32 bits, or has more ranges than
 *   IMAP_SEQUENCE_RANGES.
 */
export function parseSequenceSet(text: string): SequenceSet | null {
  const ranges: SequenceRange[] = [];
  let at = 0;
  let from = -1;
  for (;;) {
    let value = 0;
    const start = at;
    if (text.charCodeAt(at) === ASTERISK) {
      value = STAR;
      at += 1;
    } else {
      for (let c = text.charCodeAt(at); c >= ZERO && c <= NINE; c = text.charCodeAt(at)) {
        value = value * 10 + (c - ZERO);
        if (value > MAX_NUMBER) return null;
        at += 1;
      }
      if (at === start || value === 0) return null;
    }
    const next = at < text.length ? text.charCodeAt(at) : COMMA;
    if (next === COLON && from === -1) {
      from = value;
    } else if (next === COMMA) {
      ranges.push({ from: from === -1 ? value : from, to: value });
      if (ranges.length > IMAP_SEQUENCE_RANGES) return null;
      from = -1;
      if (at >= text.length) return { ranges };
    } else {
      return null;
    }
    at += 1;
  }
}

/** As the grammar spells it, ranges in their own order. */
export function printSequenceSet(set: SequenceSet): string {
  if (set.isSaved) return '$';
  return set.ranges
    .map(({ from, to }) => (from === to ? printNumber(from) : `${printNumber(from)}:${printNumber(to)}`))
    .join(',');
}

/**
 * Sorts, merges and replaces every star by `largest`: the number of messages, or the largest UID in the folder.
 * `5:*` with largest 3 is 3:5, as RFC 9051 §9 demands. With `largest` 0 (an empty folder) a range with a star is empty.
 */
export function resolveSequenceSet(set: SequenceSet, largest: number): NumberRanges {
  const pairs: [number, number][] = [];
  for (const { from, to } of set.ranges) {
    if (largest === 0 && (from === STAR || to === STAR)) continue;
    const a = from === STAR ? largest : from;
    const b = to === STAR ? largest : to;
    pairs.push(a <= b ? [a, b] : [b, a]);
  }
  if (pairs.length > 1) pairs.sort((x, y) => x[0] - y[0]);
  const merged: number[] = [];
  for (const [from, to] of pairs) {
    const last = merged.length - 1;
    if (last > 0 && from <= merged[last]! + 1) {
      if (to > merged[last]!) merged[last] = to;
    } else {
      merged.push(from, to);
    }
  }
  return merged;
}

/** The largest number that is spelled out, 0 when there are only stars: for refusing sequence numbers out of range. */
export function largestNumber(set: SequenceSet): number {
  let largest = 0;
  for (const { from, to } of set.ranges) largest = Math.max(largest, from, to);
  return largest;
}

/** How many numbers a set without stars spells out, counting what it names twice twice. */
export function lengthOf(set: SequenceSet): number {
  let length = 0;
  for (const { from, to } of set.ranges) length += Math.abs(to - from) + 1;
  return length;
}

/** The numbers in the order they are written, without stars: `3:1,7` is 3, 2, 1, 7. */
export function* numbersInOrder(set: SequenceSet): Generator<number> {
  for (const { from, to } of set.ranges) {
    const step = from <= to ? 1 : -1;
    for (let value = from; value !== to + step; value += step) yield value;
  }
}

/** Whether `*` stands anywhere in it. */
export function hasStar(set: SequenceSet): boolean {
  return set.ranges.some(({ from, to }) => from === STAR || to === STAR);
}

/** Whether `value` is in the ranges. Logarithmic. */
export function rangesContain(ranges: NumberRanges, value: number): boolean {
  let low = 0;
  let high = ranges.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1]! < value) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length >> 1 && ranges[2 * low]! <= value;
}

/** What both have in common. */
export function commonRanges(left: NumberRanges, right: NumberRanges): number[] {
  const common: number[] = [];
  for (let a = 0, b = 0; a < left.length && b < right.length; ) {
    const from = Math.max(left[a]!, right[b]!);
    const to = Math.min(left[a + 1]!, right[b + 1]!);
    if (from <= to) common.push(from, to);
    if (left[a + 1]! < right[b + 1]!) a += 2;
    else b += 2;
  }
  return common;
}

/** What is left of the ranges without these numbers, which ascend. */
export function rangesWithout(ranges: NumberRanges, sorted: ArrayLike<number>): number[] {
  const left: number[] = [];
  let at = 0;
  for (let range = 0; range < ranges.length; range += 2) {
    const to = ranges[range + 1]!;
    let from = ranges[range]!;
    at = lowerBound(sorted, from, at);
    for (; at < sorted.length && sorted[at]! <= to; at += 1) {
      if (sorted[at]! > from) left.push(from, sorted[at]! - 1);
      from = sorted[at]! + 1;
    }
    if (from <= to) left.push(from, to);
  }
  return left;
}

/** The ranges of ascending numbers. */
export function rangesOf(sorted: Iterable<number>): number[] {
  const ranges: number[] = [];
  for (const value of sorted) {
    if (ranges.length > 0 && value === ranges[ranges.length - 1]! + 1) ranges[ranges.length - 1] = value;
    else ranges.push(value, value);
  }
  return ranges;
}

/** Numbers that are in both, which ascend. */
export function commonNumbers(left: Uint32Array, right: Uint32Array): Uint32Array {
  const common = new Uint32Array(Math.min(left.length, right.length));
  let count = 0;
  for (let a = 0, b = 0; a < left.length && b < right.length; ) {
    const difference = left[a]! - right[b]!;
    if (difference === 0) common[count++] = left[a]!;
    if (difference <= 0) a += 1;
    if (difference >= 0) b += 1;
  }
  return common.slice(0, count);
}

/** Those of `sorted` (ascending, without duplicates) that are in the ranges, ascending: which UIDs exist. */
export function selectFrom(sorted: ArrayLike<number>, ranges: NumberRanges): number[] {
  const selected: number[] = [];
  let at = 0;
  for (let range = 0; range < ranges.length && at < sorted.length; range += 2) {
    at = lowerBound(sorted, ranges[range]!, at);
    const to = ranges[range + 1]!;
    for (; at < sorted.length && sorted[at]! <= to; at += 1) selected.push(sorted[at]!);
  }
  return selected;
}

/**
 * The set of these numbers, runs joined: [3, 4, 5, 9] is 3:5,9. Order is kept, which COPYUID and APPENDUID need
 * (RFC 4315 §3: the nth source UID belongs to the nth target UID); a run goes on only while it ascends by one.
 */
export function sequenceSetOf(numbers: Iterable<number>): SequenceSet {
  const ranges: SequenceRange[] = [];
  let from = -1;
  let to = -1;
  for (const value of numbers) {
    if (from !== -1 && value === to + 1) {
      to = value;
      continue;
    }
    if (from !== -1) ranges.push({ from, to });
    from = value;
    to = value;
  }
  if (from !== -1) ranges.push({ from, to });
  return { ranges };
}

function printNumber(value: number): string {
  return value === STAR ? '*' : String(value);
}

/** First index at or after `start` whose value is at least `value`. */
function lowerBound(sorted: ArrayLike<number>, value: number, start: number): number {
  let low = start;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
