/** Places for work that may not run side by side without end: `capacity` at once, at most `waiting` behind them. */
import { UnavailableError } from '../errors.ts';

export class Slots {
  #free: number;
  readonly #capacity: number;
  readonly #waiting: number;
  readonly #queue: (() => void)[] = [];

  constructor(capacity: number, waiting: number) {
    this.#free = capacity;
    this.#capacity = capacity;
    this.#waiting = waiting;
  }

  get counts(): { readonly running: number; readonly waiting: number } {
    return { running: this.#capacity - this.#free, waiting: this.#queue.length };
  }

  /** First come, first served. @throws UnavailableError 'busy'. */
  async run<T>(work: () => Promise<T> | T): Promise<T> {
    if (this.#free > 0) this.#free--;
    else if (this.#queue.length >= this.#waiting)
      throw new UnavailableError('busy', 'Too many logins are waiting');
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
