/** What a sender wants to be told, as parameters of MAIL and RCPT: RFC 3461 §4. The package has undone xtext. */
import { NOTIFY, type Notify, type OnwardFacts, type OnwardRecipient } from '../delivery/onward.ts';
import { ProtocolError } from '../errors.ts';
import { DSN_ENVELOPE_ID_CHARACTERS, DSN_RECIPIENT_CHARACTERS } from '../limits.ts';

/** Names that are not refused with 555. */
export const DSN_MAIL_PARAMETERS: readonly string[] = ['RET', 'ENVID'];
export const DSN_RCPT_PARAMETERS: ReadonlySet<string> = new Set(['NOTIFY', 'ORCPT']);

type Parameters = Readonly<Record<string, string | true>>;

export type MessageDsn = Pick<OnwardFacts, 'returns' | 'envelopeId'>;
export type RecipientDsn = Pick<OnwardRecipient, 'notify' | 'originalRecipient'>;

/** @throws ProtocolError when a value is too long; the package refuses what is no value. */
export function messageDsn({ RET, ENVID }: Parameters): MessageDsn {
  const returns = typeof RET === 'string' ? RET.toUpperCase() : null;
  return {
    returns: returns === 'FULL' || returns === 'HDRS' ? returns : null,
    envelopeId: bounded(ENVID, 'ENVID', DSN_ENVELOPE_ID_CHARACTERS),
  };
}

/** @throws ProtocolError when a value is too long; the package refuses what is no value. */
export function recipientDsn({ NOTIFY: notify, ORCPT }: Parameters): RecipientDsn {
  return {
    notify:
      typeof notify === 'string' ? [...new Set(notify.toUpperCase().split(','))].filter(isNotify) : null,
    originalRecipient: bounded(ORCPT, 'ORCPT', DSN_RECIPIENT_CHARACTERS),
  };
}

const isNotify = (word: string): word is Notify => (NOTIFY as readonly string[]).includes(word);

function bounded(value: string | true | undefined, name: string, characters: number): string | null {
  if (typeof value !== 'string') return null;
  if (value.length > characters) throw new ProtocolError(`${name} is too long`);
  return value;
}
