/**
 * The four kinds of error that Letterlock throws on purpose. Anything else that is thrown is a bug.
 *
 * Each error has a stable `code`, a public sentence (`message`, safe to show to a client: no address, subject, key or
 * path) and a private `cause`. Store and seal throw kinds, never reply codes: each protocol owns one function from
 * error to reply (smtp/replies.ts, imap/session/error-reply.ts).
 */

export type ErrorKind = 'protocol' | 'refused' | 'unavailable' | 'integrity';

/** What a user or client did that cannot be granted. Stable: replies, logs and tests name these. */
export type RefusedCode =
  | 'no-such-recipient'
  | 'recipient-disabled'
  | 'mail-loop'
  | 'nonexistent'
  | 'already-exists'
  | 'over-quota'
  | 'too-big'
  | 'too-many'
  | 'bad-credentials'
  | 'not-permitted'
  | 'key-denied'
  | 'locked'
  | 'cannot'
  | 'bad-message'
  | 'in-use'
  | 'invalid';

/** What does not work now and may work later. */
export type UnavailableCode =
  | 'key-service-down'
  | 'disk-full'
  | 'busy'
  | 'shutting-down'
  | 'timeout'
  | 'locked-data-directory';

export type IntegrityCode =
  | 'seal-broken'
  | 'context-mismatch'
  | 'format'
  | 'recipient-unverified'
  | 'missing-key'
  | 'missing-body';

export abstract class LetterlockError extends Error {
  abstract readonly kind: ErrorKind;
  readonly code: string;

  constructor(code: string, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause });
    this.code = code;
    this.name = new.target.name;
  }
}

/** Bad syntax, or a command in the wrong state. */
export class ProtocolError extends LetterlockError {
  readonly kind = 'protocol';

  constructor(sentence: string, code = 'syntax', cause?: unknown) {
    super(code, sentence, cause);
  }
}

/** The request is understood and refused; trying again unchanged does not help. */
export class RefusedError extends LetterlockError {
  readonly kind = 'refused';
  declare readonly code: RefusedCode;

  constructor(code: RefusedCode, sentence: string, cause?: unknown) {
    super(code, sentence, cause);
  }
}

/** Operational and passing: the same request may succeed later. */
export class UnavailableError extends LetterlockError {
  readonly kind = 'unavailable';
  declare readonly code: UnavailableCode;

  constructor(code: UnavailableCode, sentence: string, cause?: unknown) {
    super(code, sentence, cause);
  }
}

/** Operational and lasting: stored octets are not what was sealed. */
export class IntegrityError extends LetterlockError {
  readonly kind = 'integrity';
  declare readonly code: IntegrityCode;

  constructor(code: IntegrityCode, sentence: string, cause?: unknown) {
    super(code, sentence, cause);
  }
}
