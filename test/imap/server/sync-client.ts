/**
 * A client that keeps a copy of INBOX and believes nothing but responses: a reference for what RFC 3501 and RFC 7162 let a
 * client conclude, simple enough to be read beside them. It throws where the server says what it may not.
 */
import assert from 'node:assert/strict';
import {
  type NumberRanges,
  parseSequenceSet,
  resolveSequenceSet,
} from '../../../src/imap/wire/sequence-set.ts';
import type { Client, ImapFixture } from '../support.ts';

/** `numbers` goes by message numbers alone; the others resynchronize, the last one without message numbers. */
export type SyncKind = 'numbers' | 'qresync' | 'uidonly';

export class SyncClient {
  readonly kind: SyncKind;
  readonly #fixture: ImapFixture;
  readonly #user: string;
  #client: Client | null = null;
  /** The UID at each message number, null until it was told; of a client without message numbers, all are null. */
  #uids: (number | null)[] = [];
  /** Flags by UID, \Recent left out. Outlives a connection. */
  readonly flags = new Map<number, string>();
  /** Up to this UID no message is missing in `flags`. */
  #completeTo = 0;
  readonly #modSeqs = new Map<number, number>();
  #uidValidity = 0;
  /** The modseq to come back with: what was told last when nothing was missing here. */
  #modSeq = 0;
  #toldModSeq = 0;
  /** Messages that the SELECT under way speaks of; those behind them arrived since. Null when none is under way. */
  #selecting: number | null = null;
  #command = '';
  /** The UIDs that the client knew of, ascending, when it sent the last command of its own. */
  before: readonly number[] = [];

  constructor(kind: SyncKind, fixture: ImapFixture, user: string) {
    this.kind = kind;
    this.#fixture = fixture;
    this.#user = user;
  }

  /** Message numbers' UIDs, as far as this kind of client knows any. */
  get uids(): readonly (number | null)[] {
    return this.#uids;
  }

  /** Signs in and selects INBOX; from the second time on, a client that resynchronizes says what it knows. */
  async connect(): Promise<void> {
    await this.#signIn();
    await this.select();
  }

  select(): Promise<unknown> {
    return this.run(this.#startSelect());
  }

  /** The client loses its connection after it has read so many lines of the answer, and comes back. */
  async drop(command: string, lines: number): Promise<void> {
    this.#begin(command === 'SELECT' ? this.#startSelect() : command);
    for (let read = 0; read < lines; read += 1) {
      const line = await this.#line();
      if (line.startsWith('t ')) break;
      this.#take(line);
    }
    this.#client!.close();
    await this.connect();
  }

  /** @returns the tagged reply, after what it takes to know all that was told of. */
  run(command: string): Promise<string> {
    this.before = [...this.flags.keys()].sort((x, y) => x - y);
    return this.#ask(command);
  }

  #ask(command: string): Promise<string> {
    this.#begin(command);
    return this.#answer();
  }

  async idle(): Promise<void> {
    this.#begin('IDLE');
    for (let line = await this.#line(); !line.startsWith('+ '); line = await this.#line()) this.#take(line);
    this.#client!.send('DONE');
    await this.#answer();
  }

  async #signIn(): Promise<void> {
    this.#client = await this.#fixture.signIn(this.#user);
    if (this.kind !== 'numbers') await this.#client.run('ENABLE QRESYNC');
    if (this.kind === 'uidonly') await this.#client.run('ENABLE UIDONLY');
  }

