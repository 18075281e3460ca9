/**
 * Random access to a payload (stream.ts) wherever its octets lie. The final chunk is verified before anything is
 * yielded, as the age specification asks of readers that seek: so a cut is seen although what is left of it opens.
 */
import {
  brokenStream,
  CHUNK_OCTETS,
  chunkCount,
  clearStreamOctets,
  PAYLOAD_NONCE_OCTETS,
  PayloadCipher,
  SEALED_CHUNK_OCTETS,
} from './stream.ts';

/** A sealed body somewhere: a file, a journal record, an object store. */
export interface BodySource {
  readonly sizeOctets: number;
  /** Exactly `length` octets from `offset`; the caller may keep them. Fewer are taken for a broken body. */
  read(offset: number, length: number): Promise<Buffer>;
}

interface OpenedChunk {
  readonly index: number;
  readonly clear: Buffer;
}

export class StreamReader {
  /** Clear octets in the payload. */
  readonly sizeOctets: number;
  readonly #source: BodySource;
  readonly #cipher: PayloadCipher;
  readonly #last: OpenedChunk;
  /** The chunk opened most recently: the next range mostly begins in it. */
  #recent: OpenedChunk;

  private constructor(source: BodySource, cipher: PayloadCipher, sizeOctets: number, last: OpenedChunk) {
    this.#source = source;
    this.#cipher = cipher;
    this.sizeOctets = sizeOctets;
    this.#last = last;
    this.#recent = last;
  }

  /** Reads nonce and final chunk. @throws IntegrityError 'seal-broken'; whatever the source throws. */
  static async open(fileKey: Uint8Array, source: BodySource): Promise<StreamReader> {
    const sizeOctets = clearStreamOctets(source.sizeOctets);
    const index = chunkCount(sizeOctets) - 1;
    const lastStart = chunkStart(index);
    const [nonce, sealed] =
      index === 0
        ? split(await readExactly(source, 0, source.sizeOctets))
        : await Promise.all([
            readExactly(source, 0, PAYLOAD_NONCE_OCTETS),
            readExactly(source, lastStart, source.sizeOctets - lastStart),
          ]);
    const cipher = new PayloadCipher(fileKey, nonce);
    return new StreamReader(source, cipher, sizeOctets, { index, clear: cipher.open(index, true, sealed) });
  }

  /**
   * @param start,end Clear octets [start, end) with 0 <= start <= end <= sizeOctets.
   * @returns them; they may share memory with what was returned before.
   * @throws IntegrityError 'seal-broken' when a chunk does not open.
   */
  async read(start: number, end: number): Promise<Buffer> {
    if (start >= end) return Buffer.alloc(0);
    const firstIndex = Math.floor(start / CHUNK_OCTETS);
    const endIndex = Math.floor((end - 1) / CHUNK_OCTETS) + 1;
    const chunks = await this.#chunks(firstIndex, endIndex);
    const offset = start - firstIndex * CHUNK_OCTETS;
    const joined = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
    return joined.subarray(offset, offset + (end - start));
  }

  /** Chunks [firstIndex, endIndex), read at once but for those at hand. */
  async #chunks(firstIndex: number, endIndex: number): Promise<Buffer[]> {
    const chunks: Buffer[] = [];
    let index = firstIndex;
    if (index === this.#recent.index) {
      chunks.push(this.#recent.clear);
      index += 1;
    }
    const readEnd = Math.min(endIndex, this.#last.index);
    if (index < readEnd) {
      const readStart = chunkStart(index);
      const sealed = await readExactly(this.#source, readStart, chunkStart(readEnd) - readStart);
      for (let at = 0; index < readEnd; index++, at += SEALED_CHUNK_OCTETS) {
        const clear = this.#cipher.open(index, false, sealed.subarray(at, at + SEALED_CHUNK_OCTETS));
        this.#recent = { index, clear };
        chunks.push(clear);
      }
    }
    if (index < endIndex) {
      chunks.push(this.#last.clear);
      this.#recent = this.#last;
    }
    return chunks;
  }
}

const chunkStart = (index: number): number => PAYLOAD_NONCE_OCTETS + index * SEALED_CHUNK_OCTETS;

const split = (body: Buffer): [nonce: Buffer, sealed: Buffer] => [
  body.subarray(0, PAYLOAD_NONCE_OCTETS),
  body.subarray(PAYLOAD_NONCE_OCTETS),
];

async function readExactly(source: BodySource, offset: number, length: number): Promise<Buffer> {
  const octets = await source.read(offset, length);
  if (octets.length !== length) throw brokenStream('is shorter than it was');
  return octets;
}
