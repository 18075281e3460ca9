/**
 * Octets that came and were not consumed yet. A chunk that arrives when nothing is left over is used as it is; only
 * leftovers are copied, into a buffer that doubles, so that a line fed octet by octet costs linear time.
 */

const LF = 0x0a;
const CR = 0x0d;
const EMPTY = Buffer.alloc(0);
const SMALLEST_COPY = 1024;

export class OctetQueue {
  #buffer: Buffer = EMPTY;
  #from = 0;
  #to = 0;
  /** Everything from #from to here was searched for a line end in vain. */
  #searched = 0;
  /** Whether #buffer is ours to write to: chunks pushed by the caller may be slices of a shared pool. */
  #isOwn = false;

  get length(): number {
    return this.#to - this.#from;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const kept = this.length;
    if (kept === 0) {
      this.#buffer = chunk;
      this.#from = 0;
      this.#to = chunk.length;
      this.#searched = 0;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#to + chunk.length > this.#buffer.length) {
      const wider = Buffer.allocUnsafeSlow(Math.max(2 * (kept + chunk.length), SMALLEST_COPY));
      this.#buffer.copy(wider, 0, this.#from, this.#to);
      this.#buffer = wider;
      this.#searched -= this.#from;
      this.#from = 0;
      this.#to = kept;
      this.#isOwn = true;
    }
    chunk.copy(this.#buffer, this.#to);
    this.#to += chunk.length;
  }

  /**
   * One line without its line end, as latin1.
   * @returns null when its end has not come; 'too-long' when it has more than `limit` octets: nothing is consumed then.
   */
  takeLine(limit: number): string | null | 'too-long' {
    const found = this.#findLineEnd();
    if (found === -1) return this.length > limit + 1 ? 'too-long' : null;
    const end = found > this.#from && this.#buffer[found - 1] === CR ? found - 1 : found;
    if (end - this.#from > limit) return 'too-long';
    const line = this.#buffer.toString('latin1', this.#from, end);
    this.#consumeTo(found + 1);
    return line;
  }

  /** Up to `limit` octets. The caller may keep the buffer: what was handed out is never written to again. */
  take(limit: number): Buffer {
    const end = Math.min(this.#to, this.#from + limit);
    const chunk = this.#buffer.subarray(this.#from, end);
    this.#consumeTo(end);
    return chunk;
  }

  /** Throws away up to `limit` octets. @returns how many. */
  skip(limit: number): number {
    const skipped = Math.min(this.length, limit);
    this.#consumeTo(this.#from + skipped);
    return skipped;
  }

  /**
   * Throws away up to and including the next line end, or everything when it has not come.
   * @returns The last `tailOctets` of what was thrown away, without the LF (a CR before it may have come earlier).
   */
  skipLine(tailOctets: number): { tail: string; isComplete: boolean; skipped: number } {
    const found = this.#findLineEnd();
    const isComplete = found !== -1;
    const end = isComplete ? found : this.#to;
    const tail = this.#buffer.toString('latin1', Math.max(this.#from, end - tailOctets), end);
    const next = isComplete ? found + 1 : end;
    const skipped = next - this.#from;
    this.#consumeTo(next);
    return { tail, isComplete, skipped };
  }

  /** The first octets, not consumed, as latin1. */
  peek(limit: number): string {
    return this.#buffer.toString('latin1', this.#from, Math.min(this.#to, this.#from + limit));
  }

  clear(): void {
    this.#buffer = EMPTY;
    this.#from = 0;
    this.#to = 0;
    this.#searched = 0;
    this.#isOwn = false;
  }

  #findLineEnd(): number {
    const start = Math.max(this.#from, this.#searched);
    if (start === this.#to) return -1;
    // Our own buffer has room behind #to, which must not be searched again with every chunk.
    const found = this.#isOwn
      ? this.#buffer.subarray(start, this.#to).indexOf(LF)
      : this.#buffer.indexOf(LF, start) - start;
    if (found >= 0) return start + found;
    this.#searched = this.#to;
    return -1;
  }

  #consumeTo(position: number): void {
    this.#from = position;
    // An idle connection holds no buffer.
    if (position === this.#to) this.clear();
  }
}
