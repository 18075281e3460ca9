/** An opened message as SEARCH sees it: decoded, case-mapped text, each piece read once. */
import { fieldValues } from '../../message/header.ts';
import { areKept, keptValues } from '../../message/kept-fields.ts';
import { includesTerm, isOneTerm, type SearchText, sourceText } from '../../message/search-text.ts';
import { casemap, decodeHeaderValue, type SearchSource, searchSources } from '../../message/text.ts';
import type { StoredMessage } from '../../store/types.ts';
import type { Slice } from '../../yielding.ts';

export class SearchedMessage {
  readonly #message: StoredMessage;
  readonly #slice: Slice;
  #header: Buffer | null = null;
  #kept: SearchText | null = null;
  /** Texts so far, by where they begin: a search for five words decodes a part once. */
  readonly #texts = new Map<number, string>();

  constructor(message: StoredMessage, slice: Slice) {
    this.#message = message;
    this.#slice = slice;
  }

  /** The values of a field of the message's own header, as latin1. */
  async rawFieldValues(name: string): Promise<readonly string[]> {
    const kept = areKept([name]) ? (this.#message.known()?.fields ?? null) : null;
    if (kept !== null) return keptValues(kept, name);
    if (this.#header === null) {
      const [top] = (await this.#message.digest()).parts;
      this.#header = await this.#message.read(top!.headerStart, top!.bodyStart);
    }
    return fieldValues(this.#header, name);
  }

  /** The same, decoded and case-mapped. */
  async fieldTexts(name: string): Promise<readonly string[]> {
    return (await this.rawFieldValues(name)).map((value) => casemap(decodeHeaderValue(value)));
  }

  /** Whether the needle, case-mapped, is where the key looks. */
  async textIncludes(needle: string, key: 'BODY' | 'TEXT'): Promise<boolean> {
    if (isOneTerm(needle)) {
      this.#kept ??= this.#message.known()?.search ?? null;
      if (this.#kept !== null) return includesTerm(this.#kept, needle, key);
    }
    for (const source of searchSources((await this.#message.digest()).parts, key)) {
      if ((await this.#text(source)).includes(needle)) return true;
      await this.#slice.pause();
    }
    return false;
  }

  async #text(source: SearchSource): Promise<string> {
    const { start, end } = source;
    const known = this.#texts.get(start);
    if (known !== undefined) return known;
    const octets = await this.#message.read(start, end);
    const text = await sourceText(source, octets, () => this.#slice.pause());
    this.#texts.set(start, text);
    return text;
  }
}
