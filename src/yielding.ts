/** Long loops give the event loop its turn: nothing may hold it longer than 20 ms. */
import { setImmediate } from 'node:timers/promises';
import { LOOP_SLICE_MS } from './limits.ts';

export interface Slice {
  /** Resolves at once, or after other work had its turn when LOOP_SLICE_MS have passed since it last had. */
  pause(): Promise<void> | undefined;
}

/** A stable sort that gives way. @returns a new array. */
export async function sortYielding<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  slice: Slice,
): Promise<T[]> {
  let from = [...items];
  let to = new Array<T>(items.length);
  for (let width = 1; width < items.length; width *= 2) {
    for (let start = 0; start < items.length; start += 2 * width) {
      const middle = Math.min(start + width, items.length);
      const end = Math.min(start + 2 * width, items.length);
      for (let at = start, left = start, right = middle; at < end; at += 1) {
        const isLeft = left < middle && (right >= end || compare(from[left]!, from[right]!) <= 0);
        to[at] = isLeft ? from[left++]! : from[right++]!;
        // Looking at the clock costs more than a comparison.
        if ((at & 1_023) === 0) await slice.pause();
      }
    }
    [from, to] = [to, from];
  }
  return from;
}

export function yieldingTo(): Slice {
  let since = performance.now();
  return {
    pause() {
      if (performance.now() - since < LOOP_SLICE_MS) return undefined;
      return setImmediate().then(() => {
        since = performance.now();
      });
    },
  };
}
