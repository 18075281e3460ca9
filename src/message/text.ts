/** What SEARCH sees of a message (RFC 9051 §6.4.4): decoded text, compared after `casemap`. */
import { SEARCH_PART_OCTETS } from '../limits.ts';
import { charsetPieces } from './charset.ts';
import type { DigestPart } from './digest.ts';
import { decodeHeaderValue, headerValuePieces } from './encoded-words.ts';
import { scanFields, unfold } from './header.ts';
import { htmlPieces } from './html.ts';
import { decodeTransferEncoding } from './transfer-encoding.ts';

export { casemap } from './casemap.ts';
export { decodeHeaderValue } from './encoded-words.ts';

/** Whether a part's body is text that SEARCH BODY and TEXT look into. */
export function isSearchable(part: DigestPart): boolean {
  return part.mediaType.startsWith('text/');
}

/** A piece of a message for SEARCH: read its octets, then decode them by `kind`. */
export interface SearchSource {
  /** 'header': headerPieces. 'body': partPieces. */
  readonly kind: 'header' | 'body';
  readonly part: DigestPart;
  readonly start: number;
  readonly end: number;
}

/**
 * Where SEARCH BODY, or TEXT, looks, in the order of the message: text parts, and the headers of embedded messages,
 * which lie in the body; for TEXT the message's own header first. Bodies are cut at SEARCH_PART_OCTETS.
 */
export function searchSources(parts: readonly DigestPart[], key: 'BODY' | 'TEXT'): SearchSource[] {
  const sources: SearchSource[] = [];
  for (const part of parts) {
    const isEmbedded = part.section.endsWith('.');
    if (isEmbedded || (part.section === '' && key === 'TEXT')) {
      sources.push({ kind: 'header', part, start: part.headerStart, end: part.bodyStart });
    }
    if (isSearchable(part)) {
      const end = Math.min(part.end, part.bodyStart + SEARCH_PART_OCTETS);
      sources.push({ kind: 'body', part, start: part.bodyStart, end });
    }
  }
  return sources;
}

/** A header block as text, in pieces: a line 'Name: value' for each field, unfolded and decoded. */
export function* headerPieces(header: Buffer): Generator<string> {
  const text = header.toString('latin1');
  for (const { name, valueStart, end } of scanFields(text)) {
    const value = unfold(text.slice(valueStart, end));
    if (value.includes('=?')) {
      yield `${name}: `;
      yield* headerValuePieces(value);
      yield '\n';
    } else yield `${name}: ${decodeHeaderValue(value)}\n`;
  }
}

/**
 * The visible text of a text part's body, in pieces: transfer encoding and charset undone, HTML reduced to its text.
 * Never throws; reads at most SEARCH_PART_OCTETS of `body`.
 */
export function* partPieces(part: DigestPart, body: Buffer): Generator<string> {
  const octets = decodeTransferEncoding(body.subarray(0, SEARCH_PART_OCTETS), part.encoding);
  if (part.mediaType !== 'text/html') return yield* charsetPieces(octets, part.charset);
  const html: string[] = [];
  for (const piece of charsetPieces(octets, part.charset)) {
    html.push(piece);
    // Nothing to tell yet, and time has passed.
    yield '';
  }
  yield* htmlPieces(html.join(''));
}
