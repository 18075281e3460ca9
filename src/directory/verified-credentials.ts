/**
 * Passwords that were found right, remembered as an HMAC under a key that only this process has, so that a polling phone
 * does not cost an argon2 each time. Bound to the credential's version: a changed password ends it at once.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { VERIFIED_CREDENTIAL_MS, VERIFIED_CREDENTIALS } from '../limits.ts';

interface Verified {
  readonly mac: Buffer;
  readonly version: number;
  readonly freshUntil: number;
}

export class VerifiedCredentials {
  readonly #now: () => number;
  readonly #key = randomBytes(32);
  /** By user id, in order of use, the least recent first. */
  readonly #verified = new Map<number, Verified>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * 'fresh': the password is right. 'stale': it is the one that was right a while ago; to be checked anew, but no guess.
   * 'unknown': nothing can be said.
   */
  look(userId: number, version: number, password: string): 'fresh' | 'stale' | 'unknown' {
    const verified = this.#verified.get(userId);
    if (verified === undefined) return 'unknown';
    if (verified.version !== version) {
      this.#verified.delete(userId);
      return 'unknown';
    }
    if (!timingSafeEqual(verified.mac, this.#mac(userId, password))) return 'unknown';
    this.#verified.delete(userId);
    this.#verified.set(userId, verified);
    return verified.freshUntil >= this.#now() ? 'fresh' : 'stale';
  }

  remember(userId: number, version: number, password: string): void {
    this.#verified.delete(userId);
    if (this.#verified.size >= VERIFIED_CREDENTIALS)
      this.#verified.delete(this.#verified.keys().next().value!);
    const freshUntil = this.#now() + VERIFIED_CREDENTIAL_MS;
    this.#verified.set(userId, { mac: this.#mac(userId, password), version, freshUntil });
  }

  #mac(userId: number, password: string): Buffer {
    return createHmac('sha256', this.#key).update(`${userId}\0${password}`).digest();
  }
}
