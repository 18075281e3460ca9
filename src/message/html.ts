/**
 * The visible text of HTML mail, for search and preview: its words in reading order, nothing of its layout. Works on
 * tokens, not on a tree: the time is linear in the input however deep its elements nest, and mail comes from strangers.
 */
import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2';

/** Elements whose content is not shown. None of them contains another: a tokenizer reads their content as text. */
const HIDDEN = new Set(['script', 'style', 'title']);
/** Elements within a line: text before and after them runs on. Any other begins a new word. */
const INLINE = new Set(
  (
    'a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark meta nobr o:p q s samp small ' +
    'span strike strong sub sup time tt u var wbr'
  ).split(' '),
);

/**
 * The text that is shown, entities decoded, line breaks between blocks.
 * @param limit Characters of text after which reading stops.
 */
export function htmlText(html: string, limit = Number.POSITIVE_INFINITY): string {
  const collector = new TextCollector(html, limit);
  const tokenizer = new Tokenizer({ xmlMode: false, decodeEntities: true }, collector);
  collector.onfull = () => tokenizer.pause();
  tokenizer.write(html);
  tokenizer.end();
  return collector.chunks.join('');
}

class TextCollector implements TokenizerCallbacks {
  readonly chunks: string[] = [];
  onfull: () => void = () => {};
  readonly #html: string;
  #room: number;
  #hidden: string | null = null;

  constructor(html: string, limit: number) {
    this.#html = html;
    this.#room = limit;
  }

  ontext(start: number, end: number): void {
    this.#add(this.#html.slice(start, end));
  }

  ontextentity(codePoint: number): void {
    this.#add(String.fromCodePoint(codePoint));
  }

  oncdata(start: number, end: number, endOffset: number): void {
    this.#add(this.#html.slice(start, end - endOffset));
  }

  onopentagname(start: number, end: number): void {
    const name = this.#html.slice(start, end).toLowerCase();
    if (HIDDEN.has(name)) this.#hidden = name;
    else this.#breakUnlessInline(name);
  }

  onclosetag(start: number, end: number): void {
    const name = this.#html.slice(start, end).toLowerCase();
    if (name === this.#hidden) this.#hidden = null;
    else this.#breakUnlessInline(name);
  }

  onopentagend(): void {}
  onselfclosingtag(): void {}
  onattribname(): void {}
  onattribdata(): void {}
  onattribentity(): void {}
  onattribend(): void {}
  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  #breakUnlessInline(name: string): void {
    if (!INLINE.has(name)) this.chunks.push('\n');
  }

  #add(text: string): void {
    if (this.#hidden !== null) return;
    this.chunks.push(text);
    this.#room -= text.length;
    if (this.#room <= 0) this.onfull();
  }
}
