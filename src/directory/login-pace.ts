/**
 * How fast passwords may be guessed: some attempts at once, then one at a time. Every attempt is charged when it begins
 * and only a right password gets its own charge back, so that parallel guesses gain nothing, and a login to an account
 * of the guesser's own pays for none of the others. Time alone forgives.
 *
 * Counted by the network that asks, and by the user name that is asked for, which holds back who guesses from many
 * networks; known and unknown names alike.
 */
import { createHash } from 'node:crypto';
import {
  LOGIN_DEBTORS,
  LOGIN_DELAY_MOST_MS,
  LOGIN_DELAY_MS,
  LOGIN_FREE_FAILURES,
  LOGIN_NETWORK_INTERVAL_MS,
  LOGIN_USER_INTERVAL_MS,
  LOGIN_WAIT_MOST_MS,
} from '../limits.ts';
import { networkOf } from '../networks.ts';

/** One charged attempt. */
export interface Attempt {
  /** Milliseconds until it may be made. */
  readonly waitMs: number;
  /** The password was right. */
  refund(): void;
  /** The password was wrong. @returns milliseconds after which to say so. */
  failed(): number;
}

export class LoginPace {
  readonly #networks: Debts;
  readonly #users: Debts;

  /** @param now Milliseconds that only grow. */
  constructor(now: () => number) {
    this.#networks = new Debts(now, LOGIN_NETWORK_INTERVAL_MS);
    this.#users = new Debts(now, LOGIN_USER_INTERVAL_MS);
  }

  /** Whether an attempt would have to wait for too long. */
  isHopeless(remoteAddress: string, username: string): boolean {
    return this.#waitMs(networkOf(remoteAddress), nameKey(username)) > LOGIN_WAIT_MOST_MS;
  }

  /** Charges an attempt; its time is reserved. @returns null, and nothing charged, when it would wait for too long. */
  begin(remoteAddress: string, username: string): Attempt | null {
    const network = networkOf(remoteAddress);
    const name = nameKey(username);
    const waitMs = this.#waitMs(network, name);
    if (waitMs > LOGIN_WAIT_MOST_MS) return null;
    this.#networks.charge(network);
    this.#users.charge(name);
    return {
      waitMs,
      refund: () => {
        this.#networks.refund(network);
        this.#users.refund(name);
      },
      failed: () => {
        const failures = this.#networks.owed(network);
        return Math.min(LOGIN_DELAY_MS * 2 ** Math.min(failures - 1, 20), LOGIN_DELAY_MOST_MS);
      },
    };
  }

  #waitMs(network: string, name: string): number {
    return Math.max(this.#networks.waitMs(network), this.#users.waitMs(name));
  }
}

/** Of one size, however long the name that a stranger sends. */
const nameKey = (username: string): string => createHash('sha256').update(username).digest('base64');

/** What each key owes: one unit for each charge, and one is paid in every interval. */
class Debts {
  readonly #now: () => number;
  readonly #intervalMs: number;
  /** When all is paid. In order of the last change, the oldest first. */
  readonly #paidAt = new Map<string, number>();

  constructor(now: () => number, intervalMs: number) {
    this.#now = now;
    this.#intervalMs = intervalMs;
  }

  /** Until one unit more would be no more than is free. */
  waitMs(key: string): number {
    return Math.max(0, this.#owedMs(key) - (LOGIN_FREE_FAILURES - 1) * this.#intervalMs);
  }

  /** In units, begun ones whole; at least 1. */
  owed(key: string): number {
    return Math.max(1, Math.ceil(this.#owedMs(key) / this.#intervalMs));
  }

  charge(key: string): void {
    this.#set(key, this.#owedMs(key) + this.#intervalMs);
    if (this.#paidAt.size > LOGIN_DEBTORS) this.#paidAt.delete(this.#paidAt.keys().next().value!);
  }

  refund(key: string): void {
    this.#set(key, this.#owedMs(key) - this.#intervalMs);
  }

  #set(key: string, owedMs: number): void {
    this.#paidAt.delete(key);
    if (owedMs > 0) this.#paidAt.set(key, this.#now() + owedMs);
  }

  #owedMs(key: string): number {
    return Math.max(0, (this.#paidAt.get(key) ?? 0) - this.#now());
  }
}
