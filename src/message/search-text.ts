/**
 * The text of a message as SEARCH compares it, in one piece: decoded and case-mapped, the message's own header first, then
 * what lies in its body. Kept sealed once a message is absorbed, so that a search parses no MIME again.
 */
import { SEARCH_TEXT_OCTETS } from '../limits.ts';
import { casemapPieces } from './casemap.ts';
import type { DigestPart } from './digest.ts';
import { headerPieces, partPieces, type SearchSource, searchSources } from './text.ts';

/** Between sources: a term that has it is looked for in each by itself, by opening the message. */
const SEPARATOR = '\0';

/** Waits for others to have their turn when it is time for that. */
export type Pause = () => Promise<void> | undefined;

export interface SearchText {
  readonly text: string;
  /** Where the body's text begins. */
  readonly bodyStart: number;
}

/** Whether `includesTerm` says the truth of a term. */
export const isOneTerm = (needle: string): boolean => !needle.includes(SEPARATOR);

/**
 * Whether the term is where SEARCH TEXT, or BODY, looks.
 * @param needle Case-mapped, and one term.
 */
export function includesTerm({ text, bodyStart }: SearchText, needle: string, key: 'BODY' | 'TEXT'): boolean {
  if (key === 'TEXT') return text.includes(needle);
  // Without a source in the body there is nothing in which even the empty term would be.
  return bodyStart <= text.length && text.indexOf(needle, bodyStart) !== -1;
}

/**
 * One source, decoded and case-mapped.
 * @param pause Asked whenever some more is done.
 * @throws what `pause` throws.
 */
export async function sourceText(
  { kind, part }: Pick<SearchSource, 'kind' | 'part'>,
  octets: Buffer,
  pause: Pause,
): Promise<string> {
  const decoded = await joined(kind === 'header' ? headerPieces(octets) : partPieces(part, octets), pause);
  return joined(casemapPieces(decoded), pause);
}

async function joined(pieces: Iterable<string>, pause: Pause): Promise<string> {
  const all: string[] = [];
  for (const piece of pieces) {
    all.push(piece);
    const wait = pause();
    if (wait !== undefined) await wait;
  }
  return all.length === 1 ? all[0]! : all.join('');
}

/** The sources of a message's text, or null when they are more than is kept. */
export function keptSources(parts: readonly DigestPart[]): readonly SearchSource[] | null {
  const sources = searchSources(parts, 'TEXT');
  const octets = sources.reduce((sum, { start, end }) => sum + end - start, 0);
  return octets > SEARCH_TEXT_OCTETS ? null : sources;
}

/** @param texts Of each source, in order: the first is the message's own header. */
export function joinSources([header, ...others]: readonly string[]): SearchText {
  const text = [header, ...others].join(SEPARATOR);
  // Behind the separator; beyond the end when there is none.
  return { text, bodyStart: header!.length + 1 };
}
