/**
 * From any thrown value to the IMAP reply: the only place where error codes meet response codes. RFC 5530, RFC 9051 §7.1.
 *
 * Total: what is not one of the four kinds is a bug and is answered as one. No text of an unknown error, and no cause,
 * ever reaches the client.
 */
import {
  IntegrityError,
  ProtocolError,
  type RefusedCode,
  RefusedError,
  type UnavailableCode,
  UnavailableError,
} from '../../errors.ts';
import { TargetMissing } from '../command/target.ts';
import { badCharsetCode } from '../wire/response-code.ts';

export interface ErrorReply {
  readonly condition: 'NO' | 'BAD' | 'BYE';
  /** Response code without brackets. */
  readonly code?: string;
  /** Safe to show. */
  readonly text: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** Authentication failures are told apart from a mailbox that cannot be opened: clients drop passwords on the first. */
const REFUSED: Record<RefusedCode, string | null> = {
  'no-such-recipient': 'NONEXISTENT',
  'recipient-disabled': 'NONEXISTENT',
  'mail-loop': null,
  nonexistent: 'NONEXISTENT',
  'already-exists': 'ALREADYEXISTS',
  'over-quota': 'OVERQUOTA',
  'too-big': 'TOOBIG',
  'too-many': 'LIMIT',
  'bad-credentials': 'AUTHENTICATIONFAILED',
  'not-permitted': 'NOPERM',
  'key-denied': 'CONTACTADMIN',
  locked: 'CONTACTADMIN',
  cannot: 'CANNOT',
  'bad-message': null,
  'in-use': 'INUSE',
  invalid: 'CANNOT',
};

const UNAVAILABLE: Record<UnavailableCode, string> = {
  'key-service-down': 'UNAVAILABLE',
  'disk-full': 'UNAVAILABLE',
  busy: 'INUSE',
  'shutting-down': 'UNAVAILABLE',
  timeout: 'UNAVAILABLE',
  'locked-data-directory': 'INUSE',
};

export function errorReply(error: unknown): ErrorReply {
  if (error instanceof ProtocolError) {
    // RFC 9051 §7.1: the command is well formed, so that this is no BAD.
    if (error.code === 'badcharset') {
      const code = badCharsetCode(['US-ASCII', 'UTF-8']);
      return { condition: 'NO', code, text: error.message, logLevel: 'debug' };
    }
    return { condition: 'BAD', text: error.message, logLevel: 'debug' };
  }
  if (error instanceof RefusedError) {
    const code = error instanceof TargetMissing ? 'TRYCREATE' : REFUSED[error.code];
    return {
      condition: 'NO',
      ...(code == null ? {} : { code }),
      text: error.message,
      logLevel: refusedLevel(error.code),
    };
  }
  if (error instanceof UnavailableError) {
    return {
      condition: error.code === 'shutting-down' ? 'BYE' : 'NO',
      code: UNAVAILABLE[error.code] ?? 'UNAVAILABLE',
      text: error.message,
      logLevel: 'warn',
    };
  }
  if (error instanceof IntegrityError) {
    return { condition: 'NO', code: 'CORRUPTION', text: error.message, logLevel: 'error' };
  }
  return { condition: 'NO', code: 'SERVERBUG', text: 'Internal error.', logLevel: 'error' };
}

function refusedLevel(code: RefusedCode): ErrorReply['logLevel'] {
  switch (code) {
    case 'bad-credentials':
      return 'info';
    case 'key-denied':
    case 'locked':
      return 'warn';
    default:
      return 'debug';
  }
}
