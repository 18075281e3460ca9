/**
 * Some folders of a mailbox that at most one connection changes, so that what must be in them after a crash is known but
 * for one command: the one that was under way. Into INBOX mail is delivered besides.
 */
import type { Deliveries } from './deliveries.ts';
import { type Change, describe, type Entry, type MailState, subtract } from './folder-state.ts';

/** What a reader saw of one folder. */
export interface ReadFolder {
  readonly uidValidity: number;
  readonly uidNext: number;
  readonly highestModSeq: number;
  readonly entries: ReadonlyMap<number, Entry & { readonly modSeq: number; readonly sizeOctets: number }>;
}

/** What is known of a folder for good. */
interface Past {
  uidValidity: number;
  uidNext: number;
  modSeq: number;
  /** Every UID that was ever seen, with its message; kept when it is expunged. */
  readonly given: Map<number, string>;
  readonly modSeqs: Map<number, number>;
}

export class Territory {
  readonly address: string;
  readonly folders: readonly string[];
  readonly #deliveries: Deliveries;
  readonly #past = new Map<string, Past>();
  /** Delivered messages that were seen here, wherever they are now. */
  readonly #arrived = new Set<string>();
  #state: MailState;
  #pending: Change | null = null;

  constructor(address: string, folders: readonly string[], deliveries: Deliveries) {
    this.address = address;
    this.folders = folders;
    this.#deliveries = deliveries;
    this.#state = new Map(folders.map((folder) => [folder, new Map()]));
    for (const folder of folders) {
      this.#past.set(folder, { uidValidity: 0, uidNext: 1, modSeq: 0, given: new Map(), modSeqs: new Map() });
    }
  }

  get state(): MailState {
    return this.#state;
  }

  /** The message that a UID was given to, if it was seen. */
  tokenOf(folder: string, uid: number): string | undefined {
    return this.#past.get(folder)!.given.get(uid);
  }

  /** The highest UID that was seen in the folder, 0 when there was none. */
  highestUid(folder: string): number {
    return Math.max(0, ...this.#past.get(folder)!.given.keys());
  }

  hasArrived(token: string): boolean {
    return this.#arrived.has(token);
  }

  /** A command is on its way that may come to this. */
  begin(change: Change): void {
    this.#pending = change;
  }

  /** It was acknowledged, and came to this. */
  acknowledge(change: Change): void {
    this.#pending = null;
    this.#state = change(this.#state);
    this.#remember(this.#state);
  }

  /** The server said so: it may never say less. */
  sawModSeq(folder: string, modSeq: number): void {
    const past = this.#past.get(folder)!;
    past.modSeq = Math.max(past.modSeq, modSeq);
  }

  /** Messages that a session saw arrive in INBOX. @throws Error when one could not. */
  arrive(entries: ReadonlyMap<number, Entry>): void {
    for (const [uid, entry] of entries) {
      const wrong = this.#wrongArrival(uid, entry);
      if (wrong !== null) throw new Error(`${this.address}: ${wrong}`);
      this.#arrived.add(entry.token);
    }
    this.#state = new Map(this.#state).set(
      'INBOX',
      new Map([...(this.#state.get('INBOX') ?? []), ...entries]),
    );
    this.#remember(this.#state);
  }

  /**
   * Holds what is there after a crash against what must be, and goes on from what is there.
   * @throws Error that says what broke.
   */
  check(read: ReadonlyMap<string, ReadFolder>): void {
    const actual: MailState = new Map(
      [...read].map(([folder, { entries }]) => [
        folder,
        new Map([...entries].map(([uid, { token, flags }]) => [uid, { token, flags }])),
      ]),
    );
    for (const [folder, there] of read) this.#checkPast(folder, there);

    const possible = this.#pending === null ? [this.#state] : [this.#state, this.#pending(this.#state)];
    const complaints: string[] = [];
    for (const expected of possible) {
      const rest = subtract(actual, expected, (folder, uid) => !this.#past.get(folder)!.given.has(uid));
      const complaint = typeof rest === 'string' ? rest : this.#wrongRest(rest);
      if (complaint !== null) {
        complaints.push(complaint);
        continue;
      }
      this.#pending = null;
      for (const { token } of (rest as Map<string, Map<number, Entry>>).get('INBOX')?.values() ?? []) {
        this.#arrived.add(token);
      }
      this.#state = actual;
      this.#remember(actual);
      return;
    }
    throw new Error(`${this.address}: ${complaints.join('; or, were the last command carried out: ')}`);
  }

  /** RFC 9051 §2.3.1.1; RFC 7162 §3.1. */
  #checkPast(folder: string, there: ReadFolder): void {
    const past = this.#past.get(folder)!;
    const fail = (what: string): never => {
      throw new Error(`${this.address} ${folder}: ${what}`);
    };
    if (past.uidValidity !== 0 && there.uidValidity !== past.uidValidity) fail('UIDVALIDITY has changed');
    if (there.uidNext < past.uidNext) fail(`UIDNEXT went from ${past.uidNext} to ${there.uidNext}`);
    if (there.uidNext <= this.highestUid(folder)) fail(`UIDNEXT ${there.uidNext} was given before`);
    if (there.highestModSeq < past.modSeq) {
      fail(`HIGHESTMODSEQ went from ${past.modSeq} to ${there.highestModSeq}`);
    }
    for (const [uid, { token, modSeq }] of there.entries) {
      const given = past.given.get(uid);
      if (given !== undefined && given !== token) fail(`UID ${uid} was ${given} and is ${token}`);
      if (modSeq < (past.modSeqs.get(uid) ?? 0)) fail(`the modseq of UID ${uid} went back to ${modSeq}`);
      if (modSeq > there.highestModSeq) fail(`the modseq of UID ${uid} is above HIGHESTMODSEQ`);
      past.modSeqs.set(uid, modSeq);
    }
    past.uidValidity = there.uidValidity;
    past.uidNext = there.uidNext;
    past.modSeq = there.highestModSeq;
  }

  #wrongRest(rest: ReadonlyMap<string, ReadonlyMap<number, Entry>>): string | null {
    for (const [folder, entries] of rest) {
      const tokens = new Set<string>();
      for (const [uid, entry] of entries) {
        const wrong =
          folder === 'INBOX' ? this.#wrongArrival(uid, entry) : 'belongs to nothing that was done';
        if (wrong !== null) return `${folder} has ${describe(uid, entry)}: ${wrong}`;
        if (tokens.has(entry.token)) return `${folder} has ${entry.token} twice`;
        tokens.add(entry.token);
      }
    }
    return null;
  }

  #wrongArrival(uid: number, { token, flags }: Entry): string | null {
    if (!this.#deliveries.mayHave(token, this.address)) return `${token} was never sent here`;
    if (this.#arrived.has(token)) return `${token} has arrived before`;
    if (this.#past.get('INBOX')!.given.has(uid)) return `UID ${uid} was given before`;
    if (flags !== '') return `${token} arrived with flags ${flags}`;
    return null;
  }

  #remember(state: MailState): void {
    for (const [folder, entries] of state) {
      const { given } = this.#past.get(folder)!;
      for (const [uid, { token }] of entries) given.set(uid, token);
    }
  }
}
