/**
 * Pages: what many messages' headers and digests say, folded together and sealed under the index key, so that no
 * public-key operation stands between a client and its mail. docs/format.md, "Pages". Knows no database and no lease.
 *
 * A page is immutable. It lies in columns that are sealed each by itself: who wants envelopes opens nothing else.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib';
import { IntegrityError } from '../../errors.ts';
import type { MailboxId, MessageId } from '../../ids.ts';
import { KIB, PAGE_COLUMN_OCTETS, PAGE_MESSAGES, PAGE_OCTETS } from '../../limits.ts';
import { type Digest, decodeDigest, encodeDigest } from '../../message/digest.ts';
import type { SearchText } from '../../message/search-text.ts';
import { packRawFrame } from '../../seal/frames.ts';
import { openObject, sealObject } from '../../seal/object.ts';
import { FILE_KEY_OCTETS } from '../../seal/primitives.ts';

const compress = promisify(zstdCompress);

/** Columns with a value of any length for each message. */
export const TEXT_COLUMNS = ['envelope', 'body-structure', 'fields', 'rest'] as const;
export const PAGE_COLUMNS = ['directory', 'file-keys', ...TEXT_COLUMNS, 'text-places'] as const;

export type TextColumnName = (typeof TEXT_COLUMNS)[number];
/** Columns that a page has as many of as it needs, numbered from 0. */
export type ColumnName = (typeof PAGE_COLUMNS)[number] | `text-${number}` | `signature-${number}`;

const FIRST_TEXT = 1_000;
const FIRST_SIGNATURE = 1_000_000_000;

/** The number of a column in the index. */
export function columnNumber(column: ColumnName): number {
  const fixed = (PAGE_COLUMNS as readonly string[]).indexOf(column);
  if (fixed >= 0) return fixed;
  const [kind, number] = column.split('-');
  return Number(number) + (kind === 'text' ? FIRST_TEXT : FIRST_SIGNATURE);
}

/** Which mailbox's keys seal it, and which of its pages it is. */
export interface PagePlace {
  readonly mailbox: MailboxId;
  readonly epoch: number;
  /** 16 random octets in hex: never given to a second page. */
  readonly page: string;
  /** Of the root that listed it first. */
  readonly generation: number;
}

/** What a page holds of one message. */
export interface PageEntry {
  /** The key of the index's row. */
  readonly key: number;
  readonly id: MessageId;
  readonly sizeOctets: number;
  readonly fileKey: Buffer;
  readonly texts: Readonly<Record<TextColumnName, Buffer>>;
  /** null: it is not kept, and the message is opened to be searched. */
  readonly search: SearchText | null;
}

const KEY_OCTETS = 6;
const ID_OCTETS = 16;
const SIZE_OCTETS = 6;
export const DIRECTORY_ENTRY_OCTETS = KEY_OCTETS + ID_OCTETS + SIZE_OCTETS;

/** In the place of fields that were too long to be kept: no header block begins with it. */
const NOT_KEPT = Buffer.of(0);

/** @param fields As keptFields gives them. */
export function pageTexts(digest: Digest, fields: string | null): PageEntry['texts'] {
  return {
    envelope: Buffer.from(digest.envelope, 'latin1'),
    'body-structure': Buffer.from(digest.bodyStructure, 'latin1'),
    fields: fields === null ? NOT_KEPT : Buffer.from(fields, 'latin1'),
    rest: encodeDigest({ ...digest, envelope: '', bodyStructure: '' }),
  };
}

/** The digest that pageTexts was given. @throws IntegrityError 'format'. */
export const joinDigest = (rest: Buffer, envelope: string, bodyStructure: string): Digest => ({
  ...decodeDigest(rest),
  envelope,
  bodyStructure,
});

/** @returns null for fields that were too long to be kept. */
export const fieldsOf = (text: string): string | null => (text === '\0' ? null : text);

// --- Columns ---

export function encodeDirectory(entries: readonly Pick<PageEntry, 'key' | 'id' | 'sizeOctets'>[]): Buffer {
  const octets = Buffer.allocUnsafe(entries.length * DIRECTORY_ENTRY_OCTETS);
  let at = 0;
  for (const { key, id, sizeOctets } of entries) {
    at = octets.writeUIntBE(key, at, KEY_OCTETS);
    at += octets.write(id, at, 'hex');
    at = octets.writeUIntBE(sizeOctets, at, SIZE_OCTETS);
  }
  return octets;
}

