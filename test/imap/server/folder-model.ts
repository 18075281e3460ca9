/** INBOX as plain values: what commands make of it, one after the other. The reference that the server is compared with. */
import { parseSequenceSet, resolveSequenceSet } from '../../../src/imap/wire/sequence-set.ts';

export type ModelStep =
  | { readonly kind: 'store'; readonly set: string; readonly sign: '+' | '-' | ''; readonly flag: string }
  | { readonly kind: 'move' | 'copy' | 'expunge'; readonly set: string }
  | { readonly kind: 'append' | 'expunge-all' };

export class FolderModel {
  readonly messages = new Map<number, Set<string>>();
  #uidNext = 1;

  add(flags: Iterable<string> = []): void {
    this.messages.set(this.#uidNext, new Set(flags));
    this.#uidNext += 1;
  }

  /**
   * @param uids The UID behind each message number that the acting client knows: sets are its.
   * @param isUid Whether the set names UIDs. EXPUNGE with a set always does.
   */
  apply(step: ModelStep, uids: readonly number[], isUid: boolean): void {
    switch (step.kind) {
      case 'append':
        return this.add(['\\Seen']);
      case 'expunge-all':
        return this.#expunge([...this.messages.keys()]);
      case 'expunge':
        return this.#expunge(this.#named(step.set, uids, true));
      case 'store':
        for (const uid of this.#named(step.set, uids, isUid)) this.#store(uid, step.sign, step.flag);
        return;
      case 'copy':
        for (const uid of this.#named(step.set, uids, isUid)) this.add(this.messages.get(uid)!);
        return;
      case 'move':
        for (const uid of this.#named(step.set, uids, isUid)) this.messages.delete(uid);
        return;
      default:
        step satisfies never;
    }
  }

  /** UIDs and flags, as a client is told them. */
  listed(): [number, string][] {
    return [...this.messages].map(([uid, flags]) => [uid, [...flags].sort().join(' ')]);
  }

  #named(set: string, uids: readonly number[], isUid: boolean): number[] {
    const parsed = parseSequenceSet(set)!;
    const largest = isUid ? (uids.at(-1) ?? 0) : uids.length;
    const ranges = resolveSequenceSet(parsed, largest);
    const isIn = (number: number): boolean =>
      ranges.some((from, at) => at % 2 === 0 && from <= number && number <= ranges[at + 1]!);
    // RFC 9051 §6.4.8: a message number that there is not is an error, and nothing is done.
    if (
      !isUid &&
      (ranges.some((number) => number > uids.length) || (uids.length === 0 && set.includes('*')))
    ) {
      return [];
    }
    return uids.filter((uid, at) => isIn(isUid ? uid : at + 1) && this.messages.has(uid));
  }

  #store(uid: number, sign: '+' | '-' | '', flag: string): void {
    const flags = this.messages.get(uid)!;
    if (sign === '') flags.clear();
    if (sign === '-') flags.delete(flag);
    else flags.add(flag);
  }

  #expunge(uids: readonly number[]): void {
    for (const uid of uids) if (this.messages.get(uid)!.has('\\Deleted')) this.messages.delete(uid);
  }
}

/** The command of a step, as the client says it. */
export function commandOf(step: ModelStep, isUid: boolean): string {
  const uid = isUid ? 'UID ' : '';
  switch (step.kind) {
    case 'append':
      return 'APPEND INBOX (\\Seen) {6+}\r\na: b\r\n';
    case 'expunge-all':
      return 'EXPUNGE';
    case 'expunge':
      return `UID EXPUNGE ${step.set}`;
    case 'store':
      return `${uid}STORE ${step.set} ${step.sign}FLAGS (${step.flag})`;
    case 'copy':
      return `${uid}COPY ${step.set} INBOX`;
    case 'move':
      return `${uid}MOVE ${step.set} Trash`;
    default:
      return step satisfies never;
  }
}
