import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ProtocolError } from '../../../src/errors.ts';
import type { ModSeq, Uid } from '../../../src/ids.ts';
import { ClientView } from '../../../src/imap/session/view.ts';
import { parseSequenceSet } from '../../../src/imap/wire/sequence-set.ts';

const MODSEQ = 1 as ModSeq;
const uids = (...values: number[]): Uid[] => values as Uid[];
const set = (text: string) => parseSequenceSet(text)!;

describe("a client's view of a folder", () => {
  it('keeps the number of an expunged message until the client may be told', () => {
    const view = new ClientView(Uint32Array.of(10, 20, 30), 100, null);
    view.apply({ kind: 'expunged', uids: uids(10), modSeq: MODSEQ, origin: null });
    assert.equal(view.sequenceOf(20), 2);
    assert.deepEqual(view.takeUpdates(false).expunged, []);
    assert.equal(view.sequenceOf(20), 2);
    const { expunged, vanished } = view.takeUpdates(true);
    assert.deepEqual([expunged, vanished], [[1], [10]]);
    assert.equal(view.sequenceOf(20), 1);
    assert.equal(view.sequenceOf(10), 0);
  });

  it('never tells a client of a message that came and went between two replies', () => {
    const view = new ClientView(Uint32Array.of(1), 1, null);
    view.apply({ kind: 'added', uids: uids(2, 3), origin: null });
    view.apply({ kind: 'expunged', uids: uids(2), modSeq: MODSEQ, origin: null });
    assert.deepEqual(view.takeUpdates(true), { expunged: [], vanished: [], exists: 2, changed: [] });
    assert.equal(view.uidAt(2), 3);
  });

  it("tells flags that others changed once, and not the session's own", () => {
    const me = {};
    const view = new ClientView(Uint32Array.of(1, 2), 100, me);
    view.apply({ kind: 'flags', uids: uids(1), modSeq: MODSEQ, origin: me });
    assert.equal(view.hasUpdates, false);
    view.apply({ kind: 'flags', uids: uids(2, 1), modSeq: MODSEQ, origin: {} });
    view.apply({ kind: 'flags', uids: uids(2), modSeq: MODSEQ, origin: {} });
    view.flagsTold(1);
    assert.deepEqual(view.takeUpdates(false).changed, [2]);
    assert.deepEqual(view.takeUpdates(false).changed, []);
  });

  it('resolves sets against what the client knows, not against what has arrived', () => {
    const view = new ClientView(Uint32Array.of(3, 5, 9), 100, null);
    view.apply({ kind: 'added', uids: uids(12), origin: null });
    assert.deepEqual([...view.resolve(set('2:*'), false)], [5, 9]);
    assert.deepEqual([...view.resolve(set('*'), true)], [9]);
    assert.deepEqual([...view.resolve(set('100:*'), true)], [9]);
    assert.deepEqual([...view.resolve(set('1:4,9,4:6'), true)], [3, 5, 9]);
    assert.throws(() => view.resolve(set('4'), false), ProtocolError);
    assert.throws(() => new ClientView(new Uint32Array(), 1, null).resolve(set('1:*'), false), ProtocolError);
    assert.deepEqual([...new ClientView(new Uint32Array(), 1, null).resolve(set('1:*'), true)], []);
  });

  it('counts as recent what is at or above the mark', () => {
    const view = new ClientView(Uint32Array.of(3, 5, 9), 5, null);
    assert.equal(view.recentCount, 2);
    view.apply({ kind: 'added', uids: uids(12), origin: null });
    assert.equal(view.recentCount, 2);
    view.takeUpdates(true);
    assert.equal(view.recentCount, 3);
  });

  it('expunges every second of 100,000 messages in one pass', () => {
    const all = Uint32Array.from({ length: 100_000 }, (_, i) => i + 1);
    const view = new ClientView(all, 1, null);
    const odd = Array.from({ length: 50_000 }, (_, i) => (2 * i + 1) as Uid);
    view.apply({ kind: 'expunged', uids: odd, modSeq: MODSEQ, origin: null });
    const { expunged } = view.takeUpdates(true);
    assert.equal(expunged.length, 50_000);
    assert.deepEqual(expunged.slice(0, 2), [99_999, 99_997]);
    assert.equal(view.uidAt(1), 2);
    assert.equal(view.count, 50_000);
  });

  it('agrees with every client through any history of several sessions', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), count: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant('expunge' as const), picks: fc.array(fc.nat(), { maxLength: 5 }) }),
      fc.record({ kind: fc.constant('flags' as const), picks: fc.array(fc.nat(), { maxLength: 5 }) }),
      fc.record({ kind: fc.constant('reply' as const), session: fc.nat(2), mayExpunge: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.nat(6), fc.array(step, { maxLength: 60 }), (initial, steps) => {
        const folder = new ModelFolder(initial, 3);
        for (const action of steps) {
          if (action.kind === 'add') folder.add(action.count);
          else if (action.kind === 'expunge') folder.expunge(action.picks);
          else if (action.kind === 'flags') folder.changeFlags(action.picks);
          else folder.reply(action.session, action.mayExpunge);
          folder.check();
        }
        for (let session = 0; session < 3; session += 1) {
          folder.reply(session, true);
          assert.deepEqual(folder.clients[session], folder.uids);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** A folder, and clients that know nothing but the responses they were sent. */
class ModelFolder {
  uids: number[];
  readonly views: ClientView[];
  /** What each client holds at each message number. */
  readonly clients: number[][];
  /** For each session, messages whose change it has not been told. */
  readonly #untold: Set<number>[];
  #nextUid: number;

  constructor(initial: number, sessions: number) {
    this.uids = Array.from({ length: initial }, (_, i) => i + 1);
    this.#nextUid = initial + 1;
    this.views = Array.from(
      { length: sessions },
      (_, i) => new ClientView(Uint32Array.from(this.uids), 1, i),
    );
    this.clients = this.views.map(() => [...this.uids]);
    this.#untold = this.views.map(() => new Set());
  }

  add(count: number): void {
    const added = Array.from({ length: count }, (_, i) => this.#nextUid + i) as Uid[];
    this.#nextUid += count;
    this.uids.push(...added);
    for (const view of this.views) view.apply({ kind: 'added', uids: added, origin: null });
  }

  expunge(picks: readonly number[]): void {
    const gone = this.#pick(picks);
    this.uids = this.uids.filter((uid) => !gone.includes(uid as Uid));
    for (const view of this.views) {
      view.apply({ kind: 'expunged', uids: gone, modSeq: MODSEQ, origin: null });
    }
  }

  changeFlags(picks: readonly number[]): void {
    const changed = this.#pick(picks);
    this.views.forEach((view, session) => {
      view.apply({ kind: 'flags', uids: changed, modSeq: MODSEQ, origin: null });
      for (const uid of changed) if (this.clients[session]!.includes(uid)) this.#untold[session]!.add(uid);
    });
  }

  /** The client takes the responses one by one, as RFC 9051 §7.5.1 and §7.4.1 say. */
  reply(session: number, mayExpunge: boolean): void {
    const client = this.clients[session]!;
    const { expunged, exists, changed } = this.views[session]!.takeUpdates(mayExpunge);
    if (!mayExpunge) assert.deepEqual(expunged, []);
    for (const number of expunged) {
      const [uid] = client.splice(number - 1, 1);
      assert.ok(uid !== undefined && !this.uids.includes(uid));
    }
    if (exists !== null) {
      assert.ok(exists > client.length);
      const known = new Set(client);
      const last = client.at(-1) ?? 0;
      client.push(
        ...this.uids.filter((uid) => !known.has(uid) && uid > last).slice(0, exists - client.length),
      );
      assert.equal(client.length, exists);
    }
    const untold = [...this.#untold[session]!].filter((uid) => this.uids.includes(uid)).sort((a, b) => a - b);
    assert.deepEqual(changed, untold);
    this.#untold[session]!.clear();
  }

  check(): void {
    this.views.forEach((view, session) => {
      const client = this.clients[session]!;
      assert.equal(view.count, client.length);
      client.forEach((uid, at) => {
        assert.equal(view.uidAt(at + 1), uid);
        assert.equal(view.sequenceOf(uid), at + 1);
        assert.equal(view.isGone(uid), !this.uids.includes(uid));
      });
      assert.deepEqual([...view.all()], client);
    });
  }

  #pick(picks: readonly number[]): Uid[] {
    if (this.uids.length === 0) return [];
    const chosen = new Set(picks.map((pick) => this.uids[pick % this.uids.length]!));
    return [...chosen].sort((a, b) => a - b) as Uid[];
  }
}
