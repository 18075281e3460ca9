/**
 * An open folder in memory: UIDs, flags and modseqs in typed arrays, ascending by UID, shared by all views of the
 * folder. 16 octets a message.
 */
import type { Uid } from '../../ids.ts';
import { Flag } from '../types.ts';
import { changedFlags, changedKeywords, type KeywordSets, keywordText } from './keyword-sets.ts';
import type { UidRange } from './uid-ranges.ts';

const SYSTEM_BITS = 0xff;
const SET_SHIFT = 8;
const LEAST_CAPACITY = 64;

/** A row of the index's entry table, as far as a folder's state needs it. */
export type EntryWord = readonly [uid: number, flags: number, keywords: string | null, modSeq: number];

export interface EntryFlags {
  readonly system: number;
  readonly keywords: readonly number[];
  readonly modSeq: number;
}

export class FolderState {
  readonly #sets: KeywordSets;
  #count = 0;
  #uids = new Uint32Array(LEAST_CAPACITY);
  /** System flags in the low 8 bits, the number of the keyword set above them. */
  #words = new Uint32Array(LEAST_CAPACITY);
  #modSeqs = new Float64Array(LEAST_CAPACITY);

  constructor(sets: KeywordSets) {
    this.#sets = sets;
  }

  get count(): number {
    return this.#count;
  }

  /** A live view, ascending; valid until the next change. */
  get uids(): Uint32Array {
    return this.#uids.subarray(0, this.#count);
  }

  /** @returns the position of `uid`, or -1. */
  indexOf(uid: number): number {
    const at = this.lowerBound(uid);
    return at < this.#count && this.#uids[at] === uid ? at : -1;
  }

  /** The first position whose UID is at least `uid`. */
  lowerBound(uid: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#uids[middle]! < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  flagsAt(index: number): EntryFlags {
    const word = this.#words[index]!;
    return {
      system: word & SYSTEM_BITS,
      keywords: this.#sets.numbers(word >>> SET_SHIFT),
      modSeq: this.#modSeqs[index]!,
    };
  }

  systemFlagsAt(index: number): number {
    return this.#words[index]! & SYSTEM_BITS;
  }

  modSeqAt(index: number): number {
    return this.#modSeqs[index]!;
  }

  /** UIDs must ascend and be greater than all that are there. */
  append([uid, flags, keywords, modSeq]: EntryWord): void {
    if (this.#count === this.#uids.length) this.#grow();
    this.#uids[this.#count] = uid;
    this.#words[this.#count] = (flags & SYSTEM_BITS) | (this.#sets.idOf(keywords) << SET_SHIFT);
    this.#modSeqs[this.#count] = modSeq;
    this.#count++;
  }

  /** Whether the change would alter the message at `index`: only then does its modseq grow (RFC 7162 §3.1). */
  wouldChange(
    index: number,
    operation: 'replace' | 'add' | 'remove',
    flags: number,
    keywords: readonly number[],
  ): boolean {
    const { system, keywords: current } = this.flagsAt(index);
    if (changedFlags(system, operation, flags) !== system) return true;
    const text = keywordText(current);
    return changedKeywords(text, operation, keywords) !== text;
  }

  /** @returns the UIDs in the ranges, all of which now carry `modSeq`. */
  changeFlags(
    ranges: readonly UidRange[],
    operation: 'replace' | 'add' | 'remove',
    flags: number,
    keywords: readonly number[],
    modSeq: number,
  ): Uid[] {
    const changed: Uid[] = [];
    const setAfter = new Map<number, number>();
    for (const [first, last] of ranges) {
      for (let at = this.lowerBound(first); at < this.#count && this.#uids[at]! <= last; at++) {
        const word = this.#words[at]!;
        const before = word >>> SET_SHIFT;
        let after = setAfter.get(before);
        if (after === undefined) {
          const text = changedKeywords(keywordText(this.#sets.numbers(before)), operation, keywords);
          after = this.#sets.idOf(text);
          setAfter.set(before, after);
        }
        this.#words[at] = changedFlags(word & SYSTEM_BITS, operation, flags) | (after << SET_SHIFT);
        this.#modSeqs[at] = modSeq;
        changed.push(this.#uids[at]! as Uid);
      }
    }
    return changed;
  }

  /** UIDs whose modseq is greater, ascending. */
  changedSince(modSeq: number): Uint32Array {
    const changed = new Uint32Array(this.#count);
    let count = 0;
    for (let at = 0; at < this.#count; at++) {
      if (this.#modSeqs[at]! > modSeq) changed[count++] = this.#uids[at]!;
    }
    return changed.slice(0, count);
  }

  /** UIDs of the ranges that exist, ascending. */
  uidsIn(ranges: readonly UidRange[]): Uid[] {
    const found: Uid[] = [];
    for (const [first, last] of ranges) {
      for (let at = this.lowerBound(first); at < this.#count && this.#uids[at]! <= last; at++) {
        found.push(this.#uids[at]! as Uid);
      }
    }
    return found;
  }

  /** UIDs that carry \Deleted, ascending; of `within` only when given. */
  deleted(within: readonly Uid[] | null): Uid[] {
    const found: Uid[] = [];
    const take = (at: number): void => {
      if (at >= 0 && (this.#words[at]! & Flag.Deleted) !== 0) found.push(this.#uids[at]! as Uid);
    };
    if (within === null) for (let at = 0; at < this.#count; at++) take(at);
    else for (const uid of within) take(this.indexOf(uid));
    return found;
  }

  /** Removes the UIDs of the ranges in one pass. @returns those that existed. */
  remove(ranges: readonly UidRange[]): Uid[] {
    const removed: Uid[] = [];
    let to = 0;
    let next = 0;
    for (let from = 0; from < this.#count; from++) {
      const uid = this.#uids[from]!;
      while (next < ranges.length && ranges[next]![1] < uid) next++;
      const range = ranges[next];
      if (range !== undefined && uid >= range[0]) {
        removed.push(uid as Uid);
        continue;
      }
      this.#uids[to] = uid;
      this.#words[to] = this.#words[from]!;
      this.#modSeqs[to] = this.#modSeqs[from]!;
      to++;
    }
    this.#count = to;
    return removed;
  }

  #grow(): void {
    const capacity = this.#uids.length * 2;
    this.#uids = grown(this.#uids, new Uint32Array(capacity));
    this.#words = grown(this.#words, new Uint32Array(capacity));
    this.#modSeqs = grown(this.#modSeqs, new Float64Array(capacity));
  }
}

function grown<T extends Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
