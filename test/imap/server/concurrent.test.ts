import assert from 'node:assert/strict';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import type { MailboxId } from '../../../src/ids.ts';
import { message } from '../../store/support.ts';
import { type Client, ImapFixture } from '../support.ts';

/** A client that believes nothing but responses: which UID stands at each message number, null until it was told. */
class BelievingClient {
  readonly #client: Client;
  readonly uids: (number | null)[] = [];

  constructor(client: Client) {
    this.#client = client;
  }

  async run(command: string): Promise<string> {
    const isNumbered = /^(FETCH|STORE|SEARCH)/.test(command);
    const lines = await this.#client.run(command);
    for (const line of lines) {
      const [, number, kind, rest] = /^\* (\d+) (EXISTS|EXPUNGE|FETCH)(.*)$/.exec(line) ?? [];
      const n = Number(number);
      if (kind === 'EXISTS') {
        assert.ok(n >= this.uids.length, 'EXISTS never takes messages away');
        while (this.uids.length < n) this.uids.push(null);
      } else if (kind === 'EXPUNGE') {
        assert.ok(!isNumbered, `no EXPUNGE while answering ${command}`);
        assert.ok(n >= 1 && n <= this.uids.length, 'EXPUNGE of a message that is there');
        this.uids.splice(n - 1, 1);
      } else if (kind === 'FETCH') {
        assert.ok(n >= 1 && n <= this.uids.length, 'FETCH of a message that was told');
        const uid = Number(/UID (\d+)/.exec(rest!)?.[1]);
        if (Number.isNaN(uid)) continue;
        assert.ok(this.uids[n - 1] === null || this.uids[n - 1] === uid, 'a number keeps its UID');
        this.uids[n - 1] = uid;
      }
    }
    return lines.at(-1)!;
  }
}

type Action =
  | { readonly kind: 'deliver' }
  | { readonly kind: 'command'; readonly session: number; readonly text: string };

describe('several clients in one folder', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open();
  });
  after(() => fixture.close());

  const set = fc.constantFrom('1', '2', '1:2', '2:4', '*', '1:*', '3:*');
  const command = fc.oneof(
    set.map((numbers) => `STORE ${numbers} +FLAGS (\\Deleted)`),
    set.map((numbers) => `STORE ${numbers} -FLAGS.SILENT (\\Deleted)`),
    set.map((numbers) => `FETCH ${numbers} (UID FLAGS)`),
    set.map((numbers) => `FETCH ${numbers} (UID BODY[TEXT])`),
    set.map((numbers) => `MOVE ${numbers} Trash`),
    set.map((numbers) => `COPY ${numbers} INBOX`),
    fc.constantFrom('NOOP', 'EXPUNGE', 'SEARCH ALL', 'UID FETCH 1:* (FLAGS)', 'UID EXPUNGE 1:5'),
    fc.constant('APPEND INBOX {6+}\r\na: b\r\n'),
  );
  const action: fc.Arbitrary<Action> = fc.oneof(
    { weight: 1, arbitrary: fc.constant({ kind: 'deliver' as const }) },
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('command' as const), session: fc.nat(2), text: command }),
    },
  );

  async function deliver(mailbox: MailboxId): Promise<void> {
    await fixture.store.deliver(await fixture.store.sealed(message('x')), [mailbox]);
  }

  let users = 0;

  it('each have the right message behind every number, whatever the others do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
        users += 1;
        const mailbox = await fixture.addUser(`c${users}`);
        for (let i = 0; i < 4; i += 1) await deliver(mailbox);
        const clients: BelievingClient[] = [];
        for (let i = 0; i < 3; i += 1) {
          const client = new BelievingClient(await fixture.signIn(`c${users}`));
          await client.run('SELECT INBOX');
          clients.push(client);
        }
        // Sessions go on at the same time; each one's commands are in order.
        const queues = clients.map(() => Promise.resolve());
        for (const step of actions) {
          if (step.kind === 'deliver') await deliver(mailbox);
          else {
            queues[step.session] = queues[step.session]!.then(async () => {
              assert.match(await clients[step.session]!.run(step.text), /^t (OK|NO|BAD)/);
            });
          }
        }
        await Promise.all(queues);
        let truth: (number | null)[] | null = null;
        for (const client of clients) {
          await client.run('NOOP');
          await client.run('UID FETCH 1:* (UID)');
          truth ??= client.uids;
          assert.deepEqual(client.uids, truth);
        }
        fixture.disconnectAll();
      }),
      { numRuns: 40 },
    );
    assert.deepEqual(
      fixture.logged.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