/** The messages of a page, ascending by key. */
export class Directory {
  readonly count: number;
  readonly #octets: Buffer;

  /** @throws IntegrityError 'format'. */
  constructor(octets: Buffer) {
    if (octets.length % DIRECTORY_ENTRY_OCTETS !== 0) throw malformed();
    this.count = octets.length / DIRECTORY_ENTRY_OCTETS;
    this.#octets = octets;
  }

  keyAt(slot: number): number {
    return this.#octets.readUIntBE(slot * DIRECTORY_ENTRY_OCTETS, KEY_OCTETS);
  }

  idAt(slot: number): MessageId {
    const at = slot * DIRECTORY_ENTRY_OCTETS + KEY_OCTETS;
    return this.#octets.toString('hex', at, at + ID_OCTETS) as MessageId;
  }

  sizeAt(slot: number): number {
    return this.#octets.readUIntBE(slot * DIRECTORY_ENTRY_OCTETS + KEY_OCTETS + ID_OCTETS, SIZE_OCTETS);
  }

  /** @param hint Where it may well be. @returns the slot, or -1. */
  find(key: number, hint: number): number {
    if (hint < this.count && this.keyAt(hint) === key) return hint;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keyAt(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low < this.count && this.keyAt(low) === key ? low : -1;
  }
}

/** `end (u32)` of each value, then the values. */
export function encodeTexts(values: readonly Buffer[]): Buffer {
  const ends = Buffer.allocUnsafe(4 * values.length);
  let end = 0;
  for (const [slot, value] of values.entries()) {
    end += value.length;
    ends.writeUInt32BE(end, 4 * slot);
  }
  return Buffer.concat([ends, ...values]);
}

export class Texts {
  readonly #octets: Buffer;
  readonly #start: number;

  /** @throws IntegrityError 'format' when it is not a column of `count` values. */
  constructor(octets: Buffer, count: number) {
    this.#start = 4 * count;
    this.#octets = octets;
    let last = 0;
    if (octets.length < this.#start) throw malformed();
    for (let at = 0; at < this.#start; at += 4) {
      const end = octets.readUInt32BE(at);
      if (end < last) throw malformed();
      last = end;
    }
    if (octets.length !== this.#start + last) throw malformed();
  }

  /** As latin1 text. */
  textAt(slot: number): string {
    return this.#octets.toString('latin1', this.#startOf(slot), this.#endOf(slot));
  }

  /** A view. */
  octetsAt(slot: number): Buffer {
    return this.#octets.subarray(this.#startOf(slot), this.#endOf(slot));
  }

  #startOf(slot: number): number {
    return slot === 0 ? this.#start : this.#endOf(slot - 1);
  }

  #endOf(slot: number): number {
    return this.#start + this.#octets.readUInt32BE(4 * slot);
  }
}

export class FileKeys {
  readonly #octets: Buffer;

  /** @throws IntegrityError 'format'. */
  constructor(octets: Buffer, count: number) {
    if (octets.length !== count * FILE_KEY_OCTETS) throw malformed();
    this.#octets = octets;
  }

