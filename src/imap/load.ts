/**
 * Whether this process has enough to do: how late its event loop gets round to a timer. Everything that it serves shares
 * that loop, whatever keeps it, so that one figure says it.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { BUSY_LOOP_MS, LOOP_SAMPLE_MS, LOOP_WINDOW_MS } from '../limits.ts';

export interface ServerLoad {
  /** Whether work that can wait should. */
  readonly isBusy: boolean;
}

export class LoopLoad implements ServerLoad {
  readonly #histogram = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  readonly #timer: NodeJS.Timeout;
  #delayMs = 0;

  /** @param windowMs For tests. */
  constructor(windowMs = LOOP_WINDOW_MS) {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      // One sample in ten is later than this; and each is late by the time between two of them.
      this.#delayMs = this.#histogram.percentile(90) / 1e6 - LOOP_SAMPLE_MS;
      this.#histogram.reset();
    }, windowMs);
    this.#timer.unref();
  }

  get isBusy(): boolean {
    return this.#delayMs > BUSY_LOOP_MS;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }
}
