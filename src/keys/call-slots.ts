/** Calls to a service that are under way at the same time, and those that wait for their turn: both bounded. */
import { UnavailableError } from '../errors.ts';

export interface SlotCounts {
  readonly running: number;
  readonly waiting: number;
}

export class CallSlots {
  readonly #most: SlotCounts;
  #running = 0;
  /** In the order of arrival. */
  readonly #waiting = new Set<() => void>();

  constructor(most: SlotCounts) {
    this.#most = most;
  }

  /**
   * Does `work` when it is its turn. Ends with `signal`, even if the work does not; its slot stays taken until it has.
   * @throws what `work` throws; the signal's reason; UnavailableError 'key-service-down' when too many wait.
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await this.#enter(aborted);
      return await Promise.race([this.#inSlot(work), aborted]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  get counts(): SlotCounts {
    return { running: this.#running, waiting: this.#waiting.size };
  }

  async #enter(aborted: Promise<never>): Promise<void> {
    if (this.#running < this.#most.running) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.size >= this.#most.waiting) {
      throw new UnavailableError('key-service-down', 'Too many calls wait for the key service.');
    }
    const { promise: turn, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await Promise.race([turn, aborted]);
    } catch (error) {
      // A turn that came in the same moment is passed on.
      if (!this.#waiting.delete(resolve)) this.#leave();
      throw error;
    }
  }

  async #inSlot<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Hands the slot to who has waited longest. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
