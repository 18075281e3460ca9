/** The preview of a message (RFC 8970 §3): the beginning of its first text, made once, at delivery. */
import { PREVIEW_CHARACTERS } from '../limits.ts';
import { decodeCharset } from './charset.ts';
import type { DigestPart } from './digest.ts';
import { htmlText } from './html.ts';
import { decodeTransferEncoding } from './transfer-encoding.ts';

/** Text read to fill a preview: white space shrinks, so somewhat more than a preview holds. */
const SOURCE_CHARACTERS = 2 * PREVIEW_CHARACTERS;
/** Octets of plain text that give a preview in any encoding: three octets a character, each quoted-printable. */
const PLAIN_OCTETS = 12 * PREVIEW_CHARACTERS;

/**
 * At most PREVIEW_CHARACTERS characters (not UTF-16 units) of the text, white space and control characters folded into
 * single spaces. @param octets The beginning of the part's body; it may be cut anywhere.
 */
export function previewText(part: DigestPart, octets: Buffer): string {
  const isHtml = part.mediaType === 'text/html';
  const source = isHtml ? octets : octets.subarray(0, PLAIN_OCTETS);
  const decoded = decodeCharset(decodeTransferEncoding(source, part.encoding), part.charset);
  const text = isHtml ? htmlText(decoded, SOURCE_CHARACTERS) : decoded;
  const folded = text.slice(0, SOURCE_CHARACTERS).replace(INVISIBLE, ' ').trim();
  return firstCharacters(folded);
}

/** White space, controls, the zero-width fillers that newsletters pad previews with, and what a cut character left. */
const INVISIBLE = /(?:[\s\p{Cc}\u00ad\u200b-\u200f\u2060\ufeff\ufffd]|\u034f)+/gu;

function firstCharacters(text: string): string {
  if (text.length <= PREVIEW_CHARACTERS) return text;
  return [...text.slice(0, 2 * PREVIEW_CHARACTERS)].slice(0, PREVIEW_CHARACTERS).join('').trimEnd();
}
