/**
 * The comparison of SEARCH: i;unicode-casemap (RFC 5051 §2) and somewhat more. RFC 5051 maps each character to titlecase
 * by its simple mapping and then decomposes it, which leaves the letters of 'ﬁ' or '𝓪' in the case they had. Here
 * they are decomposed first and all come out in capitals, 'ß' as 'SS': what RFC 5051 finds equal stays equal.
 */

const ASCII = /^[\x00-\x7f]*$/;

/** Equal results mean equal text. Apply to needle and haystack, then compare with includes(). */
export function casemap(text: string): string {
  return ASCII.test(text) ? text.toUpperCase() : text.normalize('NFKD').toUpperCase().normalize('NFKD');
}
