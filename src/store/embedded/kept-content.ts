/** What a page keeps of a message's own octets, besides its digest: header fields to list it by, text to search it by. */
import { SEARCH_TEXT_UNITS } from '../../limits.ts';
import type { DigestPart } from '../../message/digest.ts';
import { keptFields } from '../../message/kept-fields.ts';
import {
  joinSources,
  keptSources,
  type Pause,
  type SearchText,
  sourceText,
} from '../../message/search-text.ts';

export interface KeptContent {
  /** null when they are too long to be kept; so is `search`. */
  readonly fields: string | null;
  readonly search: SearchText | null;
}

/**
 * @param read Clear octets [start, end) of the message.
 * @throws what `read` and `pause` throw.
 */
export async function keptContent(
  parts: readonly DigestPart[],
  read: (start: number, end: number) => Promise<Buffer>,
  pause: Pause = () => undefined,
): Promise<KeptContent> {
  const { headerStart, bodyStart } = parts[0]!;
  const fields = keptFields(await read(headerStart, bodyStart));
  const sources = keptSources(parts);
  if (sources === null) return { fields, search: null };
  const texts: string[] = [];
  let units = 0;
  for (const source of sources) {
    const text = await sourceText(source, await read(source.start, source.end), pause);
    units += text.length;
    if (units > SEARCH_TEXT_UNITS) return { fields, search: null };
    texts.push(text);
  }
  return { fields, search: joinSources(texts) };
}
