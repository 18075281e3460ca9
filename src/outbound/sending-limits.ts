/**
 * How many recipients elsewhere a user, and an organization, may have in an hour and in a day: who guessed a password, or
 * a program that went wrong, ends here. Counted in memory, from the start of the process.
 */
import { UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { SENDING_COUNTERS } from '../limits.ts';

/** Recipients; null: as many as they like. */
export interface SendingBounds {
  readonly userPerHour: number | null;
  readonly userPerDay: number | null;
  readonly organizationPerHour: number | null;
  readonly organizationPerDay: number | null;
}

interface Counter {
  readonly key: string;
  readonly windowMs: number;
  readonly most: number;
}

/** Two fixed windows, from which a sliding one is estimated: off by little, and of constant size. */
interface Count {
  window: number;
  current: number;
  previous: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export class SendingLimits {
  readonly #bounds: SendingBounds;
  readonly #now: () => number;
  /** In order of use, the least recent first. */
  readonly #counts = new Map<string, Count>();

  constructor(bounds: SendingBounds, now: () => number = Date.now) {
    this.#bounds = bounds;
    this.#now = now;
  }

  /** Counts one recipient. @throws UnavailableError 'busy' when it would be one too many; it is not counted then. */
  take(organization: OrganizationId, mailbox: MailboxId): void {
    const counters = [...this.#counters(organization, mailbox)];
    if (counters.some((counter) => this.#estimate(counter) + 1 > counter.most)) {
      throw new UnavailableError('busy', 'You have sent to many recipients of late, try again later');
    }
    for (const counter of counters) this.#count(counter).current++;
  }

  *#counters(organization: OrganizationId, mailbox: MailboxId): Generator<Counter> {
    const { userPerHour, userPerDay, organizationPerHour, organizationPerDay } = this.#bounds;
    for (const [key, windowMs, most] of [
      [`${mailbox} hour`, HOUR_MS, userPerHour],
      [`${mailbox} day`, DAY_MS, userPerDay],
      [`${organization} hour`, HOUR_MS, organizationPerHour],
      [`${organization} day`, DAY_MS, organizationPerDay],
    ] as const) {
      if (most !== null) yield { key, windowMs, most };
    }
  }

  /** Of what was counted within the last `windowMs`. */
  #estimate(counter: Counter): number {
    const { current, previous } = this.#count(counter);
    const elapsed = (this.#now() % counter.windowMs) / counter.windowMs;
    return previous * (1 - elapsed) + current;
  }

  #count({ key, windowMs }: Counter): Count {
    const window = Math.floor(this.#now() / windowMs);
    const known = this.#counts.get(key);
    const count = known ?? { window, current: 0, previous: 0 };
    if (count.window !== window) {
      count.previous = count.window === window - 1 ? count.current : 0;
      count.current = 0;
      count.window = window;
    }
    this.#counts.delete(key);
    this.#counts.set(key, count);
    if (this.#counts.size > SENDING_COUNTERS) this.#counts.delete(this.#counts.keys().next().value!);
    return count;
  }
}
