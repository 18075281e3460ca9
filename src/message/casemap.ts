/**
 * i;unicode-casemap (RFC 5051 §2): each character to titlecase by its simple mapping, then decomposed, compatibility
 * decompositions included. As NFKD it also puts combining marks into canonical order, which RFC 5051 does not ask
 * for: more text is equal, none less.
 */

/**
 * Characters whose toUpperCase() is not their simple titlecase mapping: those that it makes several characters of (ß,
 * ligatures, Greek with iota subscript), the digraphs that have a titlecase of their own, and Georgian, which has none.
 */
const EXCEPTIONS = /[ßŉǄ-ǌǰǱ-ǳΐΰևა-ჺჽ-ჿẖ-ẚὐὒὔὖᾀ-ᾯᾲ-ᾴᾶᾷᾼῂ-ῄῆῇῌῒΐῖῗῢΰῤῦῧῲ-ῴῶῷῼﬀ-ﬆﬓ-ﬗ]/g;
const ASCII = /^[\x00-\x7f]*$/;

/** Equal results mean equal text. Apply to needle and haystack, then compare with includes(). */
export function casemap(text: string): string {
  if (ASCII.test(text)) return text.toUpperCase();
  let mapped = '';
  let position = 0;
  for (const match of text.matchAll(EXCEPTIONS)) {
    mapped += text.slice(position, match.index).toUpperCase() + titlecase(match[0]);
    position = match.index + 1;
  }
  return (mapped + text.slice(position).toUpperCase()).normalize('NFKD');
}

/** UnicodeData.txt, Simple_Titlecase_Mapping of an exception. */
function titlecase(character: string): string {
  const code = character.charCodeAt(0);
  if (code >= 0x1c4 && code <= 0x1cc) return String.fromCharCode(0x1c5 + 3 * Math.floor((code - 0x1c4) / 3));
  if (code >= 0x1f1 && code <= 0x1f3) return 'ǲ';
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCharCode(code | 8);
  return { ᾳ: 'ᾼ', ῃ: 'ῌ', ῳ: 'ῼ' }[character] ?? character;
}
