/**
 * Random histories of several clients at once, over real connections to a real store. Each client concludes what it may
 * (sync-client.ts); in the end all must have concluded the same, and it must be the server's state.
 *
 * `IMAP_HISTORIES=5000 mocha test/imap/server/histories.test.ts` runs for longer. What fails is printed with its seed.
 */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import { message } from '../../store/support.ts';
import { ImapFixture } from '../support.ts';
import { commandOf, FolderModel, type ModelStep } from './folder-model.ts';
import { SyncClient, type SyncKind, withoutRecent } from './sync-client.ts';

const HISTORIES = Number(process.env['IMAP_HISTORIES'] ?? 60);
/** So few that clients come back from before what the folder remembers. */
const VANISHED_RANGES = 2;

type Action =
  | { readonly kind: 'deliver' }
  | {
      readonly kind: 'command' | 'drop';
      readonly client: number;
      readonly text: string;
      readonly lines: number;
    }
  | { readonly kind: 'idle' | 'select'; readonly client: number };

const CLIENTS: readonly SyncKind[] = ['numbers', 'qresync', 'qresync', 'uidonly'];

const set = fc.constantFrom('1', '2', '3', '1:2', '2:4', '*', '1:*', '3:*', '2,4,6');
const flags = fc.constantFrom('\\Deleted', '\\Seen', '\\Flagged', '$Mark', '\\Deleted \\Answered');
const onMessages = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(set, flags).map(([s, f]) => `STORE ${s} +FLAGS (${f})`) },
  { weight: 1, arbitrary: fc.tuple(set, flags).map(([s, f]) => `STORE ${s} -FLAGS (${f})`) },
  { weight: 1, arbitrary: fc.tuple(set, flags).map(([s, f]) => `STORE ${s} FLAGS (${f})`) },
  { weight: 2, arbitrary: set.map((s) => `FETCH ${s} (UID FLAGS)`) },
  { weight: 1, arbitrary: set.map((s) => `FETCH ${s} (UID BODY[TEXT])`) },
  { weight: 3, arbitrary: set.map((s) => `MOVE ${s} Trash`) },
  { weight: 1, arbitrary: set.map((s) => `COPY ${s} INBOX`) },
  { weight: 1, arbitrary: fc.constant('SEARCH ALL') },
);
const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.boolean(), onMessages).map(([isUid, text]) => `${isUid ? 'UID ' : ''}${text}`),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'NOOP',
      'EXPUNGE',
      'EXPUNGE',
      'CLOSE',
      'UID EXPUNGE 1:5',
      'UID FETCH 1:* (FLAGS) (CHANGEDSINCE 3 VANISHED)',
      'UID FETCH 1:* (UID) (CHANGEDSINCE 9 VANISHED)',
      'UID STORE 1:* (UNCHANGEDSINCE 9) +FLAGS (\\Draft)',
      'UID SEARCH RETURN (SAVE) UNSEEN',
      'UID STORE $ +FLAGS (\\Seen)',
      'APPEND INBOX (\\Seen) {6+}\r\na: b\r\n',
    ),
  },
);
const client = fc.nat(CLIENTS.length - 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'deliver' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      client,
      text: command,
      lines: fc.constant(0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('drop' as const),
      client,
      text: fc.oneof(command, fc.constant('SELECT')),
      lines: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('idle' as const, 'select' as const), client }) },
);

const stepSet = fc.constantFrom('1', '2', '1:2', '2:4', '*', '1:*', '3:*', '2,4,6');
const step: fc.Arbitrary<ModelStep> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('store' as const),
      set: stepSet,
      sign: fc.constantFrom('+' as const, '-' as const, '' as const),
      flag: fc.constantFrom('\\Deleted', '\\Flagged', '$Mark'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('move' as const, 'copy' as const, 'expunge' as const),
      set: stepSet,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('append' as const, 'expunge-all' as const) }) },
);
/** Who acts, whether by UID, and whether it then loses its connection. */
const turn = fc.record({ client, step, isUid: fc.boolean(), isLost: fc.nat(5).map((n) => n === 0) });

