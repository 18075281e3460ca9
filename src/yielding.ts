/** Long loops give the event loop its turn: nothing may hold it longer than 20 ms. */
import { setImmediate } from 'node:timers/promises';
import { LOOP_SLICE_MS } from './limits.ts';

export interface Slice {
  /** Resolves at once, or after other work had its turn when LOOP_SLICE_MS have passed since it last had. */
  pause(): Promise<void> | undefined;
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