  /** A view. */
  at(slot: number): Buffer {
    return this.#octets.subarray(slot * FILE_KEY_OCTETS, (slot + 1) * FILE_KEY_OCTETS);
  }
}

// --- Sealing ---

/** Sealed lengths are rounded up: how well somebody's mail compresses beside that of others tells what is in those. */
const LEAST_STEP_OCTETS = 256;
const PREFIX_OCTETS = 8;

/** The next multiple of a sixteenth of the power of two below it. */
export function paddedOctets(octets: number): number {
  const step = Math.max(LEAST_STEP_OCTETS, 2 ** (Math.floor(Math.log2(Math.max(1, octets))) - 4));
  return Math.ceil(octets / step) * step;
}

/**
 * Compressed off the loop; sealed when that is done, under whatever key `indexKey` gives then.
 * @throws RangeError when it is longer than what openColumn opens.
 */
export async function packColumn(clear: Buffer): Promise<Buffer> {
  if (clear.length > PAGE_COLUMN_OCTETS) throw new RangeError('A column is too long to be opened.');
  return packed(clear, await compress(clear, { chunkSize: clear.length + KIB }));
}

/** What does not shrink, at once. @param clear At most FRAME_OCTETS. */
export const packRawColumn = (clear: Buffer): Buffer => packed(clear, packRawFrame(clear));

function packed(clear: Buffer, compressed: Buffer): Buffer {
  const column = Buffer.alloc(paddedOctets(PREFIX_OCTETS + compressed.length));
  column.writeUInt32BE(clear.length, 0);
  column.writeUInt32BE(compressed.length, 4);
  compressed.copy(column, PREFIX_OCTETS);
  compressed.fill(0);
  return column;
}

export const sealColumn = (
  indexKey: Uint8Array,
  place: PagePlace,
  column: ColumnName,
  packed: Buffer,
): Buffer =>
  sealObject(indexKey, 'page', [place.mailbox, place.epoch, place.page, place.generation, column], packed);

/** @throws IntegrityError 'seal-broken', 'format'. @returns the column's clear octets. */
export function openColumn(
  indexKey: Uint8Array,
  place: PagePlace,
  column: ColumnName,
  sealed: Uint8Array,
): Buffer {
  const fields = [place.mailbox, place.epoch, place.page, place.generation, column] as const;
  const packed = openObject(indexKey, 'page', fields, sealed);
  const clearOctets = packed.readUInt32BE(0);
  const end = PREFIX_OCTETS + packed.readUInt32BE(4);
  if (end > packed.length || clearOctets > PAGE_COLUMN_OCTETS) throw malformed();
  try {
    const clear = zstdDecompressSync(packed.subarray(PREFIX_OCTETS, end), {
      maxOutputLength: Math.max(1, clearOctets),
      chunkSize: clearOctets + KIB,
      params: { [constants.ZSTD_d_windowLogMax]: Math.ceil(Math.log2(PAGE_COLUMN_OCTETS)) },
    });
    if (clear.length !== clearOctets) throw malformed();
    return clear;
  } catch (error) {
    throw error instanceof IntegrityError ? error : malformed();
  } finally {
    packed.fill(0);
  }
}

// --- Root ---

/** A page as the root lists it. */
export interface ListedPage {
  readonly page: string;
  readonly generation: number;
  /** Messages, those expunged since included; and the keys of the first and the last. */
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** Clear octets of its columns. */
  readonly octets: number;
}

type ListedFields = [
  page: string,
  generation: number,
  count: number,
  first: number,
  last: number,
  octets: number,
];

export interface RootPlace {
  readonly mailbox: MailboxId;
  readonly epoch: number;
  readonly generation: number;
}

export function sealRoot(indexKey: Uint8Array, place: RootPlace, pages: readonly ListedPage[]): Buffer {
  const lines = pages.map(
    ({ page, generation, count, first, last, octets }): ListedFields => [
      page,
      generation,
      count,
      first,
      last,
      octets,
    ],
  );
  const fields = [place.mailbox, place.epoch, place.generation] as const;
  return sealObject(indexKey, 'page-root', fields, Buffer.from(JSON.stringify(lines)));
}

/** @returns the live pages in the order of their first keys. @throws IntegrityError 'seal-broken', 'format'. */
export function openRoot(indexKey: Uint8Array, place: RootPlace, sealed: Uint8Array): ListedPage[] {
  const fields = [place.mailbox, place.epoch, place.generation] as const;
  const octets = openObject(indexKey, 'page-root', fields, sealed);
  let lines: ListedFields[];
  try {
    lines = JSON.parse(octets.toString('latin1')) as ListedFields[];
  } catch {
    throw malformed();
  }
  const isSound = ([page, ...numbers]: ListedFields): boolean =>
    /^[0-9a-f]{32}$/.test(page) &&
    numbers.length === 5 &&
    numbers.every((value) => Number.isSafeInteger(value));
  if (!Array.isArray(lines) || !lines.every(isSound)) throw malformed();
  return lines.map(([page, generation, count, first, last, size]) => ({
    page,
    generation,
    count,
    first,
    last,
    octets: size,
  }));
}

/** Merged no further. Of two that are not, one page can be made. */
export const isFull = ({ count, octets }: Pick<ListedPage, 'count' | 'octets'>): boolean =>
  count * 2 > PAGE_MESSAGES || octets * 2 > PAGE_OCTETS;

const malformed = (): IntegrityError => new IntegrityError('format', 'A page cannot be read.');
