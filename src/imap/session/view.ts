/**
 * What one client knows of the selected folder: which UID each message number stands for, and what it must still be
 * told. RFC 3501 §2.3.1.2, §5.2, §7.3, §7.4.1; RFC 2180.
 *
 * Numbers change only in `takeUpdates(true)`, that is when EXPUNGE responses go out. Until then an expunged message
 * keeps its number here, and an arrived one has none. The owner calls `takeUpdates` between commands (or in IDLE), so
 * numbers are stable while a command runs.
 */
import { ProtocolError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import type { FolderChange } from '../../store/types.ts';
import type { MessageNumbers } from '../command/context.ts';
import { hasStar, largestNumber, resolveSequenceSet, type SequenceSet } from '../wire/sequence-set.ts';

/** What the client is to be told, in the order in which it must be said. */
export interface ViewUpdates {
  /** Message numbers for EXPUNGE, descending, so that each is right when its response arrives. */
  readonly expunged: readonly number[];
  /** The same by UID, ascending, for VANISHED (RFC 7162 §3.2.10). */
  readonly vanished: readonly number[];
  /** The new number of messages when some arrived, else null. */
  readonly exists: number | null;
  /** Messages whose flags someone else changed. They exist, unless they were expunged since. */
  readonly changed: readonly Uid[];
}

const NOTHING: ViewUpdates = { expunged: [], vanished: [], exists: null, changed: [] };

export class ClientView implements MessageNumbers {
  /** Announced UIDs, then those that arrived since; ascending. Only [0, #length) counts. */
  #uids: Uint32Array;
  #length: number;
  #announced: number;
  readonly #recentFrom: number;
  /** Announced, expunged, and not told yet. */
  readonly #gone = new Set<number>();
  /** Announced, and their flags changed by someone else. */
  readonly #changed = new Set<number>();
  /** What `$` stands for, ascending; UIDs that the client no longer knows among them. */
  #saved: Uint32Array = new Uint32Array();
  /** Where the last look-up ended: commands go through messages in order. */
  #hint = 0;
  readonly #origin: unknown;

  /**
   * @param uids Ascending; the view takes it over.
   * @param recentFrom UIDs from here on are \Recent in this session.
   * @param origin What this session passes to the store: its own flag changes are not news to it.
   */
  constructor(uids: Uint32Array, recentFrom: number, origin: unknown) {
    this.#uids = uids;
    this.#length = uids.length;
    this.#announced = uids.length;
    this.#recentFrom = recentFrom;
    this.#origin = origin;
  }

  /** The number of messages that the client knows of. */
  get count(): number {
    return this.#announced;
  }

  /** How many of them are \Recent here. */
  get recentCount(): number {
    return this.#announced - this.#lowerBound(this.#recentFrom, 0, this.#announced);
  }

  get hasUpdates(): boolean {
    return this.#gone.size > 0 || this.#announced < this.#length || this.#changed.size > 0;
  }

  isRecent(uid: number): boolean {
    return uid >= this.#recentFrom;
  }

  /** Whether the client knows the message and it was expunged meanwhile. */
  isGone(uid: number): boolean {
    return this.#gone.has(uid);
  }

  /** The UID behind a message number from 1 to `count`. */
  uidAt(sequenceNumber: number): Uid {
    return this.#uids[sequenceNumber - 1]! as Uid;
  }

  /** The message number of a UID, or 0 when the client does not know it. */
  sequenceOf(uid: number): number {
    const next = this.#hint;
    if (next < this.#announced && this.#uids[next] === uid) {
      this.#hint = next + 1;
      return next + 1;
    }
    const at = this.#lowerBound(uid, 0, this.#announced);
    if (at === this.#announced || this.#uids[at] !== uid) return 0;
    this.#hint = at + 1;
    return at + 1;
  }

  /**
   * The UIDs that a set names, ascending; the caller owns the array. Expunged ones are among them: see isGone.
   * @throws ProtocolError for a message number that the client was never given (RFC 9051 §6.4.8). UIDs that do not
   *   exist are passed over.
   */
  resolve(set: SequenceSet, isUid: boolean): Uint32Array {
    if (set.isSaved) return this.#saved.filter((uid) => this.#isAnnounced(uid));
    const count = this.#announced;
    if (!isUid && (largestNumber(set) > count || (count === 0 && hasStar(set)))) {
      throw new ProtocolError('There is no message of that number.');
    }
    const largest = isUid ? (count === 0 ? 0 : this.#uids[count - 1]!) : count;
    const ranges = resolveSequenceSet(set, largest);
    const spans: Uint32Array[] = [];
    let from = 0;
    for (let range = 0; range < ranges.length; range += 2) {
      const start = isUid ? this.#lowerBound(ranges[range]!, from, count) : ranges[range]! - 1;
      const end = isUid ? this.#lowerBound(ranges[range + 1]! + 1, start, count) : ranges[range + 1]!;
      if (end > start) spans.push(this.#uids.subarray(start, end));
      from = end;
    }
    return joined(spans);
  }

  /** What `$` stands for from now on (RFC 5182 §2.1). @param uids Ascending; the view takes them over. */
  save(uids: Uint32Array): void {
    this.#saved = uids;
  }

  /** All UIDs that the client knows; the caller owns the array. */
  all(): Uint32Array {
    return this.#uids.slice(0, this.#announced);
  }

  /** Takes in what happened in the folder. Repeating a change, or one made before the view, does no harm. */
  apply(change: Exclude<FolderChange, { kind: 'gone' }>): void {
    switch (change.kind) {
      case 'added':
        this.#added(change.uids);
        break;
      case 'expunged':
        this.expunged(change.uids);
        break;
      case 'flags':
        if (change.origin === this.#origin) break;
        for (const uid of change.uids) {
          this.flagsDue(uid);
        }
        break;
      default:
        change satisfies never;
    }
  }

  /** As apply does for 'expunged'. */
  expunged(uids: readonly number[]): void {
    const dropped = new Set<number>();
    for (const uid of uids) {
      if (this.#isAnnounced(uid)) {
        this.#gone.add(uid);
        this.#changed.delete(uid);
      } else {
        dropped.add(uid);
      }
    }
    // Arrived and gone before the client heard of it: it never will.
    if (dropped.size > 0) this.#length = compact(this.#uids, this.#announced, this.#length, dropped, null);
  }

  /** The flags were changed by this session's own doing, and the client could not be sent them. */
  flagsDue(uid: number): void {
    if (this.#isAnnounced(uid) && !this.#gone.has(uid)) this.#changed.add(uid);
  }

  /** The client has just been sent the message's current flags. */
  flagsTold(uid: number): void {
    if (this.#changed.size > 0) this.#changed.delete(uid);
  }

  /**
   * What the client is to be told now; afterwards it counts as told.
   * @param mayExpunge False while answering FETCH, STORE or SEARCH (RFC 3501 §7.4.1): expunged messages keep their
   *   numbers until a later call.
   */
  takeUpdates(mayExpunge: boolean): ViewUpdates {
    if (!this.hasUpdates) return NOTHING;
    const expunged: number[] = [];
    const vanished: number[] = [];
    if (mayExpunge && this.#gone.size > 0) {
      const announced = this.#announced;
      this.#length = compact(this.#uids, 0, this.#length, this.#gone, { numbers: expunged, uids: vanished });
      this.#announced = announced - expunged.length;
      this.#gone.clear();
      this.#hint = 0;
      expunged.reverse();
    }
    let exists: number | null = null;
    const changed = this.#takeChanged();
    if (this.#announced < this.#length) {
      this.#announced = this.#length;
      exists = this.#announced;
    }
    return { expunged, vanished, exists, changed };
  }

  #takeChanged(): Uid[] {
    if (this.#changed.size === 0) return [];
    const changed = Array.from(this.#changed).sort((a, b) => a - b) as Uid[];
    this.#changed.clear();
    return changed;
  }

  #added(uids: readonly number[]): void {
    for (const uid of uids) {
      const last = this.#length === 0 ? 0 : this.#uids[this.#length - 1]!;
      // UIDs ascend in commit order, so that one not above the last is one that the snapshot had already.
      if (uid <= last) continue;
      if (this.#length === this.#uids.length) {
        const grown = new Uint32Array(this.#length + (this.#length >> 2) + 16);
        grown.set(this.#uids);
        this.#uids = grown;
      }
      this.#uids[this.#length] = uid;
      this.#length += 1;
    }
  }

  #isAnnounced(uid: number): boolean {
    const at = this.#lowerBound(uid, 0, this.#announced);
    return at < this.#announced && this.#uids[at] === uid;
  }

  /** First index in [low, high) whose UID is at least `uid`, else high. */
  #lowerBound(uid: number, low: number, high: number): number {
    const uids = this.#uids;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (uids[middle]! < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Removes `dropped` from [start, length) in one pass and returns the new length. They and their numbers (from
 * 1) before the pass are pushed to `removed`, ascending.
 */
function compact(
  uids: Uint32Array,
  start: number,
  length: number,
  dropped: ReadonlySet<number>,
  removed: { readonly numbers: number[]; readonly uids: number[] } | null,
): number {
  let to = start;
  for (let from = start; from < length; from += 1) {
    const uid = uids[from]!;
    if (dropped.has(uid)) {
      removed?.numbers.push(from + 1);
      removed?.uids.push(uid);
      continue;
    }
    uids[to] = uid;
    to += 1;
  }
  return to;
}

function joined(spans: readonly Uint32Array[]): Uint32Array {
  let length = 0;
  for (const span of spans) length += span.length;
  const whole = new Uint32Array(length);
  let at = 0;
  for (const span of spans) {
    whole.set(span, at);
    at += span.length;
  }
  return whole;
}
