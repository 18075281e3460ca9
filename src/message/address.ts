/**
 * Address lists (RFC 5322 §3.4, obsolete forms of §4.4) as ENVELOPE shows them (RFC 9051 §7.5.2). Unlike a sender's
 * parser this one may not refuse: what is broken gives what can be made of it, and the list goes on after the next comma, or
 * semicolon (some senders separate with that).
 */
import { ADDRESSES_PER_FIELD } from '../limits.ts';
import { charactersBut, StructuredField } from './structured-field.ts';

/**
 * One address structure. A group is opened by an entry with only `mailbox` (its name) and closed by one with nothing.
 * Octets as written; quotes and quoted-pairs undone, encoded-words left as they are.
 */
export interface Address {
  /** Display name, or the comment after a bare address. */
  readonly name: string | null;
  /** RFC 5322 §4.4 obs-route, '@a,@b'. */
  readonly route: string | null;
  readonly mailbox: string | null;
  readonly host: string | null;
}

/** What stands for a part that an address lacks: NIL would read as a group. Dovecot's words. */
const MISSING_MAILBOX = 'MISSING_MAILBOX';
const MISSING_HOST = 'MISSING_DOMAIN';

const ATEXT = charactersBut('()<>[]:;@\\,."');
const ATEXT_AND_DOT = charactersBut('()<>[]:;@\\,"');
const DOMAIN_LITERAL = charactersBut(']');

const GROUP_END: Address = { name: null, route: null, mailbox: null, host: null };

/** The addresses of a field's value (header.ts fieldValue), at most ADDRESSES_PER_FIELD; empty when there is none. */
export function parseAddressList(value: string): Address[] {
  const field = new StructuredField(value);
  const list: Address[] = [];
  let isInGroup = false;
  while (list.length < ADDRESSES_PER_FIELD) {
    field.skipSpace();
    if (field.isAtEnd) break;
    if (field.take(',')) continue;
    if (field.take(';')) {
      if (isInGroup) list.push(GROUP_END);
      isInGroup = false;
      continue;
    }
    const start = field.position;
    field.comment = '';
    const name = phrase(field);
    if (!isInGroup && name !== '' && field.take(':')) {
      list.push({ name: null, route: null, mailbox: name, host: null });
      isInGroup = true;
      continue;
    }
    if (field.next === '<') list.push(angleAddress(field, name));
    else if (name.includes(' ') && field.next !== '@') list.push(nameAlone(name));
    else {
      field.position = start;
      list.push(bareAddress(field));
    }
    field.skipTo(',;');
  }
  if (isInGroup) list.push(GROUP_END);
  return list;
}

/** RFC 5322 §3.2.5 with the dots of §4.1 obs-phrase: words, one space between them. */
function phrase(field: StructuredField): string {
  const parts: string[] = [];
  for (;;) {
    if (field.next === '"') parts.push(field.quotedString());
    else {
      const atom = field.run(ATEXT_AND_DOT);
      if (atom === '') return parts.join(' ');
      parts.push(atom);
    }
    field.skipSpace();
  }
}

function angleAddress(field: StructuredField, name: string): Address {
  field.position++;
  field.skipSpace();
  let route: string | null = null;
  if (field.next === '@') {
    route = obsoleteRoute(field);
    field.skipSpace();
  }
  const mailbox = localPart(field);
  const host = field.take('@') ? domain(field) : '';
  field.skipSpace();
  field.skipTo('>,');
  field.take('>');
  return {
    name: name === '' ? null : name,
    route,
    mailbox: mailbox === '' ? MISSING_MAILBOX : mailbox,
    host: host === '' ? MISSING_HOST : host,
  };
}

/** Words and no address, such as `undisclosed recipients`: what there is to show is the name. */
function nameAlone(name: string): Address {
  return { name, route: null, mailbox: MISSING_MAILBOX, host: MISSING_HOST };
}

function bareAddress(field: StructuredField): Address {
  const mailbox = localPart(field);
  const host = field.take('@') ? domain(field) : '';
  field.skipSpace();
  return {
    name: field.comment === '' ? null : field.comment,
    route: null,
    mailbox: mailbox === '' ? MISSING_MAILBOX : mailbox,
    host: host === '' ? MISSING_HOST : host,
  };
}

function obsoleteRoute(field: StructuredField): string {
  const domains: string[] = [];
  while (field.take('@')) {
    domains.push(`@${domain(field)}`);
    field.skipSpace();
    while (field.take(',')) field.skipSpace();
  }
  field.take(':');
  return domains.join(',');
}

/** dot-atom / quoted-string / obs-local-part: words and dots, white space allowed around the dots. */
function localPart(field: StructuredField): string {
  return words(field, true);
}

function domain(field: StructuredField): string {
  field.skipSpace();
  if (field.next !== '[') return words(field, false);
  const literal = field.run(DOMAIN_LITERAL);
  return field.take(']') ? `${literal}]` : literal;
}

function words(field: StructuredField, areQuotesAllowed: boolean): string {
  let text = '';
  for (;;) {
    text += areQuotesAllowed && field.next === '"' ? field.quotedString() : field.run(ATEXT);
    field.skipSpace();
    if (!field.take('.')) return text;
    text += '.';
    field.skipSpace();
  }
}