  #startSelect(): string {
    this.#uids = [];
    this.#modSeqs.clear();
    this.#toldModSeq = 0;
    this.#selecting = 0;
    if (this.kind !== 'numbers' && this.#modSeq > 0) {
      return `SELECT INBOX (QRESYNC (${this.#uidValidity} ${this.#modSeq}))`;
    }
    this.flags.clear();
    this.#completeTo = 0;
    return 'SELECT INBOX';
  }

  #begin(command: string): void {
    this.#command = command;
    this.#client!.send(`t ${command}`);
  }

  async #answer(): Promise<string> {
    for (;;) {
      const line = await this.#line();
      if (!line.startsWith('t ')) {
        this.#take(line);
        continue;
      }
      assert.match(line, /^t (OK|NO|BAD)/, this.#command);
      this.#takeModSeq(line);
      if (this.#command === 'CLOSE') await this.select();
      else await this.#complete();
      return line;
    }
  }

  async #complete(): Promise<void> {
    const command = this.#command;
    if (this.#selecting !== null) this.#conclude(this.#selecting);
    this.#selecting = null;
    const isWhole = this.kind === 'uidonly' || !this.#uids.includes(null);
    if (!isWhole || this.flags.size !== this.#uids.length) {
      // Message numbers ascend with UIDs, so that what is missing stands behind what was complete.
      await this.#ask(`UID FETCH ${this.#completeTo + 1}:* (FLAGS)`);
      return;
    }
    assert.ok(this.flags.size === 0 || command !== '', 'a command is under way');
    this.#completeTo = Math.max(0, ...this.flags.keys());
    this.#modSeq = this.#toldModSeq;
  }

  /** What SELECT did not tell of, the client knew before: by number, these are what is left of its UIDs. */
  #conclude(count: number): void {
    if (this.kind === 'numbers' || this.#modSeq === 0) return;
    if (this.kind === 'uidonly') {
      assert.ok(this.flags.size >= count, `${count} messages, and only ${this.flags.size} known`);
      return;
    }
    const told = new Set(this.#uids);
    const left = [...this.flags.keys()].filter((uid) => !told.has(uid)).sort((x, y) => x - y);
    const places = this.#uids.flatMap((uid, at) => (uid === null && at < count ? [at] : []));
    assert.equal(
      left.length,
      places.length,
      `known ${left}, and numbers ${places.map((at) => at + 1)} without UID`,
    );
    for (const [at, place] of places.entries()) this.#uids[place] = left[at]!;
    const known = this.#uids.filter((uid) => uid !== null);
    assert.deepEqual(
      known,
      known.toSorted((x, y) => x - y),
    );
  }

  /** The next line; one with a literal in it without the literal. */
  async #line(): Promise<string> {
    const line = await this.#client!.line();
    const literal = /\{(\d+)\}$/.exec(line);
    if (literal === null) return line;
    let left = Number(literal[1]);
    while (left > 0) left -= (await this.#client!.line()).length + 2;
    return line.slice(0, literal.index) + (await this.#line());
  }

  #take(line: string): void {
    const [, number = '', kind = '', rest = ''] =
      /^\* (\d+) (EXISTS|EXPUNGE|FETCH|UIDFETCH)(.*)$/.exec(line) ?? [];
    const n = Number(number);
    switch (kind) {
      case 'EXISTS':
        assert.ok(n >= this.#uids.length, `EXISTS takes no messages away: ${this.#command}`);
        while (this.#uids.length < n) this.#uids.push(null);
        if (this.#selecting === 0) this.#selecting = n;
        return;
      case 'EXPUNGE':
        assert.equal(this.kind, 'numbers', 'EXPUNGE is told by number');
        this.#assertMayExpunge();
        assert.ok(n >= 1 && n <= this.#uids.length, 'EXPUNGE of a message that is there');
        this.#forget(this.#remove(n - 1));
        return;
      case 'FETCH':
        assert.notEqual(this.kind, 'uidonly', 'FETCH has a message number');
        assert.ok(n >= 1 && n <= this.#uids.length, 'FETCH of a message that was told');
        return this.#fetched(n, rest);
      case 'UIDFETCH':
        assert.equal(this.kind, 'uidonly');
        return this.#flagsOf(n, rest);
      default:
    }
    const [, earlier, set] = /^\* VANISHED (\(EARLIER\) )?(\S+)$/.exec(line) ?? [];
    if (set !== undefined)
      this.#vanished(resolveSequenceSet(parseSequenceSet(set)!, 0), earlier !== undefined);
    this.#uidValidity = Number(/UIDVALIDITY (\d+)/.exec(line)?.[1] ?? this.#uidValidity);
    this.#takeModSeq(line);
  }

  #takeModSeq(line: string): void {
    const told = /\[HIGHESTMODSEQ (\d+)\]/.exec(line)?.[1];
    if (told === undefined) return;
    assert.ok(Number(told) >= this.#toldModSeq, `HIGHESTMODSEQ ${told} after ${this.#toldModSeq}`);
    this.#toldModSeq = Number(told);
  }

  #fetched(number: number, rest: string): void {
    const uid = Number(/UID (\d+)/.exec(rest)?.[1] ?? this.#uids[number - 1] ?? 0);
    if (uid === 0) return;
    const known = this.#uids[number - 1]!;
    assert.ok(
      known === null || known === uid,
      `number ${number} is UID ${known}, not ${uid}: ${this.#command}`,
    );
    this.#uids[number - 1] = uid;
    this.#flagsOf(uid, rest);
  }

  #flagsOf(uid: number, rest: string): void {
    const flags = /FLAGS \(([^)]*)\)/.exec(rest)?.[1];
    if (flags !== undefined) this.flags.set(uid, withoutRecent(flags));
    const modSeq = Number(/MODSEQ \((\d+)\)/.exec(rest)?.[1] ?? 0);
    if (modSeq === 0) return;
    assert.ok(modSeq >= (this.#modSeqs.get(uid) ?? 0), `the modseq of UID ${uid} falls to ${modSeq}`);
    this.#modSeqs.set(uid, modSeq);
  }

  #vanished(uids: NumberRanges, isEarlier: boolean): void {
    assert.notEqual(this.kind, 'numbers', 'VANISHED was never asked for');
    if (!isEarlier) this.#assertMayExpunge();
    for (let range = 0; range < uids.length; range += 2) {
      for (let uid = uids[range]!; uid <= uids[range + 1]!; uid += 1) {
        if (isEarlier) assert.ok(!this.#uids.includes(uid), `UID ${uid} is counted still`);
        else this.#remove(this.#placeOf(uid));
        this.#forget(uid);
      }
    }
  }

  /** Where a UID stands: itself, or the first unknown message behind the last one with a smaller UID. */
  #placeOf(uid: number): number {
    const at = this.#uids.indexOf(uid);
    if (at >= 0) return at;
    let place = 0;
    this.#uids.forEach((known, index) => {
      if (known !== null && known < uid) place = index + 1;
    });
    assert.equal(this.#uids[place], null, `VANISHED ${uid} of a message that is there`);
    return place;
  }

  #remove(place: number): number | null {
    if (this.#selecting !== null && place < this.#selecting) this.#selecting -= 1;
    return this.#uids.splice(place, 1)[0]!;
  }

  #forget(uid: number | null): void {
    if (uid !== null) this.flags.delete(uid);
  }

  /** RFC 3501 §7.4.1, RFC 7162 §3.2.10. */
  #assertMayExpunge(): void {
    assert.doesNotMatch(
      this.#command,
      /^(FETCH|STORE|SEARCH)/,
      'no expunge while message numbers are in use',
    );
  }
}

export const withoutRecent = (flags: string): string =>
  flags
    .split(' ')
    .filter((flag) => flag !== '' && flag !== '\\Recent')
    .sort()
    .join(' ');
