import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'mocha';
import { Deliveries } from './deliveries.ts';
import { adding, copying, flagging, moving, removing, unknownUids } from './folder-state.ts';
import { type ReadFolder, Territory } from './territory.ts';

const ADDRESS = 'alice@demo.test';

type Listed = Record<number, readonly [token: string, flags?: string, modSeq?: number]>;

const folder = (entries: Listed, numbers: Partial<ReadFolder> = {}): ReadFolder => ({
  uidValidity: 7,
  uidNext: 100,
  highestModSeq: 50,
  entries: new Map(
    Object.entries(entries).map(([uid, [token, flags = '', modSeq = 9]]) => [
      Number(uid),
      { token, flags, modSeq, sizeOctets: 1 },
    ]),
  ),
  ...numbers,
});

const reading = (inbox: ReadFolder, work: ReadFolder): Map<string, ReadFolder> =>
  new Map([
    ['INBOX', inbox],
    ['work', work],
  ]);

describe('the check of what a crash left', () => {
  let deliveries: Deliveries;
  let territory: Territory;
  beforeEach(() => {
    deliveries = new Deliveries();
    for (const token of ['d1', 'd2', 'd3']) deliveries.begin(token, [ADDRESS], '');
    territory = new Territory(ADDRESS, ['INBOX', 'work'], deliveries);
    territory.acknowledge(
      adding('work', [
        [1, { token: 'a1', flags: '' }],
        [2, { token: 'a2', flags: '\\seen' }],
      ]),
    );
    territory.check(reading(folder({ 5: ['d1'] }), folder({ 1: ['a1'], 2: ['a2', '\\seen'] })));
  });

  it('accepts what was acknowledged, and new deliveries', () => {
    territory.check(reading(folder({ 5: ['d1'], 6: ['d2'] }), folder({ 1: ['a1'], 2: ['a2', '\\seen'] })));
    assert.ok(territory.hasArrived('d2'));
    assert.ok(!territory.hasArrived('d3'));
  });

  it('accepts a command that was under way as done, or as not done', () => {
    const before = reading(folder({ 5: ['d1'] }), folder({ 1: ['a1'], 2: ['a2', '\\seen'] }));
    const moved = reading(folder({}), folder({ 1: ['a1'], 2: ['a2', '\\seen'], 3: ['d1'] }));
    territory.begin(moving('INBOX', [5], 'work', unknownUids(1)));
    territory.check(before);
    territory.begin(moving('INBOX', [5], 'work', unknownUids(1)));
    territory.check(moved);
  });

  const broken: readonly (readonly [claim: string, inbox: ReadFolder, work: ReadFolder, says: RegExp])[] = [
    ['a lost message', folder({ 5: ['d1'] }), folder({ 2: ['a2', '\\seen'] }), /has lost a1/],
    ['a lost flag', folder({ 5: ['d1'] }), folder({ 1: ['a1'], 2: ['a2'] }), /instead of a2/],
    [
      'another message under a UID',
      folder({ 5: ['d2'] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /UID 5 was d1/,
    ],
    [
      'a delivery twice',
      folder({ 5: ['d1'], 6: ['d2'], 7: ['d2'] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /d2 twice/,
    ],
    [
      'a delivery again',
      folder({ 5: ['d1'], 6: ['d1'] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /d1 has arrived before/,
    ],
    [
      'an append twice',
      folder({ 5: ['d1'] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'], 3: ['a1'] }),
      /belongs to nothing/,
    ],
    [
      "somebody else's mail",
      folder({ 5: ['d1'], 6: ['x1'] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /never sent here/,
    ],
    [
      'another UIDVALIDITY',
      folder({ 5: ['d1'] }, { uidValidity: 8 }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /UIDVALIDITY/,
    ],
    [
      'a UIDNEXT that went back',
      folder({ 5: ['d1'] }, { uidNext: 6 }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /UIDNEXT/,
    ],
    [
      'a HIGHESTMODSEQ that went back',
      folder({ 5: ['d1'] }, { highestModSeq: 49 }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /HIGHESTMODSEQ/,
    ],
    [
      "a message's modseq that went back",
      folder({ 5: ['d1', '', 8] }),
      folder({ 1: ['a1'], 2: ['a2', '\\seen'] }),
      /modseq of UID 5/,
    ],
  ];
  for (const [claim, inbox, work, says] of broken) {
    it(`finds ${claim}`, () => assert.throws(() => territory.check(reading(inbox, work)), says));
  }

  it('finds a message that a MOVE left in both folders, or in none', () => {
    for (const [inbox, work] of [
      [folder({ 5: ['d1'] }), folder({ 1: ['a1'], 2: ['a2', '\\seen'], 3: ['d1'] })],
      [folder({}), folder({ 1: ['a1'], 2: ['a2', '\\seen'] })],
    ] as const) {
      territory.begin(moving('INBOX', [5], 'work', unknownUids(1)));
      assert.throws(() => territory.check(reading(inbox, work)));
    }
  });

  it('finds a STORE, a COPY and an EXPUNGE that were done by half', () => {
    const inbox = folder({ 5: ['d1'] });
    territory.begin(flagging('work', [1, 2], () => ['\\Draft']));
    assert.throws(() =>
      territory.check(reading(inbox, folder({ 1: ['a1', '\\draft'], 2: ['a2', '\\seen'] }))),
    );
    territory.begin(copying('work', [1, 2], 'work', unknownUids(2)));
    const half = folder({ 1: ['a1'], 2: ['a2', '\\seen'], 3: ['a1'] });
    assert.throws(() => territory.check(reading(inbox, half)));
    territory.begin(removing('work', [1, 2]));
    assert.throws(() => territory.check(reading(inbox, folder({ 1: ['a1'] }))));
  });

  it('finds an expunged message that is back, and its UID under another', () => {
    territory.acknowledge(removing('work', [2]));
    const inbox = folder({ 5: ['d1'] });
    assert.throws(() => territory.check(reading(inbox, folder({ 1: ['a1'], 2: ['a2', '\\seen'] }))));
    territory.begin(adding('work', [[-1, { token: 'a3', flags: '' }]]));
    assert.throws(() => territory.check(reading(inbox, folder({ 1: ['a1'], 2: ['a3'] }))), /UID 2 was a2/);
  });
});

describe('the check of what was delivered', () => {
  const members = ['a@demo.test', 'b@demo.test', 'c@demo.test'];
  const check = (isAcknowledged: boolean, has: readonly (boolean | null)[]): void => {
    const deliveries = new Deliveries();
    deliveries.begin('g1', members, '');
    if (isAcknowledged) deliveries.acknowledge('g1');
    deliveries.check((address) => has[members.indexOf(address)]!);
  };

  it('accepts all members, or none when nothing was acknowledged', () => {
    check(true, [true, true, true]);
    check(true, [true, null, true]);
    check(false, [true, true, null]);
    check(false, [false, false, false]);
  });

  it('finds an acknowledged message that a member lacks', () => {
    assert.throws(() => check(true, [true, false, true]), /with 2 of 3/);
    assert.throws(() => check(true, [false, null, false]), /with 0 of 2/);
  });

  it('finds a message that only some members have', () => {
    assert.throws(() => check(false, [true, false, false]), /with 1 of 3/);
  });
});
