/** Writes the search segment of one page (page-text.ts), one message after the other in the order of its slots. */
import { KIB, TEXT_CHUNK_OCTETS } from '../../limits.ts';
import type { SearchText } from '../../message/search-text.ts';
import type { ColumnName } from './page.ts';
import {
  encodeText,
  encodeTextPlaces,
  hasSignature,
  SignatureBuilder,
  type TextPlace,
  TRIGRAM,
} from './page-text.ts';

/** Takes a column's clear octets, which it may overwrite. `isRaw`: they do not shrink. */
export type WriteColumn = (column: ColumnName, clear: Buffer, isRaw: boolean) => Promise<void>;

/** Code units that are signed in one go: 3 ms. */
const SIGNED_UNITS = 256 * KIB;

export class PageTextWriter {
  readonly #write: WriteColumn;
  readonly #pause: () => Promise<void> | undefined;
  readonly #signature: SignatureBuilder | null;
  readonly #places: (TextPlace | null)[] = [];
  #chunk: Buffer[] = [];
  #chunkOctets = 0;
  #chunks = 0;

  /** @param count Messages of the page. */
  constructor(count: number, write: WriteColumn, pause: () => Promise<void> | undefined = () => undefined) {
    this.#write = write;
    this.#pause = pause;
    this.#signature = hasSignature(count) ? new SignatureBuilder(count) : null;
  }

  /** @param search null when the message's text is not kept. */
  async add(search: SearchText | null): Promise<void> {
    const slot = this.#places.length;
    if (search === null) {
      this.#places.push(null);
      this.#signature?.addUnknown(slot);
      return;
    }
    const encoded = encodeText(search.text);
    const pieces: Buffer[] = [];
    let octets = 0;
    for (const piece of encoded.pieces()) {
      pieces.push(piece);
      octets += piece.length;
      await this.#pause();
    }
    if (this.#chunkOctets > 0 && this.#chunkOctets + octets > TEXT_CHUNK_OCTETS) await this.#flush();
    this.#places.push({
      chunk: this.#chunks,
      start: this.#chunkOctets,
      octets,
      bodyStart: search.bodyStart,
      isUtf16: encoded.isUtf16,
    });
    this.#chunk.push(...pieces);
    this.#chunkOctets += octets;
    await this.#sign(slot, search.text);
  }

  async end(): Promise<void> {
    await this.#flush();
    await this.#write('text-places', encodeTextPlaces(this.#places), false);
    let number = 0;
    for (const block of this.#signature?.blocks() ?? [])
      await this.#write(`signature-${number++}`, block, true);
  }

  /** By portions that overlap by what a trigram may begin with: the longest texts take more than a slice. */
  async #sign(slot: number, text: string): Promise<void> {
    if (this.#signature === null) return;
    for (let at = 0; at < text.length; at += SIGNED_UNITS) {
      this.#signature.add(slot, text.slice(at, at + SIGNED_UNITS + TRIGRAM - 1));
      await this.#pause();
    }
  }

  async #flush(): Promise<void> {
    const chunk = Buffer.concat(this.#chunk);
    for (const octets of this.#chunk) octets.fill(0);
    this.#chunk = [];
    this.#chunkOctets = 0;
    if (chunk.length > 0) await this.#write(`text-${this.#chunks++}`, chunk, false);
  }
}
