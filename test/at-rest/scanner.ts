/**
 * Finds words in octets, however they are encoded: as they are (in any case), percent- and quoted-printable-encoded, in
 * UTF-16 and UTF-32, base64 (both alphabets, at any alignment, over line breaks), hexadecimal, and in zstd, gzip and zlib
 * streams that begin anywhere; and in these within each other, four deep. Words are ASCII, of at least 12 characters, and
 * share a stem that occurs nowhere else.
 */
import { constants, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib';

/** base64 within gzip within base64 ... */
const DEPTH = 4;
/** A run that holds a word has more. */
const SHORTEST_RUN = 16;
/** More than any message of the tests; a stream that inflates further is cut there. */
const INFLATED_OCTETS = 64 * 1024 * 1024;

const TEXT_RUN = new RegExp(`[\\t\\r\\n\\x20-\\x7e]{${SHORTEST_RUN},}`, 'g');
const BASE64_RUN = new RegExp(`(?:[A-Za-z0-9+/_-](?:\\r?\\n[ \\t]*)?){${SHORTEST_RUN},}`, 'g');
const HEX_RUN = new RegExp(`(?:[0-9A-Fa-f]{2}[\\s:]?){${SHORTEST_RUN},}`, 'g');
const QUOTED = /=(?:\r?\n|[0-9A-Fa-f]{2})/g;
const PERCENT = /%[0-9A-Fa-f]{2}/g;

/** A view of octets: what they may stand for, and how it was found. */
interface View {
  readonly path: string;
  readonly octets: Buffer;
}

export interface Find {
  readonly word: string;
  /** Decodings, outermost first, such as `gzip > base64`; empty when the word lies there as it is. */
  readonly path: string;
}

export class Scanner {
  readonly #stem: string;
  readonly #words: readonly string[];

  /** @param words Each with the stem in it; found in any case. */
  constructor(stem: string, words: readonly string[]) {
    this.#stem = stem.toLowerCase();
    this.#words = words.map((word) => word.toLowerCase());
    if (!this.#words.every((word) => word.includes(this.#stem))) throw new Error('A word lacks the stem.');
  }

  /** Each word once for each way in which it was found. */
  scan(octets: Buffer): Find[] {
    const finds = new Map<string, Find>();
    for (const { path, octets: view } of viewsOf({ path: '', octets }, DEPTH)) {
      for (const word of this.#wordsIn(view)) finds.set(`${path}\0${word}`, { path, word });
    }
    return [...finds.values()];
  }

  /** A stem without a known word is a find too: of a word cut short. */
  #wordsIn(octets: Buffer): string[] {
    const text = octets.toString('latin1').toLowerCase();
    if (!text.includes(this.#stem)) return [];
    const words = this.#words.filter((word) => text.includes(word));
    return words.length > 0 ? words : [this.#stem];
  }
}

function* viewsOf(view: View, depth: number): Generator<View> {
  yield view;
  if (depth === 0) return;
  for (const [name, decode] of DECODERS) {
    for (const octets of decode(view.octets)) {
      if (octets.length === 0) continue;
      const path = view.path === '' ? name : `${view.path} > ${name}`;
      yield* viewsOf({ path, octets }, depth - 1);
    }
  }
}

type Decoder = (octets: Buffer) => Iterable<Buffer>;

const DECODERS: readonly (readonly [name: string, decode: Decoder])[] = [
  ['percent', escaped(PERCENT)],
  ['quoted-printable', escaped(QUOTED)],
  ['utf-16', withoutZeros],
  ['base64', base64],
  ['hex', hexadecimal],
  ['zstd', streams(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), zstd)],
  ['gzip', streams(Buffer.from([0x1f, 0x8b, 0x08]), gunzip)],
  ...[0x01, 0x5e, 0x9c, 0xda].map((level) => ['zlib', streams(Buffer.from([0x78, level]), inflate)] as const),
];

/** Runs of text with escapes in them: all escapes replaced, and soft line breaks gone. */
function escaped(pattern: RegExp): Decoder {
  return function* (octets) {
    for (const [run] of octets.toString('latin1').matchAll(TEXT_RUN)) {
      if (run.search(pattern) === -1) continue;
      const decoded = run.replace(pattern, (match) =>
        match.includes('\n') ? '' : String.fromCharCode(Number.parseInt(match.slice(1), 16)),
      );
      yield Buffer.from(decoded, 'latin1');
    }
  };
}

/** UTF-16 and UTF-32 of ASCII, in either byte order: what is left when the zeros between are dropped. */
function* withoutZeros(octets: Buffer): Generator<Buffer> {
  for (const [run] of octets.toString('latin1').matchAll(/(?:[\x20-\x7e]\0{1,3}){8,}[\x20-\x7e]?/g)) {
    yield Buffer.from(run.replaceAll('\0', ''), 'latin1');
  }
}

/** Letters before the first group shift it, so each run is read from four places. */
function* base64(octets: Buffer): Generator<Buffer> {
  for (const [run] of octets.toString('latin1').matchAll(BASE64_RUN)) {
    const letters = run.replace(/[\r\n \t]/g, '');
    for (let shift = 0; shift < 4; shift++) yield Buffer.from(letters.slice(shift), 'base64');
  }
}

function* hexadecimal(octets: Buffer): Generator<Buffer> {
  for (const [run] of octets.toString('latin1').matchAll(HEX_RUN)) {
    const digits = run.replace(/[\s:]/g, '');
    for (let shift = 0; shift < 2; shift++) yield Buffer.from(digits.slice(shift), 'hex');
  }
}

/** Every place where the magic octets are is tried; what is no stream throws, or yields what came before it broke. */
function streams(magic: Buffer, decompress: (octets: Buffer) => Buffer): Decoder {
  return function* (octets) {
    for (let at = octets.indexOf(magic); at !== -1; at = octets.indexOf(magic, at + 1)) {
      try {
        yield decompress(octets.subarray(at));
      } catch {
        // Not a stream after all.
      }
    }
  };
}

function zstd(octets: Buffer): Buffer {
  return zstdDecompressSync(octets, {
    finishFlush: constants.ZSTD_e_flush, // a cut stream still shows its beginning
    maxOutputLength: INFLATED_OCTETS,
  });
}

/** RFC 1952 §2.3: without the name and comment that it may carry, which are seen as they are. */
function gunzip(octets: Buffer): Buffer {
  const flags = octets[3]!;
  let at = 10;
  if ((flags & 4) !== 0) at += 2 + octets.readUInt16LE(at);
  for (const flag of [8, 16]) if ((flags & flag) !== 0) at = octets.indexOf(0, at) + 1;
  if ((flags & 2) !== 0) at += 2;
  return inflateRawSync(octets.subarray(at), {
    finishFlush: constants.Z_SYNC_FLUSH,
    maxOutputLength: INFLATED_OCTETS,
  });
}

function inflate(octets: Buffer): Buffer {
  return inflateSync(octets, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: INFLATED_OCTETS });
}
