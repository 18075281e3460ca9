/** Pages of results: `1:500` counts from their start, `-1:-100` from their end. RFC 9394 §3.1, §4 `partial-range`. */
import type { Cursor } from './tokens.ts';

/** Both ends belong to it, in either order; both are negative when it counts from the end. */
export interface PartialRange {
  readonly from: number;
  readonly to: number;
}

export function partialRange(cursor: Cursor): PartialRange {
  const isFromEnd = cursor.take('-');
  const from = cursor.nonZero('A page');
  cursor.expect(':');
  if (isFromEnd) cursor.expect('-');
  const to = cursor.nonZero('A page');
  return isFromEnd ? { from: -from, to: -to } : { from, to };
}

export const printPartialRange = ({ from, to }: PartialRange): string => `${from}:${to}`;

/** Where the page begins and ends among so many results, as for slice(). */
export function pageOf({ from, to }: PartialRange, length: number): { start: number; end: number } {
  const first = Math.min(Math.abs(from), Math.abs(to));
  const last = Math.max(Math.abs(from), Math.abs(to));
  return from < 0
    ? { start: Math.max(0, length - last), end: Math.max(0, length - first + 1) }
    : { start: Math.min(first - 1, length), end: Math.min(last, length) };
}
