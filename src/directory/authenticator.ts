/**
 * Logins. One argon2 for every attempt, known user or not, so that time tells nothing; guesses are held back
 * (login-pace.ts), verified credentials remembered (verified-credentials.ts).
 */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { LOGIN_HASHES_AT_ONCE, WAITING_LOGINS } from '../limits.ts';
import { canonicalAddress } from './address.ts';
import type { Credential, Directory } from './directory.ts';
import { type Attempt, LoginPace } from './login-pace.ts';
import { unmatchableHash, verifyPassword } from './password.ts';
import { Slots } from './slots.ts';
import type { User } from './types.ts';
import { VerifiedCredentials } from './verified-credentials.ts';

export interface AuthenticatedUser {
  readonly userId: number;
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
  /** Primary address. */
  readonly address: string;
}

export interface AuthenticatorOptions {
  readonly directory: Directory;
  /** Milliseconds that only grow. Default: since the process began. */
  readonly now?: () => number;
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Default: argon2id, as the hash says. */
  readonly verify?: typeof verifyPassword;
}

export class Authenticator {
  readonly #directory: Directory;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #verify: typeof verifyPassword;
  readonly #pace: LoginPace;
  readonly #verified: VerifiedCredentials;
  readonly #unmatchable = unmatchableHash();
  readonly #slots = new Slots(
    Math.min(Math.max(1, availableParallelism() - 1), LOGIN_HASHES_AT_ONCE),
    WAITING_LOGINS,
  );

  constructor(options: AuthenticatorOptions) {
    const { directory, now = () => performance.now(), wait = sleep, verify = verifyPassword } = options;
    this.#directory = directory;
    this.#wait = wait;
    this.#verify = verify;
    this.#pace = new LoginPace(now);
    this.#verified = new VerifiedCredentials(now);
  }

  /** Passwords that are being hashed now, and that wait for it. */
  get hashing(): { readonly running: number; readonly waiting: number } {
    return this.#slots.counts;
  }

  /**
   * @param username Any address of the user.
   * @throws RefusedError 'bad-credentials', the later the more the network of the remote address has failed; the same
   *   for unknown and disabled users. UnavailableError 'busy' when too many are waiting, or have failed before.
   */
  async authenticate(username: string, password: string, remoteAddress: string): Promise<AuthenticatedUser> {
    const credential = this.#credential(username);
    const known = credential === null ? 'unknown' : this.#look(credential, password);
    if (known === 'fresh') return authenticated(credential!.user);
    const hash = credential?.passwordHash ?? this.#unmatchable;
    const check = () => this.#verify(password, hash);
    // A password that was right before is no guess: guesses at a user do not lock out whoever knows it.
    const { isRight, attempt } =
      known === 'stale'
        ? { isRight: await this.#slots.run(check), attempt: null }
        : await this.#attempt(remoteAddress, username, check);
    // Read anew: while the password was hashed it may have been changed, or the user disabled or removed.
    const { user, version } = this.#credential(username) ?? {};
    if (!isRight || user === undefined || user.id !== credential?.user.id || version !== credential.version) {
      await this.#wait(attempt?.failed() ?? 0);
      throw new RefusedError('bad-credentials', 'The user name or password is wrong');
    }
    attempt?.refund();
    this.#verified.remember(user.id, version!, password);
    return authenticated(user);
  }

  /** Null for who may not log in. */
  #credential(username: string): Credential | null {
    const credential = this.#directory.credential(username);
    return credential?.user.state === 'active' ? credential : null;
  }

  #look({ user, version }: Credential, password: string): 'fresh' | 'stale' | 'unknown' {
    return this.#verified.look(user.id, version, password);
  }

  /**
   * An attempt is charged when its turn to be hashed has come, not before: a whole office behind one address logs in
   * side by side after a restart, and nobody of it is guessing.
   */
  async #attempt(
    remoteAddress: string,
    username: string,
    check: () => Promise<boolean>,
  ): Promise<{ isRight: boolean; attempt: Attempt }> {
    const name = canonicalAddress(username)?.address ?? username;
    if (this.#pace.isHopeless(remoteAddress, name)) throw tooManyFailures();
    const { attempt, isRight } = await this.#slots.run(async () => {
      const attempt = this.#pace.begin(remoteAddress, name);
      if (attempt === null) throw tooManyFailures();
      return { attempt, isRight: attempt.waitMs === 0 ? await check() : null };
    });
    if (isRight !== null) return { attempt, isRight };
    await this.#wait(attempt.waitMs);
    return { attempt, isRight: await this.#slots.run(check) };
  }
}

const tooManyFailures = (): UnavailableError =>
  new UnavailableError('busy', 'Too many failed logins: try again later');

const authenticated = ({ id, organization, mailbox, quotaOctets, address }: User): AuthenticatedUser => ({
  userId: id,
  organization,
  mailbox,
  quotaOctets,
  address,
});
