/**
 * The comparison of SEARCH: i;unicode-casemap (RFC 5051 §2) and somewhat more. RFC 5051 maps each character to titlecase
 * by its simple mapping and then decomposes it, which leaves the letters of 'ﬁ' or '𝓪' in the case they had. Here
 * they are decomposed first and all come out in capitals, 'ß' as 'SS': what RFC 5051 finds equal stays equal.
 */

const ASCII = /^[\x00-\x7f]*$/;

/**
 * A run of combining marks that is longer than any language writes (UAX #15, "Stream-Safe Text Format": 30). To put a run
 * into canonical order takes time that grows with its square: half a megabyte of them would hold the event loop for half a
 * minute, and any stranger may send them. Halfwidth sound marks are letters that decompose to marks.
 */
const LONG_RUN = /([[\p{M}\uff9e\uff9f]--[\u034f]]{30})(?=[[\p{M}\uff9e\uff9f]--[\u034f]])/gv;
/** COMBINING GRAPHEME JOINER: no mark is ordered across it. */
const CUT = '$1\u034f';

/** Equal results mean equal text. Apply to needle and haystack, then compare with includes(). */
export function casemap(text: string): string {
  if (ASCII.test(text)) return text.toUpperCase();
  return text.replace(LONG_RUN, CUT).normalize('NFKD').toUpperCase().normalize('NFKD');
}
