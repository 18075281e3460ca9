/**
 * How many recipients elsewhere, members of groups too, a user and an organization may have in an hour and in a day: who
 * guessed a password, or a program that went wrong, ends here. Counted in memory, from the start of the process.
 */
import { RefusedError, UnavailableError } from '../errors.ts';
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

  /**
   * Counts recipients, of which a group may have many.
   * @param mailbox The sender's; null: the organization's own notifications.
   * @throws UnavailableError 'busy' when they would be too many now, RefusedError 'not-permitted' when they always are;
   *   none of them is counted then.
   */
  take(organization: OrganizationId, mailbox: MailboxId | null, recipients = 1): void {
    const counters = [...this.#counters(organization, mailbox)];
    if (counters.some(({ most }) => recipients > most)) {
      throw new RefusedError('not-permitted', 'You may not send to so many recipients');
    }
    if (counters.some((counter) => this.#estimate(counter) + recipients > counter.most)) {
      throw new UnavailableError('busy', 'You have sent to many recipients of late, try again later');
    }
    for (const counter of counters) this.#count(counter).current += recipients;
  }

  *#counters(organization: OrganizationId, mailbox: MailboxId | null): Generator<Counter> {
    const { userPerHour, userPerDay, organizationPerHour, organizationPerDay } = this.#bounds;
    for (const [key, windowMs, most] of [
      [`${mailbox} hour`, HOUR_MS, mailbox === null ? null : userPerHour],
      [`${mailbox} day`, DAY_MS, mailbox === null ? null : userPerDay],
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
