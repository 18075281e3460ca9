/** ENVELOPE (RFC 9051 §7.5.2, RFC 3501 §7.4.2), as latin1 text. */
import { type Address, parseAddressList } from './address.ts';
import type { EnvelopeFields } from './entity.ts';
import { nstring } from './imap-string.ts';

/**
 * The envelope structure, parentheses included. An absent field is NIL, an empty Date, Subject, In-Reply-To or
 * Message-ID is "", an address field without addresses is NIL, and Sender and Reply-To fall back on From.
 */
export function imapEnvelope(fields: EnvelopeFields): string {
  const from = addressLists(fields.from);
  const sender = addressLists(fields.sender);
  const replyTo = addressLists(fields.replyTo);
  return `(${nstring(fields.date)} ${nstring(fields.subject)} ${from} ${sender === 'NIL' ? from : sender} ${
    replyTo === 'NIL' ? from : replyTo
  } ${addressLists(fields.to)} ${addressLists(fields.cc)} ${addressLists(fields.bcc)} ${nstring(
    fields.inReplyTo,
  )} ${nstring(fields.messageId)})`;
}

function addressLists(values: readonly string[]): string {
  const structures = values.flatMap((value) => parseAddressList(value)).map(addressStructure);
  return structures.length === 0 ? 'NIL' : `(${structures.join('')})`;
}

function addressStructure({ name, route, mailbox, host }: Address): string {
  return `(${nstring(name)} ${nstring(route)} ${nstring(mailbox)} ${nstring(host)})`;
}
