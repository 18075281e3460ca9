/**
 * The one function from an error to an SMTP reply. Total over every thrown value: what is none of the four kinds is a bug
 * and answered 451, so that the sender keeps the mail. RFC 5321 §4.2, RFC 3463, RFC 5248 (enhanced status codes).
 */
import {
  ProtocolError,
  type RefusedCode,
  RefusedError,
  type UnavailableCode,
  UnavailableError,
} from '../errors.ts';

export interface SmtpReply {
  readonly code: number;
  /** RFC 3463, 'class.subject.detail'. */
  readonly status: string;
  readonly text: string;
}

/** At which point of the conversation; some refusals are temporary at one and final at another. */
export type ReplyStage = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data';

const LOCAL_ERROR: SmtpReply = {
  code: 451,
  status: '4.3.0',
  text: 'Local error in processing, try again later',
};
/** RFC 4954 §6: authentication cannot be decided now; clients must not take it for a wrong password. */
const AUTH_UNAVAILABLE: SmtpReply = {
  code: 454,
  status: '4.7.0',
  text: 'Temporary authentication failure, try again later',
};

/** Code and status where every stage agrees; the text is the error's public sentence. */
const REFUSED: Readonly<Record<RefusedCode, readonly [code: number, status: string]>> = {
  'no-such-recipient': [550, '5.1.1'],
  'recipient-disabled': [550, '5.2.1'],
  'mail-loop': [554, '5.4.6'],
  nonexistent: [550, '5.1.1'],
  'already-exists': [550, '5.3.0'],
  'over-quota': [552, '5.2.2'],
  'too-big': [552, '5.3.4'],
  'too-many': [452, '4.5.3'],
  'bad-credentials': [535, '5.7.8'],
  'not-permitted': [550, '5.7.1'],
  'key-denied': [451, '4.7.0'],
  locked: [451, '4.7.0'],
  cannot: [550, '5.3.0'],
  'bad-message': [550, '5.6.0'],
  'in-use': [451, '4.3.0'],
  invalid: [501, '5.5.4'],
};

/** Codes of a ProtocolError that mean more than bad syntax. */
const PROTOCOL: ReadonlyMap<string, readonly [code: number, status: string]> = new Map([
  ['sequence', [503, '5.5.1']],
  ['unknown-parameter', [555, '5.5.4']],
  ['address-not-ascii', [553, '5.6.7']],
  ['authentication-required', [530, '5.7.0']],
] as const);

const UNAVAILABLE: Readonly<Record<UnavailableCode, SmtpReply>> = {
  'key-service-down': LOCAL_ERROR,
  'disk-full': { code: 452, status: '4.3.1', text: 'Insufficient system storage, try again later' },
  busy: { code: 451, status: '4.3.2', text: 'The server is busy, try again later' },
  'shutting-down': { code: 451, status: '4.3.2', text: 'The server is shutting down, try again later' },
  timeout: LOCAL_ERROR,
  'locked-data-directory': LOCAL_ERROR,
};

/** @returns Never throws; no text of an error that is not public gets into the reply. */
export function replyTo(error: unknown, stage: ReplyStage): SmtpReply {
  if (error instanceof ProtocolError) return protocolReply(error);
  if (error instanceof RefusedError) return refusedReply(error, stage);
  if (stage === 'auth') return AUTH_UNAVAILABLE;
  if (error instanceof UnavailableError) return unavailableReply(error, stage);
  return LOCAL_ERROR;
}

function protocolReply(error: ProtocolError): SmtpReply {
  const [code, status] = PROTOCOL.get(error.code) ?? [501, '5.5.4'];
  return { code, status, text: error.message };
}

function refusedReply(error: RefusedError, stage: ReplyStage): SmtpReply {
  // A mailbox that is full may be emptied: the sender tries again, unless it has sent the whole message in vain.
  if (error.code === 'over-quota' && stage === 'rcpt') {
    return { code: 452, status: '4.2.2', text: error.message };
  }
  // RFC 4954 §6: of a 535 clients conclude that the password is wrong, and drop the right one.
  if (error.code === 'locked' && stage === 'auth') {
    return { ...AUTH_UNAVAILABLE, text: error.message };
  }
  // Too many connections is no matter of a message.
  if (error.code === 'too-many' && stage === 'connect') {
    return { code: 421, status: '4.7.0', text: error.message };
  }
  const [code, status] = Object.hasOwn(REFUSED, error.code) ? REFUSED[error.code] : REFUSED.cannot;
  return { code, status, text: error.message };
}

function unavailableReply(error: UnavailableError, stage: ReplyStage): SmtpReply {
  const reply = Object.hasOwn(UNAVAILABLE, error.code) ? UNAVAILABLE[error.code] : LOCAL_ERROR;
  // 421 closes the connection, which the reply to one of several LMTP recipients must not do.
  return error.code === 'shutting-down' && stage === 'connect' ? { ...reply, code: 421 } : reply;
}
