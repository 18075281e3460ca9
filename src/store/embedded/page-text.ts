/**
 * The search segment of a page: its messages' texts in chunks, and for large pages a signature that tells for three
 * characters which messages may have them. docs/format.md, "Search". Knows no database and no lease.
 *
 * The signature has one row of bits, a bit a message, for each value of a hash of three UTF-16 code units. Rows have one
 * length, so that nothing at rest tells what terms there are, how many, or how often. The AND of the rows of a term's
 * trigrams leaves few messages, whose texts say for certain.
 */
import { IntegrityError } from '../../errors.ts';
import { KIB, SIGNATURE_BLOCK_OCTETS, SIGNATURE_MESSAGES, SIGNATURE_ROWS } from '../../limits.ts';
import type { SearchText } from '../../message/search-text.ts';

/** Code units that a row stands for; shorter terms are looked for in the texts. */
export const TRIGRAM = 3;

// --- Texts ---

/** Where a message's text is. */
export interface TextPlace {
  readonly chunk: number;
  readonly start: number;
  readonly octets: number;
  readonly bodyStart: number;
  /** UTF-16: the text is no well-formed Unicode. Otherwise UTF-8. */
  readonly isUtf16: boolean;
}

export const TEXT_PLACE_OCTETS = 16;
const NO_CHUNK = 0xffff_ffff;
const UTF16_BIT = 0x8000_0000;

export interface EncodedText {
  readonly isUtf16: boolean;
  /** To be written one behind the other; none takes long to make. */
  pieces(): Generator<Buffer>;
}

/** Code units that are encoded in one go: 1 ms. */
const ENCODED_UNITS = 64 * KIB;

export function encodeText(text: string): EncodedText {
  const isUtf16 = !text.isWellFormed();
  return {
    isUtf16,
    *pieces() {
      for (let start = 0, end = 0; start < text.length; start = end) {
        end = Math.min(start + ENCODED_UNITS, text.length);
        // A pair of surrogates is one character in UTF-8.
        if (isHighSurrogate(text.charCodeAt(end - 1)) && end < text.length) end++;
        yield Buffer.from(text.slice(start, end), isUtf16 ? 'utf16le' : 'utf8');
      }
    },
  };
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code < 0xdc00;

/** @param places null for a message whose text is not kept. */
export function encodeTextPlaces(places: readonly (TextPlace | null)[]): Buffer {
  const encoded = Buffer.alloc(places.length * TEXT_PLACE_OCTETS);
  for (const [slot, place] of places.entries()) {
    const at = slot * TEXT_PLACE_OCTETS;
    encoded.writeUInt32BE(place?.chunk ?? NO_CHUNK, at);
    if (place === null) continue;
    encoded.writeUInt32BE(place.start, at + 4);
    encoded.writeUInt32BE(place.octets, at + 8);
    encoded.writeUInt32BE(place.bodyStart + (place.isUtf16 ? UTF16_BIT : 0), at + 12);
  }
  return encoded;
}

export class TextPlaces {
  readonly #octets: Buffer;

  /** @throws IntegrityError 'format'. */
  constructor(octets: Buffer, count: number) {
    if (octets.length !== count * TEXT_PLACE_OCTETS) throw malformed();
    this.#octets = octets;
  }

  /** @returns null when the message's text is not kept. */
  at(slot: number): TextPlace | null {
    const at = slot * TEXT_PLACE_OCTETS;
    const chunk = this.#octets.readUInt32BE(at);
    if (chunk === NO_CHUNK) return null;
    const word = this.#octets.readUInt32BE(at + 12);
    return {
      chunk,
      start: this.#octets.readUInt32BE(at + 4),
      octets: this.#octets.readUInt32BE(at + 8),
      bodyStart: word % UTF16_BIT,
      isUtf16: word >= UTF16_BIT,
    };
  }
}

/** @throws IntegrityError 'format' when the chunk does not have it. */
export function textIn(chunk: Buffer, { start, octets, bodyStart, isUtf16 }: TextPlace): SearchText {
  if (start + octets > chunk.length) throw malformed();
  return { text: chunk.toString(isUtf16 ? 'utf16le' : 'utf8', start, start + octets), bodyStart };
}

// --- Signature ---

/** Whether a page of so many messages has one: the texts of smaller ones are soon looked through. */
export const hasSignature = (count: number): boolean => count >= SIGNATURE_MESSAGES;

const rowOctetsOf = (count: number): number => Math.ceil(count / 8);

/** A power of two, so that rows fill blocks. */
function rowsInBlock(count: number): number {
  const fitting = Math.max(1, Math.floor(SIGNATURE_BLOCK_OCTETS / rowOctetsOf(count)));
  return Math.min(SIGNATURE_ROWS, 2 ** Math.floor(Math.log2(fitting)));
}

/** Three code units to a row; multiplied and folded so that neighbours in the alphabet come far apart. */
function rowOf(first: number, second: number, third: number): number {
  const mixed = Math.imul(Math.imul(Math.imul(first, 0x9e3779b1) ^ second, 0x85ebca6b) ^ third, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 15)) & (SIGNATURE_ROWS - 1);
}

export class SignatureBuilder {
  readonly #rowOctets: number;
  readonly #count: number;
  readonly #bits: Buffer;

  constructor(count: number) {
    this.#count = count;
    this.#rowOctets = rowOctetsOf(count);
    this.#bits = Buffer.alloc(SIGNATURE_ROWS * this.#rowOctets);
  }

  add(slot: number, text: string): void {
    const at = slot >>> 3;
    const bit = 1 << (slot & 7);
    let first = text.charCodeAt(0);
    let second = text.charCodeAt(1);
    for (let index = 2; index < text.length; index++) {
      const third = text.charCodeAt(index);
      this.#bits[rowOf(first, second, third) * this.#rowOctets + at]! |= bit;
      first = second;
      second = third;
    }
  }

  /** A message whose text is not kept may have anything. */
  addUnknown(slot: number): void {
    for (let row = 0; row < SIGNATURE_ROWS; row++) {
      this.#bits[row * this.#rowOctets + (slot >>> 3)]! |= 1 << (slot & 7);
    }
  }

  /** Views, in order. */
  *blocks(): Generator<Buffer> {
    const octets = rowsInBlock(this.#count) * this.#rowOctets;
    for (let at = 0; at < this.#bits.length; at += octets) yield this.#bits.subarray(at, at + octets);
  }
}

/**
 * Which messages of a page may have the term, a bit each; null when a block is not to be had.
 * @param needle Of TRIGRAM code units at least.
 */
export function candidatesIn(
  count: number,
  needle: string,
  block: (index: number) => Buffer | null,
): Uint8Array | null {
  const rowOctets = rowOctetsOf(count);
  const inBlock = rowsInBlock(count);
  const found = new Uint8Array(rowOctets).fill(0xff);
  const rows = new Set<number>();
  for (let at = 0; at + TRIGRAM <= needle.length; at++) {
    rows.add(rowOf(needle.charCodeAt(at), needle.charCodeAt(at + 1), needle.charCodeAt(at + 2)));
  }
  for (const row of rows) {
    const octets = block(Math.floor(row / inBlock));
    if (octets === null) return null;
    if (octets.length !== inBlock * rowOctets) throw malformed();
    const start = (row % inBlock) * rowOctets;
    let any = 0;
    for (let at = 0; at < rowOctets; at++) any |= found[at]! &= octets[start + at]!;
    if (any === 0) break;
  }
  return found;
}

const malformed = (): IntegrityError => new IntegrityError('format', 'A search segment cannot be read.');
