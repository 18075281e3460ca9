/**
 * What modules count of their own work, in plain numbers that cost nothing to keep; metrics/ reads them when somebody
 * asks. Names of counts are words of ours (codes, commands), never what a client sent: their number is fixed.
 */
import { LetterlockError } from './errors.ts';

/** Counts by name. Several labels are one name, parted by spaces. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }
}

/** How long things took, in buckets. */
export class Durations {
  /** Upper bounds, ascending, in milliseconds; one bucket more is for what takes longer. */
  readonly boundsMs: readonly number[];
  readonly buckets: number[];
  count = 0;
  sumMs = 0;

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs;
    this.buckets = new Array<number>(boundsMs.length + 1).fill(0);
  }

  add(ms: number): void {
    let bucket = 0;
    while (bucket < this.boundsMs.length && ms > this.boundsMs[bucket]!) bucket += 1;
    this.buckets[bucket]! += 1;
    this.count += 1;
    this.sumMs += ms;
  }
}

/** Durations by name. */
export class NamedDurations {
  readonly #boundsMs: readonly number[];
  readonly #byName = new Map<string, Durations>();

  constructor(boundsMs: readonly number[]) {
    this.#boundsMs = boundsMs;
  }

  add(name: string, ms: number): void {
    let durations = this.#byName.get(name);
    if (durations === undefined) {
      durations = new Durations(this.#boundsMs);
      this.#byName.set(name, durations);
    }
    durations.add(ms);
  }

  get all(): ReadonlyMap<string, Durations> {
    return this.#byName;
  }
}

/** What an error counts as: its code where there is a fixed number of them, else its kind; a bug has none. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof LetterlockError)) return 'bug';
  return error.kind === 'refused' || error.kind === 'unavailable' ? error.code : error.kind;
}
