/**
 * Passwords checked: one argon2 for every attempt, known user or not, so that time tells nothing; then remembered for a
 * while under a key that only this process has, so that a polling phone does not cost one each time.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { VERIFIED_CREDENTIAL_MS, VERIFIED_CREDENTIALS, WAITING_LOGINS } from '../limits.ts';
import type { Directory } from './directory.ts';
import { LoginDelay } from './login-delay.ts';
import { unmatchableHash, verifyPassword } from './password.ts';

export interface AuthenticatedUser {
  readonly userId: string;
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
  /** Primary address. */
  readonly address: string;
  /** Every address that the user may send as. */
  readonly addresses: readonly string[];
}

interface Verified {
  readonly mac: Buffer;
  readonly version: number;
  readonly until: number;
}

export interface AuthenticatorOptions {
  readonly directory: Directory;
  readonly now?: () => number;
  readonly wait?: (ms: number) => Promise<unknown>;
}

export class Authenticator {
  readonly #directory: Directory;
  readonly #now: () => number;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #delay: LoginDelay;
  readonly #processKey = randomBytes(32);
  /** By user id, in order of use, the least recent first. */
  readonly #verified = new Map<number, Verified>();
  readonly #unmatchable = unmatchableHash();
  readonly #slots = new Slots(Math.max(1, availableParallelism() - 1), WAITING_LOGINS);

  constructor({ directory, now = Date.now, wait = sleep }: AuthenticatorOptions) {
    this.#directory = directory;
    this.#now = now;
    this.#wait = wait;
    this.#delay = new LoginDelay(now);
  }

  /**
   * @param username Any address of the user.
   * @throws RefusedError 'bad-credentials', after a delay that grows with the failures of the remote address; the same
   *   for unknown and disabled users. UnavailableError 'busy'.
   */
  async authenticate(username: string, password: string, remoteAddress: string): Promise<AuthenticatedUser> {
    const credential = this.#directory.credential(username);
    if (
      credential !== null &&
      credential.user.state === 'active' &&
      this.#isRemembered(credential, password)
    ) {
      return this.#authenticated(credential.user);
    }
    await this.#wait(this.#delay.beforeAttempt(remoteAddress));
    const hash = credential?.passwordHash ?? this.#unmatchable;
    const isRight = await this.#slots.run(() => verifyPassword(password, hash));
    if (!isRight || credential === null || credential.user.state !== 'active') {
      await this.#wait(this.#delay.failed(remoteAddress));
      throw new RefusedError('bad-credentials', 'The user name or password is wrong');
    }
    this.#delay.succeeded(remoteAddress);
    this.#remember(credential, password);
    return this.#authenticated(credential.user);
  }

  #authenticated({
    id,
    organization,
    mailbox,
    quotaOctets,
    address,
  }: { id: number } & Omit<AuthenticatedUser, 'userId' | 'addresses'>): AuthenticatedUser {
    const addresses = this.#directory.addressesOf(id);
    return { userId: String(id), organization, mailbox, quotaOctets, address, addresses };
  }

  #isRemembered({ user, version }: { user: { id: number }; version: number }, password: string): boolean {
    const verified = this.#verified.get(user.id);
    if (verified === undefined) return false;
    if (verified.version !== version || verified.until < this.#now()) {
      this.#verified.delete(user.id);
      return false;
    }
    return timingSafeEqual(verified.mac, this.#mac(user.id, password));
  }

  #remember({ user, version }: { user: { id: number }; version: number }, password: string): void {
    this.#verified.delete(user.id);
    if (this.#verified.size >= VERIFIED_CREDENTIALS)
      this.#verified.delete(this.#verified.keys().next().value!);
    const until = this.#now() + VERIFIED_CREDENTIAL_MS;
    this.#verified.set(user.id, { mac: this.#mac(user.id, password), version, until });
  }

  #mac(userId: number, password: string): Buffer {
    return createHmac('sha256', this.#processKey).update(`${userId}\0${password}`).digest();
  }
}

/** At most `capacity` at once, at most `waiting` behind them. */
class Slots {
  #free: number;
  readonly #waiting: number;
  readonly #queue: (() => void)[] = [];

  constructor(capacity: number, waiting: number) {
    this.#free = capacity;
    this.#waiting = waiting;
  }

  /** @throws UnavailableError 'busy'. */
  async run<T>(work: () => Promise<T>): Promise<T> {
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
