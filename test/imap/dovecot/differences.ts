/** Where we answer otherwise than Dovecot 2.3 does, and why. What stands nowhere here is to be the same. */
import type { Difference } from './compare.ts';

export interface KnownDifference {
  readonly reason: string;
  /** Names of messages; absent: of any. */
  readonly messages?: readonly string[];
  /** What FETCH calls the items. */
  readonly items: RegExp;
  /** Absent: whatever the answers are. */
  isOfThisKind?(difference: Difference): boolean;
}

const isString = (value: unknown): value is string => typeof value === 'string';

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    reason:
      'RFC 2046 §5.1.1: the line end before a delimiter belongs to the delimiter, also where the delimiter ends more than one entity; Dovecot gives it to all but the innermost',
    items: /^BODY\[(?:[\d.]+|[\d.]+\.TEXT)\]$/,
    isOfThisKind: ({ dovecot, ours }) => isString(ours) && dovecot === `${ours}\r\n`,
  },
  {
    reason: 'the same, in octets and lines of an embedded message',
    messages: ['an embedded message within a part, with attachments', 'an embedded message that is cut'],
    items: /^BODY(?:STRUCTURE)?$/,
  },
  {
    reason:
      'where nothing but a line end lies between the fields of a part and the next delimiter, we take it for the empty line that ends the header',
    items: /^BODY\[[\d.]+\.(?:MIME|HEADER)\]$/,
    isOfThisKind: ({ dovecot, ours }) => isString(dovecot) && ours === `${dovecot}\r\n`,
  },
  {
    reason:
      'RFC 9051 §6.4.5.1: of a message without an empty line none is shown; Dovecot adds one to HEADER.FIELDS, not to HEADER.FIELDS.NOT',
    items: /^BODY\[HEADER\.FIELDS \(/,
    isOfThisKind: ({ dovecot, ours }) => isString(ours) && dovecot === `${ours}\r\n`,
  },
  {
    reason: 'we end the last line of a selection of fields, whatever it is',
    messages: ['one octet'],
    items: /^BODY\[HEADER\.FIELDS\.NOT \(/,
  },
  {
    reason:
      'RFC 5322 §2.2.3: unfolding removes line ends alone; Dovecot makes one space of all white space there',
    messages: ['msg_27.txt', 'a field folded over a line of white space'],
    items: /^ENVELOPE$/,
  },
  {
    reason: 'RFC 2045 §5.2: a Content-Type that cannot be read is text/plain; Dovecot shows empty strings',
    messages: ['msg_14.txt', 'a type without a subtype', 'a type that is none'],
    items: /^BODY(?:STRUCTURE)?$/,
  },
  {
    reason: 'a charset in RFC 2231 form is one: Dovecot adds charset=us-ascii beside it',
    messages: ['msg_32.txt'],
    items: /^BODY(?:STRUCTURE)?$/,
  },
  {
    reason: 'parameters stand in the order of the message',
    messages: ['msg_33.txt'],
    items: /^BODYSTRUCTURE$/,
  },
  {
    reason: 'the space in a parameter without a value ends it; Dovecot shows a parameter without a name',
    messages: ['parameters without values', 'parameters quoted and not'],
    items: /^BODY(?:STRUCTURE)?$/,
  },
  {
    reason: 'an encoding that we do not know is shown as the message has it; Dovecot says 7bit',
    messages: ['an unknown type and encoding'],
    items: /^BODY(?:STRUCTURE)?$/,
  },
  {
    reason: 'RFC 2046 §5.1.1: an empty boundary is none',
    messages: ['a multipart whose boundary is empty'],
    items: /^BODY/,
  },
  {
    reason:
      'an address field without a single word is NIL, and what follows the broken one is a domain as ever',
    messages: ['addresses that are none'],
    items: /^ENVELOPE$/,
  },
  {
    reason: 'some senders part addresses by semicolons: we show them all',
    messages: ['semicolons between addresses'],
    items: /^ENVELOPE$/,
  },
  {
    reason: 'octets are kept: Dovecot removes NUL where it shows the message, and puts U+FFFD into ENVELOPE',
    messages: ['NUL octets'],
    items: /^(?:ENVELOPE|BODY)/,
  },
  {
    reason: 'octets are kept: Dovecot stores LF and shows every LF as CRLF',
    messages: ['lines that end in CR LF LF'],
    items: /^(?:RFC822\.SIZE|BODY)/,
  },
  {
    reason: 'octets are kept: Dovecot makes a space of a CR alone',
    messages: ['bare CR within lines'],
    items: /^ENVELOPE$/,
  },
];

/** The entry that a difference is of, if it is known. */
export const knownDifference = (message: string, difference: Difference): KnownDifference | undefined =>
  KNOWN_DIFFERENCES.find(
    ({ messages, items, isOfThisKind }) =>
      (messages?.includes(message) ?? true) &&
      items.test(difference.item) &&
      (isOfThisKind?.(difference) ?? true),
  );
