/**
 * The comparison of SEARCH: i;unicode-casemap (RFC 5051 §2) and somewhat more. RFC 5051 maps each character to titlecase
 * by its simple mapping and then decomposes it, which leaves the letters of 'ﬁ' or '𝓪' in the case they had. Here
 * they are decomposed first and all come out in capitals, 'ß' as 'SS': what RFC 5051 finds equal stays equal.
 */

import { TEXT_PORTION_UNITS } from '../limits.ts';

const ASCII = /^[\x00-\x7f]*$/;

/**
 * A run of combining marks that is longer than any language writes (UAX #15, "Stream-Safe Text Format": 30). To put a run
 * into canonical order takes time that grows with its square: half a megabyte of them would hold the event loop for half a
 * minute, and any stranger may send them. Halfwidth sound marks are letters that decompose to marks.
 */
const LONG_RUN = /([[\p{M}\uff9e\uff9f]--[\u034f]]{30})(?=[[\p{M}\uff9e\uff9f]--[\u034f]])/gv;
/** COMBINING GRAPHEME JOINER: no mark is ordered across it. */
const CUT = '$1\u034f';

/** No mark before it is ordered behind it, nor it before them; and it begins a character. */
const BOUNDARY = /[[^\p{M}\uff9e\uff9f]\u034f]/gv;

/** Equal results mean equal text. Apply to needle and haystack, then compare with includes(). */
export function casemap(text: string): string {
  return ASCII.test(text) ? text.toUpperCase() : mapped(cutRuns(text));
}

/** The same in pieces, none of which takes long. */
export function* casemapPieces(text: string): Generator<string> {
  const cut = ASCII.test(text) ? text : cutRuns(text);
  for (let start = 0; start < cut.length; ) {
    const end = boundaryFrom(cut, start + TEXT_PORTION_UNITS);
    const piece = cut.slice(start, end);
    yield ASCII.test(piece) ? piece.toUpperCase() : mapped(piece);
    start = end;
  }
}

const cutRuns = (text: string): string => text.replace(LONG_RUN, CUT);
const mapped = (text: string): string => text.normalize('NFKD').toUpperCase().normalize('NFKD');

/** The first place, not before `at`, where text can be parted so that its parts are mapped as the whole is. */
function boundaryFrom(text: string, at: number): number {
  if (at >= text.length) return text.length;
  // Within a pair of surrogates, the expression would take the whole for what begins there.
  const code = text.charCodeAt(at);
  BOUNDARY.lastIndex = code >= 0xdc00 && code < 0xe000 ? at + 1 : at;
  return BOUNDARY.exec(text)?.index ?? text.length;
}
