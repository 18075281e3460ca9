/**
 * Some of a folder's UIDs: a bit for each of them, beside the list of all, which many of these share. A set of numbers
 * would take 30 octets for each, and one SEARCH keeps up to SEARCH_LOOKUPS of these.
 */
import type { UidSet } from '../types.ts';

export class UidMarks implements UidSet {
  readonly #all: Uint32Array;
  readonly #bits: Uint8Array;
  #size = 0;
  /** Where the last one was found: who asks goes through the folder in order. */
  #last = -1;

  /** @param all Ascending; kept, and not to be changed. */
  constructor(all: Uint32Array) {
    this.#all = all;
    this.#bits = new Uint8Array(Math.ceil(all.length / 8));
  }

  get size(): number {
    return this.#size;
  }

  /** @param at In the list of all; once each. */
  mark(at: number): void {
    this.#bits[at >>> 3]! |= 1 << (at & 7);
    this.#size++;
  }

  has(uid: number): boolean {
    const at = this.#find(uid);
    return at >= 0 && (this.#bits[at >>> 3]! & (1 << (at & 7))) !== 0;
  }

  #find(uid: number): number {
    const all = this.#all;
    if (all[this.#last] === uid) return this.#last;
    if (all[this.#last + 1] === uid) return ++this.#last;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (all[middle]! < uid) low = middle + 1;
      else high = middle;
    }
    if (all[low] !== uid) return -1;
    this.#last = low;
    return low;
  }
}
