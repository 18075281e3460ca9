/** Encoded-words (RFC 2047, with the language of RFC 2231 §5) and raw 8-bit text in header fields. */
import { charsetPieces, decodeCharset } from './charset.ts';
import { decodeQuotedPrintable, decodeTransferEncoding } from './transfer-encoding.ts';

/** Encoded text ends at the next '?'. RFC 2047 §2 forbids spaces in it; some senders put them into Q. */
const ENCODED_WORD = /=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=/g;
const WHITE_SPACE = /^[ \t\r\n]*$/;

/**
 * A field's value (header.ts fieldValue: latin1) as text. Raw octets are read as UTF-8 if they are, else as
 * windows-1252. White space between encoded-words goes (§6.2); words of one charset in a row are decoded as one, since
 * senders cut characters in two.
 */
export const decodeHeaderValue = (value: string): string =>
  value.includes('=?') ? [...headerValuePieces(value)].join('') : rawText(value);

/** The same in pieces: a field may have thousands of encoded-words. */
export function* headerValuePieces(value: string): Generator<string> {
  let position = 0;
  let pending: { charset: string; octets: Buffer[] } | null = null;
  for (const match of value.matchAll(ENCODED_WORD)) {
    const between = value.slice(position, match.index);
    position = match.index + match[0].length;
    const charset = match[1]!.split('*', 1)[0]!.toLowerCase();
    const octets = encodedOctets(match[2]!, match[3]!);
    const isAdjacent = WHITE_SPACE.test(between);
    if (pending !== null && isAdjacent && pending.charset === charset) {
      pending.octets.push(octets);
      // Nothing to tell yet, and time has passed.
      yield '';
      continue;
    }
    if (pending !== null) yield* charsetPieces(Buffer.concat(pending.octets), pending.charset);
    if (pending === null || !isAdjacent) yield rawText(between);
    pending = { charset, octets: [octets] };
  }
  if (pending !== null) yield* charsetPieces(Buffer.concat(pending.octets), pending.charset);
  yield rawText(value.slice(position));
}

function encodedOctets(encoding: string, text: string): Buffer {
  const octets = Buffer.from(text, 'latin1');
  if (encoding === 'b' || encoding === 'B') return decodeTransferEncoding(octets, 'base64');
  return decodeQuotedPrintable(Buffer.from(text.replaceAll('_', ' '), 'latin1'));
}

function rawText(value: string): string {
  return /[\x80-\xff]/.test(value) ? decodeCharset(Buffer.from(value, 'latin1'), '') : value;
}