describe('random histories of several clients in one folder', function () {
  this.timeout(HISTORIES * 1_000);
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open();
    await fixture.store.reopen({ vanishedRanges: VANISHED_RANGES });
  });
  after(() => fixture.close());

  let users = 0;

  /** Each message's UID and flags, by message number, as a client that comes new is told. */
  async function truth(user: string): Promise<[number, string][]> {
    const fresh = await fixture.signIn(user);
    await fresh.run('EXAMINE INBOX');
    const lines = await fresh.run('UID FETCH 1:* (FLAGS)');
    return lines.slice(0, -1).map((line) => {
      const [, uid, told] = /UID (\d+) FLAGS \(([^)]*)\)/.exec(line)!;
      return [Number(uid), withoutRecent(told!)];
    });
  }

  async function play(client: SyncClient, step: Exclude<Action, { kind: 'deliver' }>): Promise<void> {
    switch (step.kind) {
      case 'command':
        await client.run(step.text);
        break;
      case 'drop':
        // An APPEND that is cut off may or may not have happened, as any other command.
        await client.drop(step.text, step.lines);
        break;
      case 'idle':
        await client.idle();
        break;
      case 'select':
        await client.select();
        break;
    }
  }

  it('one command after the other, do to each what the RFCs say they do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { minLength: 5, maxLength: 40 }), async (turns) => {
        users += 1;
        const user = `m${users}`;
        const mailbox = await fixture.addUser(user);
        const model = new FolderModel();
        for (let i = 0; i < 5; i += 1) {
          await fixture.store.deliver(await fixture.store.sealed(message('x')), [mailbox]);
          model.add();
        }
        const clients = CLIENTS.map((kind) => new SyncClient(kind, fixture, user));
        for (const one of clients) await one.connect();
        for (const { client, step, isUid, isLost } of turns) {
          const one = clients[client]!;
          const byUid = isUid || one.kind === 'uidonly';
          const isStale = [...one.flags.keys()].some((uid) => !model.messages.has(uid));
          const command = commandOf(step, byUid);
          // RFC 2180 §4.4.1: by numbers that others expunged, nothing is copied or moved.
          const reply = await one.run(command);
          const isRefused = isStale && / NO \[EXPUNGEISSUED\]/.test(reply) && step.kind !== 'store';
          if (!isRefused) model.apply(step, one.before, byUid);
          if (isLost) await one.drop('NOOP', 0);
          else await one.run('NOOP');
          assert.deepEqual(
            [...one.flags].sort(([x], [y]) => x - y),
            model.listed(),
            `${one.kind}: ${command}`,
          );
        }
        assert.deepEqual(await truth(user), model.listed());
        fixture.disconnectAll();
      }),
      { numRuns: HISTORIES },
    );
  });

  it('leave each with exactly the state of the server, connections lost and found again included', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 8, maxLength: 60 }), async (actions) => {
        users += 1;
        const user = `h${users}`;
        const mailbox = await fixture.addUser(user);
        const deliver = async (): Promise<void> => {
          await fixture.store.deliver(await fixture.store.sealed(message('x')), [mailbox]);
        };
        for (let i = 0; i < 5; i += 1) await deliver();
        const clients = CLIENTS.map((kind) => new SyncClient(kind, fixture, user));
        await Promise.all(clients.map((one) => one.connect()));
        // Clients go on at the same time; each one's commands are in order.
        const queues = clients.map(() => Promise.resolve());
        for (const step of actions) {
          if (step.kind === 'deliver') await deliver();
          else queues[step.client] = queues[step.client]!.then(() => play(clients[step.client]!, step));
        }
        await Promise.all(queues);

        // A command that was cut off runs to its end on the server.
        while (fixture.server.connectionCount > clients.length) await setImmediate();
        const told = await truth(user);
        for (const one of clients) {
          await one.run('NOOP');
          assert.deepEqual(
            [...one.flags].sort(([x], [y]) => x - y),
            told,
            one.kind,
          );
          if (one.kind !== 'uidonly')
            assert.deepEqual(
              one.uids,
              told.map(([uid]) => uid),
            );
          // And once more, from nothing but what it knows.
          await one.drop('NOOP', 0);
          assert.deepEqual(
            [...one.flags].sort(([x], [y]) => x - y),
            told,
            `${one.kind}, back again`,
          );
        }
        fixture.disconnectAll();
      }),
      { numRuns: HISTORIES },
    );
    assert.deepEqual(
      fixture.logged.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
