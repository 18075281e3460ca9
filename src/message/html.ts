/**
 * The visible text of HTML mail, for search and preview: its words in reading order, nothing of its layout. Works on
 * tokens, not on a tree: the time is linear in the input however deep its elements nest, and mail comes from strangers.
 */
import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2';
import { TEXT_PORTION_UNITS } from '../limits.ts';

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
export const htmlText = (html: string, limit = Number.POSITIVE_INFINITY): string =>
  [...htmlPieces(html, limit)].join('');

/** The same in pieces, none of which takes long. */
export function* htmlPieces(html: string, limit = Number.POSITIVE_INFINITY): Generator<string> {
  const collector = new TextCollector(html, limit);
  const tokenizer = new Tokenizer({ xmlMode: false, decodeEntities: true }, collector);
  collector.onfull = () => tokenizer.pause();
  for (let at = 0; at < html.length && !collector.isFull; at += TEXT_PORTION_UNITS) {
    tokenizer.write(html.slice(at, at + TEXT_PORTION_UNITS));
    yield collector.take();
  }
  tokenizer.end();
  yield collector.take();
}

class TextCollector implements TokenizerCallbacks {
  onfull: () => void = () => {};
  readonly #html: string;
  #chunks: string[] = [];
  #room: number;
  #hidden: string | null = null;

  constructor(html: string, limit: number) {
    this.#html = html;
    this.#room = limit;
  }

  get isFull(): boolean {
    return this.#room <= 0;
  }

  /** What came since it was taken last. */
  take(): string {
    const text = this.#chunks.join('');
    this.#chunks = [];
    return text;
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
    if (!INLINE.has(name)) this.#chunks.push('\n');
  }

  #add(text: string): void {
    if (this.#hidden !== null) return;
    this.#chunks.push(text);
    this.#room -= text.length;
    if (this.isFull) this.onfull();
  }
}
