/**
 * The From field of a submitted message: RFC 5322 §3.6.2, a mailbox-list, read strictly. The parser for ENVELOPE makes
 * something of whatever it gets; two parsers that do so differ, and what one takes for the author another passes over. So
 * what is not plainly a list of addresses is refused: groups, routes, domain literals, anything beside an address.
 */
import { RefusedError } from '../errors.ts';
import { FROM_AUTHORS } from '../limits.ts';
import { charactersBut, StructuredField } from './structured-field.ts';

/** RFC 5322 §3.2.3 dot-atom, with RFC 6532's octets above 127. */
const DOT_ATOM = charactersBut('()<>[]:;@\\,"');

/**
 * @param value Unfolded latin1 text (message/header.ts).
 * @returns `local-part@domain` of every author, at least one, quotes undone.
 * @throws RefusedError 'bad-message'.
 */
export function authorsOf(value: string): string[] {
  const field = new StructuredField(value);
  const authors: string[] = [];
  do {
    if (authors.length === FROM_AUTHORS)
      throw new RefusedError('bad-message', 'The From field has too many addresses');
    authors.push(mailbox(field));
  } while (field.take(','));
  // The cursor is beyond the end after a comment or quoted-string that was not closed: others may end it elsewhere.
  if (field.position !== value.length) throw unreadable();
  return authors;
}

/** name-addr / addr-spec, with the space and comments around it. */
function mailbox(field: StructuredField): string {
  field.skipSpace();
  const start = field.position;
  skipPhrase(field);
  const hasAngles = field.take('<');
  if (!hasAngles) field.position = start;
  const address = addrSpec(field);
  if (hasAngles && !field.take('>')) throw unreadable();
  field.skipSpace();
  return address;
}

/** A display name: words, with the dots of §4.1 obs-phrase, which half the world's initials are written with. */
function skipPhrase(field: StructuredField): void {
  for (;;) {
    if (field.next === '"') field.quotedString();
    else if (field.run(DOT_ATOM) === '') return;
    field.skipSpace();
  }
}

function addrSpec(field: StructuredField): string {
  field.skipSpace();
  const localPart = field.next === '"' ? field.quotedString() : field.run(DOT_ATOM);
  field.skipSpace();
  if (!field.take('@')) throw unreadable();
  field.skipSpace();
  const domain = field.run(DOT_ATOM);
  field.skipSpace();
  if (localPart === '' || domain === '') throw unreadable();
  return Buffer.from(`${localPart}@${domain}`, 'latin1').toString('utf8');
}

function unreadable(): RefusedError {
  return new RefusedError('bad-message', 'The From field is not a list of addresses');
}
