import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, beforeEach, describe, it } from 'mocha';
import { type MailboxId, type MessageId, newMessageId, type Uid } from '../../src/ids.ts';
import { MIB } from '../../src/limits.ts';
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.ts';
import { fsck, type StoreProblemKind } from '../../src/store/embedded/fsck.ts';
import { bodyFile, indexFile, mailboxDirectory, snapshotFile } from '../../src/store/embedded/layout.ts';
import { packFile } from '../../src/store/embedded/pack.ts';
import { Flag, type Mailbox, type QueuedMessage } from '../../src/store/types.ts';
import { observe } from './model.ts';
import { contents, message, StoreFixture } from './support.ts';

/** One mailbox that has some of everything, closed; every test damages a copy of its data directory. */
describe('fsck', () => {
  let fixture: StoreFixture;
  let id: MailboxId;
  let largeId: string;
  let whole: string;
  let data: string;
  let copies = 0;
  let observed: Awaited<ReturnType<typeof observe>>;
  const texts = ['one', 'two', 'three'].map((subject) => message(subject));
  const large = randomBytes(2 * MIB);

  before(async () => {
    fixture = await StoreFixture.open({ snapshotIntervalMs: 0 });
    id = await fixture.newMailbox();
    const mailbox = await fixture.open(id);
    const inbox = (await mailbox.findFolder(['INBOX'])).id;
    for (const text of texts) await fixture.deliver(await fixture.sealed(text), [id]);
    const sealed = await fixture.sealed(large);
    largeId = sealed.id;
    await fixture.deliver(sealed, [id]);
    const work = await mailbox.createFolder(['Work', 'Projekt Ä']);
    await mailbox.storeFlags(inbox, [1, 4] as Uid[], {
      operation: 'add',
      flags: { system: Flag.Seen | Flag.Flagged, keywords: ['$Forwarded', 'später'] },
    });
    await mailbox.copy(inbox, [1, 2] as Uid[], work.id);
    await mailbox.move(inbox, [3] as Uid[], work.id);
    await mailbox.setSubscribed(['Nowhere'], true);
    observed = await observe(mailbox);
    await fixture.store.close();
    whole = fixture.directory;
  });

  after(() => fixture.remove());

  beforeEach(() => {
    data = join(whole, `copy-${copies++}`);
    for (const part of ['journal', 'spool', 'mailboxes'])
      cpSync(join(whole, part), join(data, part), { recursive: true });
  });

  const run = (keys: boolean, rebuild = false) =>
    fsck(data, { owner: keys ? (mailbox) => fixture.owner(mailbox) : null, rebuild });

  async function assertFinds(kinds: readonly StoreProblemKind[], keys = false): Promise<void> {
    const { problems } = await run(keys);
    assert.deepEqual([...new Set(problems.map(({ kind }) => kind))].sort(), [...kinds].sort());
    assert.ok(problems.every(({ mailbox }) => mailbox === id));
  }

  function onIndex(sql: string): void {
    const database = new DatabaseSync(indexFile(data, id));
    database.exec(sql);
    database.close();
  }

  const largeBody = (): string => bodyFile(data, id, largeId as never);

  async function opened<T>(look: (mailbox: Mailbox, store: EmbeddedStore) => Promise<T>): Promise<T> {
    const store = await EmbeddedStore.open({
      dataDirectory: data,
      fatal: (error) => assert.fail(error as Error),
      segmentOctets: 4 * MIB,
      diskReserveOctets: 0,
    });
    try {
      return await look(await store.openMailbox(fixture.owner(id)), store);
    } finally {
      await store.close();
    }
  }

  describe('finds', () => {
    it('nothing in a store that was closed, and opens every message', async () => {
      const { problems, checked } = await run(true);
      assert.deepEqual(problems, []);
      assert.deepEqual(checked, { mailboxes: 1, messages: 4, opened: 4 });
    });

    it('a missing index', async () => {
      rmSync(indexFile(data, id));
      await assertFinds(['index-missing']);
    });

    it('a damaged index', async () => {
      writeFileSync(indexFile(data, id), randomBytes(50_000));
      await assertFinds(['index-damaged']);
    });

    it('an entry that names no message', async () => {
      onIndex('DELETE FROM message WHERE message_key = 1');
      const { problems } = await run(false);
      assert.ok(problems.some(({ kind }) => kind === 'index-damaged'));
    });

    for (const column of ['messages', 'unseen', 'deleted', 'octets']) {
      it(`a folder's wrong count of ${column}`, async () => {
        onIndex(`UPDATE folder SET ${column} = ${column} + 1 WHERE folder_id = 1`);
        await assertFinds(['counter']);
      });
    }

    it('a UIDNEXT that would be given out again', async () => {
      onIndex('UPDATE folder SET uid_next = 2 WHERE folder_id = 1');
      await assertFinds(['counter']);
    });

    it('a wrong count of references', async () => {
      onIndex('UPDATE message SET refs = refs + 1 WHERE message_key = 2');
      await assertFinds(['counter']);
    });

    it('a body that is missing, cut, or nobody’s', async () => {
      truncateSync(largeBody(), 1000);
      await assertFinds(['body-length']);
      rmSync(largeBody());
      await assertFinds(['body-missing']);
      const stray = bodyFile(data, id, newMessageId());
      mkdirSync(dirname(stray), { recursive: true });
      writeFileSync(stray, 'x');
      await assertFinds(['body-missing', 'body-orphaned']);
    });

    it('a record that its pack does not have', async () => {
      truncateSync(packFile(data, id, 1), statSync(packFile(data, id, 1)).size - 1);
      await assertFinds(['record-missing']);
    });

    it('a body that is not what was sealed, with the keys', async () => {
      const octets = readFileSync(largeBody());
      octets[MIB]! ^= 1;
      writeFileSync(largeBody(), octets);
      await assertFinds([]);
      await assertFinds(['does-not-open'], true);
    });

    it('a digest or a header that is another message’s, with the keys', async () => {
      onIndex(
        'UPDATE message_parts SET digest = (SELECT digest FROM message_parts WHERE message_key = 2) WHERE message_key = 1',
      );
      await assertFinds(['does-not-open'], true);
      onIndex(
        'UPDATE message_parts SET header = (SELECT header FROM message_parts WHERE message_key = 2) WHERE message_key = 1',
      );
      await assertFinds(['does-not-open'], true);
    });

    it('a name that is another folder’s, with the keys', async () => {
      onIndex(
        'UPDATE folder SET sealed_name = (SELECT sealed_name FROM folder WHERE folder_id = 2) WHERE folder_id = 3',
      );
      await assertFinds(['does-not-open'], true);
    });
  });

  describe('rebuilds', () => {
    it('nothing that is sound', async () => {
      assert.deepEqual((await run(true, true)).rebuilt, []);
    });

    it('from packs and bodies alone: all messages in Recovered, octet for octet', async () => {
      rmSync(indexFile(data, id));
      rmSync(snapshotFile(data, id));
      const { problems, rebuilt } = await run(true, true);
      assert.deepEqual(problems, []);
      assert.deepEqual(rebuilt, [{ mailbox: id, placed: 0, recovered: 4, unopenable: 0 }]);
      await opened(async (mailbox, store) => {
        const found = (await contents(mailbox, ['Recovered'])).map(([, octets]) => octets);
        assert.deepEqual(found.sort(), [...texts, large.toString('latin1')].sort());
        assert.deepEqual(await contents(mailbox), []);
        const handle = fixture.keyring.deliverHandle(fixture.organization, id, null);
        const sealed = await fixture.sealed(texts[0]!);
        const [outcome] = await store.deliver(sealed, [{ handle, folder: 'inbox' }]);
        assert.equal(outcome!.error, undefined);
        assert.deepEqual(await contents(mailbox), [[1, texts[0]]]);
      });
      assert.deepEqual((await run(true)).problems, []);
    });

    it('with a snapshot: folders, flags, keywords, subscriptions and UIDs as they were, under new UIDVALIDITYs', async () => {
      writeFileSync(indexFile(data, id), randomBytes(50_000));
      const { problems, rebuilt } = await run(true, true);
      assert.deepEqual(problems, []);
      assert.deepEqual(rebuilt, [{ mailbox: id, placed: 6, recovered: 0, unopenable: 0 }]);
      await opened(async (mailbox) => {
        const validities = (view: object): string[] =>
          (JSON.stringify(view).match(/"uidValidity":\d+/g) ?? []).map((text) => text);
        const now = await observe(mailbox);
        const old = new Set(validities(observed));
        assert.ok(validities(now).every((one) => !old.has(one)));
        const comparable = (view: object): object =>
          JSON.parse(JSON.stringify(view).replace(/"uid(Validity|Next)":\d+,/g, ''));
        assert.deepEqual(comparable(now), comparable(observed));
      });
    });

    it('into Recovered 2 what the snapshot does not place, beside a folder that has that name', async () => {
      const late = message('after the snapshot');
      const deliver = async (store: EmbeddedStore, text: string): Promise<void> => {
        const handle = fixture.keyring.deliverHandle(fixture.organization, id, null);
        await store.deliver(await fixture.sealed(text), [{ handle, folder: 'inbox' }]);
      };
      rmSync(snapshotFile(data, id));
      await opened(async (mailbox, store) => {
        await mailbox.createFolder(['Recovered']);
        await deliver(store, message('before it'));
      });
      await opened((_, store) => deliver(store, late));
      rmSync(indexFile(data, id));
      const { rebuilt } = await run(true, true);
      assert.deepEqual([rebuilt[0]!.placed, rebuilt[0]!.recovered], [7, 1]);
      await opened(async (mailbox) =>
        assert.deepEqual(await contents(mailbox, ['Recovered 2']), [[1, late]]),
      );
    });

    it('only with the mailbox’s key: without, it says what is wrong and leaves all as it is', async () => {
      rmSync(indexFile(data, id));
      const { problems, rebuilt } = await run(false, true);
      assert.deepEqual([problems.map(({ kind }) => kind), rebuilt], [['index-missing'], []]);
      assert.throws(() => statSync(indexFile(data, id)), /ENOENT/);
    });

    it('a queue with the envelopes and last notes of its messages, none of which goes out unasked', async () => {
      const envelope = Buffer.from('to somebody elsewhere');
      let queueId: MailboxId | null = null;
      const open = async <T>(work: (store: EmbeddedStore) => Promise<T>): Promise<T> =>
        opened((_, store) => work(store));
      const sent: MessageId[] = [];
      await open(async (store) => {
        fixture.store = store;
        const owner = await fixture.newQueue();
        queueId = owner.mailbox;
        const handle = fixture.keyring.deliverHandle(fixture.organization, owner.mailbox, null);
        for (const text of ['one', 'two', 'three']) {
          const sealed = await fixture.sealed(message(text));
          await store.deliver(sealed, [{ handle, folder: 'inbox', envelope }]);
          sent.push(sealed.id);
        }
        const queue = await store.openQueue(owner, () => undefined);
        for await (const _ of queue.messages());
        await queue.setNote(sent[1]!, Buffer.from('tried'));
      });
      rmSync(indexFile(data, queueId!));
      const owner = fixture.queueOwner(queueId!);
      const { problems, rebuilt } = await fsck(data, {
        owner: () => owner,
        mailbox: queueId!,
        rebuild: true,
      });
      assert.deepEqual(problems, []);
      assert.deepEqual([rebuilt[0]!.placed, rebuilt[0]!.recovered], [0, 3]);
      await open(async (store) => {
        const queue = await store.openQueue(owner, () => undefined);
        const listed = async () => {
          const messages: QueuedMessage[] = [];
          for await (const one of queue.messages()) messages.push(one);
          return messages;
        };
        const found = await listed();
        assert.deepEqual(found.map((one) => one.id).sort(), [...sent].sort());
        assert.ok(found.every((one) => !one.isReleased));
        for (const one of sent) assert.deepEqual((await queue.open(one)).envelope, envelope);
        assert.equal((await queue.open(sent[1]!)).note!.toString(), 'tried');
        await queue.release(sent[1]!);
        const again = await listed();
        assert.deepEqual(
          again.filter((one) => one.isReleased).map((one) => one.id),
          [sent[1]],
        );
        assert.equal((await queue.open(sent[1]!)).note!.toString(), 'tried');
      });
    });

    it('counts bodies that no record opens, and leaves them', async () => {
      const stray = join(mailboxDirectory(data, id), 'cur', 'ab', newMessageId());
      mkdirSync(dirname(stray), { recursive: true });
      writeFileSync(stray, 'x');
      rmSync(indexFile(data, id));
      const { problems, rebuilt } = await run(true, true);
      assert.equal(rebuilt[0]!.unopenable, 1);
      assert.deepEqual(
        problems.map(({ kind }) => kind),
        ['body-orphaned'],
      );
    });
  });
});
