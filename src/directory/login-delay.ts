/**
 * How long failed logins of a remote address are held back: doubled with each failure, forgotten with success or time.
 * IPv6 addresses count by their /64, which is what one customer has.
 */
import { isIPv6 } from 'node:net';
import {
  LOGIN_DELAY_MOST_MS,
  LOGIN_DELAY_MS,
  LOGIN_FAILURE_ADDRESSES,
  LOGIN_FAILURE_MEMORY_MS,
} from '../limits.ts';

interface Failures {
  count: number;
  last: number;
}

export class LoginDelay {
  readonly #now: () => number;
  /** In order of the last failure, the oldest first. */
  readonly #failures = new Map<string, Failures>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Notes a failure. @returns milliseconds to wait before it is answered. */
  failed(remoteAddress: string): number {
    const key = network(remoteAddress);
    const count = this.#count(key) + 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, last: this.#now() });
    if (this.#failures.size > LOGIN_FAILURE_ADDRESSES)
      this.#failures.delete(this.#failures.keys().next().value!);
    return delayAfter(count);
  }

  /** @returns milliseconds that an attempt waits for earlier failures, so that parallel guesses gain nothing. */
  beforeAttempt(remoteAddress: string): number {
    const count = this.#count(network(remoteAddress));
    return count < FREE_FAILURES ? 0 : delayAfter(count - FREE_FAILURES);
  }

  succeeded(remoteAddress: string): void {
    this.#failures.delete(network(remoteAddress));
  }

  #count(key: string): number {
    const failures = this.#failures.get(key);
    if (failures === undefined || this.#now() - failures.last > LOGIN_FAILURE_MEMORY_MS) return 0;
    return failures.count;
  }
}

/** A household behind one address may mistype a few times before anybody waits for it. */
const FREE_FAILURES = 10;

const delayAfter = (failures: number): number =>
  failures === 0 ? 0 : Math.min(LOGIN_DELAY_MS * 2 ** Math.min(failures - 1, 20), LOGIN_DELAY_MOST_MS);

function network(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1]!;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const first = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined ? first : [...first, ...Array(8 - first.length - rest.length).fill('0'), ...rest];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
