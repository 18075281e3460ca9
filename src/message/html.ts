/** The visible text of HTML mail, for search and preview: its words in reading order, nothing of its layout. */
import { Parser } from 'htmlparser2';

/** Elements whose text is not shown. */
const HIDDEN = new Set(['head', 'noscript', 'object', 'script', 'style', 'template', 'title']);
/** Elements within a line: text before and after them runs on. Any other begins a new word. */
const INLINE = new Set(
  (
    'a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark meta nobr o:p q s samp small ' +
    'span strike strong sub sup time tt u var wbr'
  ).split(' '),
);

/**
 * Text of the elements that are shown, line breaks between blocks. Runs in linear time and without recursion.
 * @param limit Characters of text after which reading stops.
 */
export function htmlText(html: string, limit = Number.POSITIVE_INFINITY): string {
  const chunks: string[] = [];
  let length = 0;
  let hiddenDepth = 0;
  const parser = new Parser(
    {
      onopentagname(name) {
        if (HIDDEN.has(name)) hiddenDepth++;
        else if (!INLINE.has(name)) chunks.push('\n');
      },
      onclosetag(name) {
        if (HIDDEN.has(name)) hiddenDepth--;
        else if (!INLINE.has(name)) chunks.push('\n');
      },
      ontext(text) {
        if (hiddenDepth > 0) return;
        chunks.push(text);
        length += text.length;
        if (length >= limit) parser.pause();
      },
    },
    { decodeEntities: true },
  );
  parser.end(html);
  return chunks.join('');
}
