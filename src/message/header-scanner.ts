/**
 * Finds where a header block ends in a stream: after its empty line, before a boundary line, or at the limit. A header that
 * lies within one chunk is not copied.
 */

export interface ScannedHeader {
  /** The header is octets [start, end). */
  readonly octets: Buffer;
  readonly start: number;
  readonly end: number;
  /** After the boundary line that ended the header, its LF included; equal to `end` when none did. */
  readonly lineEnd: number;
  /** How far the chunk was taken. */
  readonly position: number;
}

const LF = 10;
const CR = 13;
const HYPHEN = 45;

export class HeaderScanner {
  readonly #limit: number;
  /** Octets of the header from earlier chunks: the first #heldOctets of #held. */
  #held: Buffer = Buffer.alloc(0);
  #heldOctets = 0;
  /** Of the line being read, relative to the header's start; and how far its LF was looked for. */
  #lineStart = 0;
  #searched = 0;

  /** @param limitOctets A header that has not ended by then ends there. */
  constructor(limitOctets: number) {
    this.#limit = limitOctets;
  }

  /**
   * Reads on in `chunk` from `position`.
   * @returns The header when its end was found, else null: then the rest of the chunk was taken and copied.
   */
  scan(
    chunk: Buffer,
    position: number,
    isBoundary: (octets: Buffer, lineStart: number, lineEnd: number) => boolean,
  ): ScannedHeader | null {
    if (this.#heldOctets === 0) {
      const found = this.#search(chunk, position, chunk.length - position, isBoundary);
      if (found !== null) return this.#ended(chunk, position, found, position + found.lineEnd);
      this.#hold(chunk, position);
      return null;
    }
    const before = this.#heldOctets;
    this.#hold(chunk, position);
    const found = this.#search(this.#held, 0, this.#heldOctets, isBoundary);
    return found === null ? null : this.#ended(this.#held, 0, found, position + found.lineEnd - before);
  }

  /** What was read of a header that the end of the message cut off, and where its last line begins. */
  finish(): { octets: Buffer; lineStart: number } {
    return { octets: this.#held.subarray(0, this.#heldOctets), lineStart: this.#lineStart };
  }

  /** Offsets relative to `start`, of which `available` octets are there. */
  #search(
    octets: Buffer,
    start: number,
    available: number,
    isBoundary: (octets: Buffer, lineStart: number, lineEnd: number) => boolean,
  ): { end: number; lineEnd: number } | null {
    const readable = Math.min(available, this.#limit);
    for (;;) {
      const lf = octets.indexOf(LF, start + this.#searched);
      if (lf < 0 || lf >= start + readable) {
        this.#searched = readable;
        return readable === this.#limit ? { end: readable, lineEnd: readable } : null;
      }
      const line = start + this.#lineStart;
      const next = lf + 1 - start;
      if (lf === line || (lf === line + 1 && octets[line] === CR)) return { end: next, lineEnd: next };
      if (octets[line] === HYPHEN && octets[line + 1] === HYPHEN && isBoundary(octets, line, lf)) {
        return { end: this.#lineStart, lineEnd: next };
      }
      this.#lineStart = next;
      this.#searched = next;
    }
  }

  #hold(chunk: Buffer, position: number): void {
    const taken = Math.min(chunk.length - position, this.#limit - this.#heldOctets);
    const needed = this.#heldOctets + taken;
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#limit, Math.max(needed, 2 * this.#held.length, 4096)));
      this.#held.copy(grown, 0, 0, this.#heldOctets);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldOctets, position, position + taken);
    this.#heldOctets = needed;
  }

  #ended(
    octets: Buffer,
    start: number,
    found: { end: number; lineEnd: number },
    position: number,
  ): ScannedHeader {
    this.#heldOctets = 0;
    this.#lineStart = 0;
    this.#searched = 0;
    return { octets, start, end: start + found.end, lineEnd: start + found.lineEnd, position };
  }
}
