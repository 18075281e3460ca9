/**
 * Modified UTF-7, in which IMAP4rev1 writes mailbox names. RFC 3501 §5.1.3.
 *
 * Printable US-ASCII stands for itself but for `&`, which is `&-`. Anything else is UTF-16 in base64 with `,` for `/`
 * and without padding, between `&` and `-`. A name has exactly one valid spelling, and only that one is decoded:
 * two spellings of one name would be two mailboxes to some clients and one to others.
 */

const PLAIN = /^[\x20-\x25\x27-\x7e]*$/;

/** @returns null when the text is not the one valid spelling of any name. `text` is latin1. */
export function decodeModifiedUtf7(text: string): string | null {
  if (PLAIN.test(text)) return text;
  let decoded = '';
  let at = 0;
  while (at < text.length) {
    const shift = text.indexOf('&', at);
    if (shift === -1) {
      decoded += text.slice(at);
      break;
    }
    const end = text.indexOf('-', shift);
    if (end === -1) return null;
    decoded += text.slice(at, shift);
    if (end === shift + 1) {
      decoded += '&';
    } else {
      decoded += decodeUtf16(text.slice(shift + 1, end));
    }
    at = end + 1;
  }
  // Encoding again settles everything at once: stray 8-bit or control octets, base64 of printable characters, bits left
  // over, `&..-&..-` side by side, and surrogates without their other half (which decoding made U+FFFD).
  return encodeModifiedUtf7(decoded) === text ? decoded : null;
}

/** The one valid spelling, as ASCII. Surrogates without their other half become U+FFFD. */
export function encodeModifiedUtf7(name: string): string {
  if (PLAIN.test(name)) return name;
  return name
    .toWellFormed()
    .replace(/&|[^\x20-\x7e]+/g, (run) => (run === '&' ? '&-' : `&${encodeUtf16(run)}-`));
}

function decodeUtf16(base64: string): string {
  const octets = Buffer.from(base64.replaceAll(',', '/'), 'base64');
  if (octets.length % 2 !== 0) return '\ufffd';
  return octets.swap16().toString('utf16le').toWellFormed();
}

function encodeUtf16(run: string): string {
  return Buffer.from(run, 'utf16le').swap16().toString('base64').replace(/=+$/, '').replaceAll('/', ',');
}
