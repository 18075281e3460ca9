import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'mocha';
import { Deliverer, type Delivery } from '../../src/delivery/deliver.ts';
import { MemoryBudget, Spool } from '../../src/delivery/spool.ts';
import { RefusedError, UnavailableError } from '../../src/errors.ts';
import { type MailboxId, newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { MIB } from '../../src/limits.ts';
import type { SealedMessage } from '../../src/seal/sealed-message.ts';
import { spoolDirectory } from '../../src/store/embedded/layout.ts';
import type { MailStore, Placement } from '../../src/store/types.ts';
import { contents, StoreFixture } from '../store/support.ts';

const ACCEPTANCE: Delivery['acceptance'] = {
  trace: {
    returnPath: '',
    helo: 'h',
    remoteAddress: '192.0.2.1',
    host: 'mx.example.com',
    via: { protocol: 'ESMTP', isUtf8: false, isAuthenticated: false, tls: null },
    id: 'i',
    receivedAt: new Date(0),
    forRecipient: null,
  },
  rules: { removesReturnPath: true, removesResultsOf: null, removesBcc: false, completes: null },
};

describe('deliverer', () => {
  let fixture: StoreFixture;
  let directory: string;
  before(async () => {
    fixture = await StoreFixture.open();
    directory = spoolDirectory(fixture.directory);
  });
  after(() => fixture.remove());

  const place = (mailbox: MailboxId, quotaOctets: number | null = null): Placement => ({
    handle: fixture.keyring.deliverHandle(fixture.organization, mailbox, quotaOctets),
    folder: 'inbox',
  });

  const deliver = async (
    recipients: Delivery['recipients'],
    answers: Delivery['answers'],
    octets = Buffer.from('A: 1\r\n\r\nx\r\n'),
    store: Pick<MailStore, 'deliver' | 'hasRoom'> = fixture.store,
  ) => {
    const message = new Spool({ directory, budget: new MemoryBudget() });
    for (let at = 0; at < octets.length; at += 60_000) await message.take(octets.subarray(at, at + 60_000));
    await message.end();
    try {
      const deliverer = new Deliverer({ store, spoolDirectory: directory });
      return await deliverer.deliver({ message, acceptance: ACCEPTANCE, recipients, answers });
    } finally {
      await message.close();
    }
  };

  const count = async (mailbox: MailboxId): Promise<number> =>
    (await contents(await fixture.open(mailbox))).length;

  it('gives a mailbox that is addressed twice one copy, and both recipients their answer', async () => {
    const [one, two] = [await fixture.newMailbox(), await fixture.newMailbox()];
    const { outcomes } = await deliver([[place(one), place(two)], [place(one)]], 'each');
    assert.deepEqual(outcomes, [null, null]);
    assert.deepEqual([await count(one), await count(two)], [1, 1]);
  });

  it('tells the recipient whose mailbox is full from the one that has the message', async () => {
    const [one, full] = [await fixture.newMailbox(), await fixture.newMailbox()];
    const { outcomes, failures } = await deliver([[place(full, 10)], [place(full, 10), place(one)]], 'each');
    assert.equal((outcomes[0] as RefusedError).code, 'over-quota');
    assert.equal(outcomes[1], null);
    assert.deepEqual([...failures.keys()], [full]);
    assert.deepEqual([await count(one), await count(full)], [1, 0]);
  });

  it('delivers to nobody when one answer has to do for all and one has no room', async () => {
    const [one, full] = [await fixture.newMailbox(), await fixture.newMailbox()];
    // Room for the message, but not for the trace block before it.
    await assert.rejects(
      deliver([[place(one)], [place(full, 20)]], 'all'),
      (error) => error instanceof RefusedError && error.code === 'over-quota',
    );
    assert.equal(await count(one), 0);
  });

  it('leaves nothing of a large message that no mailbox took', async () => {
    const full = await fixture.newMailbox();
    const octets = Buffer.concat([Buffer.from('A: 1\r\n\r\n'), Buffer.alloc(3 * MIB, 'x\r\n')]);
    for (const answers of ['all', 'each'] as const) {
      const { outcomes } = await deliver([[place(full, 10)]], answers, octets);
      assert.equal((outcomes[0] as RefusedError).code, 'over-quota');
      await assert.rejects(deliver([[place(full, 10)], [place(full, 10)]], 'all', octets));
      assert.deepEqual(await readdir(directory), []);
    }
  });

  it('shares no ciphertext between organizations, and a failure of one is not the other’s', async () => {
    const other = newOrganizationId();
    await fixture.keyring.createOrganizationKeys(other, undefined, 'test');
    const foreign = newMailboxId();
    await fixture.keyring.createMailboxKeys({ organization: other, mailbox: foreign, principal: 'test' });
    const here = [await fixture.newMailbox(), await fixture.newMailbox()];
    const there: Placement = {
      handle: fixture.keyring.deliverHandle(other, foreign, null),
      folder: 'inbox',
    };
    const calls: { message: SealedMessage; mailboxes: MailboxId[] }[] = [];
    const { outcomes } = await deliver([[place(here[0]!)], [there], [place(here[1]!)]], 'each', undefined, {
      hasRoom: async () => true,
      deliver: async (message, placements) => {
        calls.push({ message, mailboxes: placements.map(({ handle }) => handle.mailbox) });
        if (placements[0] === there) throw new UnavailableError('disk-full', 'No room');
        return fixture.store.deliver(message, placements);
      },
    });
    assert.deepEqual(
      calls.map(({ mailboxes }) => mailboxes),
      [here, [foreign]],
    );
    const [mine, theirs] = calls.map(({ message }) => message);
    assert.notEqual(mine!.id, theirs!.id);
    assert.equal(outcomes[0], null);
    assert.equal((outcomes[1] as UnavailableError).code, 'disk-full');
    assert.throws(() => theirs!.addressTo(there.handle), 'the file key was not forgotten');
  });
});
