/** Reads back what imap-envelope.ts writes: an ENVELOPE (RFC 9051 §7.5.2), as far as sorting needs it. */
import { decodeHeaderValue } from './encoded-words.ts';

export interface EnvelopeAddress {
  /** Decoded display name; '' when there is none. */
  readonly name: string;
  readonly mailbox: string;
  /** '' of a group, whose name is `mailbox`. */
  readonly host: string;
}

export interface EnvelopeSummary {
  /** The Date field as written; '' when there is none. */
  readonly date: string;
  /** Decoded. */
  readonly subject: string;
  /** The first address of each field. */
  readonly from: EnvelopeAddress | null;
  readonly to: EnvelopeAddress | null;
  readonly cc: EnvelopeAddress | null;
}

type Value = string | null | readonly Value[];

export function readEnvelope(envelope: string): EnvelopeSummary {
  const [date, subject, from, , , to, cc] = new Reader(envelope).value() as readonly Value[];
  return {
    date: textOf(date),
    subject: decodeHeaderValue(textOf(subject)),
    from: firstOf(from),
    to: firstOf(to),
    cc: firstOf(cc),
  };
}

function firstOf(list: Value | undefined): EnvelopeAddress | null {
  if (!Array.isArray(list) || list.length === 0) return null;
  const [name, , mailbox, host] = list[0] as readonly Value[];
  return { name: decodeHeaderValue(textOf(name)), mailbox: textOf(mailbox), host: textOf(host) };
}

const textOf = (value: Value | undefined): string => (typeof value === 'string' ? value : '');

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The value at the cursor, with the space behind it: NIL, a string, or a list. It is our own, and well formed. */
  value(): Value {
    const value = this.#value();
    if (this.#text[this.#at] === ' ') this.#at += 1;
    return value;
  }

  #value(): Value {
    const text = this.#text;
    switch (text[this.#at]) {
      case '(': {
        const list: Value[] = [];
        this.#at += 1;
        while (this.#at < text.length && text[this.#at] !== ')') list.push(this.value());
        this.#at += 1;
        return list;
      }
      case '"': {
        const start = this.#at + 1;
        let end = start;
        while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
        this.#at = end + 1;
        return text.slice(start, end).replace(/\\(.)/gs, '$1');
      }
      case '{': {
        const start = text.indexOf('\r\n', this.#at) + 2;
        const end = start + Number.parseInt(text.slice(this.#at + 1), 10);
        this.#at = end;
        return text.slice(start, end);
      }
      default:
        this.#at += 3;
        return null;
    }
  }
}
