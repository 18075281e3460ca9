import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError } from '../../src/errors.ts';
import { type FolderId, type MailboxId, newMailboxId, newMessageId, type Uid } from '../../src/ids.ts';
import { KIB, MIB, PACK_OCTETS } from '../../src/limits.ts';
import { bodyFile, mailboxDirectory } from '../../src/store/embedded/layout.ts';
import { listPacks, type PackRecord, packFile, readPack } from '../../src/store/embedded/pack.ts';
import { PackWriter } from '../../src/store/embedded/pack-writer.ts';
import { Flag, type Mailbox } from '../../src/store/types.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { contents, message, octetsOf, StoreFixture } from './support.ts';

describe('packs of a store', () => {
  let fixture: StoreFixture;
  let id: MailboxId;
  let mailbox: Mailbox;
  let inbox: FolderId;

  beforeEach(async () => {
    fixture = await StoreFixture.open();
    id = await fixture.newMailbox();
    mailbox = await fixture.open(id);
    inbox = (await mailbox.findFolder(['INBOX'])).id;
  });

  afterEach(async () => {
    assert.deepEqual(fixture.fatal, []);
    await fixture.remove();
  });

  const expunge = async (of: Mailbox, uids: readonly Uid[]): Promise<void> => {
    const { id: folder } = await of.findFolder(['INBOX']);
    await of.storeFlags(folder, uids, { operation: 'add', flags: { system: Flag.Deleted, keywords: [] } });
    await of.expunge(folder, uids);
  };

  /** More than one pack of messages of 60 KiB. @returns their texts by UID. */
  async function fill(): Promise<Map<Uid, string>> {
    const texts = new Map<Uid, string>();
    const count = Math.ceil((PACK_OCTETS + MIB) / (60 * KIB));
    for (let from = 1; from <= count; from += 50) {
      const uids = Array.from({ length: 50 }, (_, i) => (from + i) as Uid);
      const items = await Promise.all(
        uids.map(async (uid) => {
          const text = message(`m${uid}`, `${uid} `.repeat(60 * KIB).slice(0, 60 * KIB));
          texts.set(uid, text);
          return {
            message: await fixture.sealed(text),
            flags: { system: 0, keywords: [] },
            internalDate: new Date(0),
          };
        }),
      );
      await mailbox.append(inbox, items);
    }
    await fixture.store.checkpoint();
    return texts;
  }

  it('give room back once they are mostly dead, and every survivor stays readable while it is read', async () => {
    const texts = await fill();
    assert.deepEqual(listPacks(fixture.directory, id), [1, 2]);
    const inFirst = [...texts.keys()].filter((uid) => uid <= 250);
    const survivors = inFirst.filter((uid) => uid % 10 === 0);
    const rest = [...texts.keys()].filter((uid) => uid > 250);
    await expunge(
      mailbox,
      inFirst.filter((uid) => uid % 10 !== 0),
    );
    // Read ahead under the old places, opened after the compaction; others looked up before and opened after.
    const reading = mailbox.messages(inbox, [...survivors, ...rest], 'octets')[Symbol.asyncIterator]();
    const looked: { uid: Uid; octets: () => Promise<string> }[] = [];
    for await (const stored of mailbox.messages(inbox, survivors.slice(0, 5), 'digest')) {
      looked.push({ uid: stored.uid, octets: () => octetsOf(stored) });
    }
    const first = await reading.next();
    assert.equal(await octetsOf(first.value), texts.get(first.value.uid));
    await fixture.store.checkpoint();
    assert.deepEqual(listPacks(fixture.directory, id), [2]);
    for (const { uid, octets } of looked) assert.equal(await octets(), texts.get(uid));
    let read = 1;
    for (let next = await reading.next(); next.done !== true; next = await reading.next()) {
      assert.equal(await octetsOf(next.value), texts.get(next.value.uid));
      read++;
    }
    assert.equal(read, survivors.length + rest.length);
    await fixture.reopen();
    mailbox = await fixture.open(id);
    const found = await contents(mailbox);
    assert.deepEqual(
      found.map(([uid]) => uid),
      [...survivors, ...rest],
    );
    for (const [uid, octets] of found) assert.equal(octets, texts.get(uid));
  });

  it('without a live message are removed, and the process holds none of them open', async () => {
    const texts = await fill();
    await contents(mailbox);
    await expunge(mailbox, [...texts.keys()]);
    await fixture.store.checkpoint();
    assert.deepEqual(listPacks(fixture.directory, id), [2]);
    const held = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).endsWith('.pack (deleted)');
        } catch {
          return false; // the descriptor that listed them
        }
      }).length;
    // Closed in the background.
    while (held() > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('share the body of a message to several mailboxes: one file with as many links, until the last unlinks it', async () => {
    const others = [await fixture.newMailbox(), await fixture.newMailbox()];
    const all = [id, ...others];
    const text = message('shared', 'x'.repeat(5000));
    const sealed = await fixture.sealed(text);
    await fixture.deliver(sealed, all);
    await fixture.store.checkpoint();
    const paths = all.map((one) => bodyFile(fixture.directory, one, sealed.id));
    assert.equal(new Set(paths.map((path) => statSync(path).ino)).size, 1);
    for (const [index, one] of all.entries()) {
      assert.equal(statSync(paths[index]!).nlink, all.length - index);
      const opened = await fixture.open(one);
      assert.deepEqual(await contents(opened), [[1, text]]);
      await expunge(opened, [1 as Uid]);
      await fixture.store.checkpoint();
      assert.equal(existsSync(paths[index]!), false);
    }
  });

  it('link the body once for a mailbox, however many folders it is copied to', async () => {
    const text = randomBytes(2 * MIB).toString('latin1');
    const sealed = await fixture.sealed(Buffer.from(text, 'latin1'));
    await fixture.deliver(sealed, [id]);
    const trash = (await mailbox.findFolder(['Trash'])).id;
    await mailbox.copy(inbox, [1 as Uid], trash);
    await fixture.store.checkpoint();
    const path = bodyFile(fixture.directory, id, sealed.id);
    assert.equal(statSync(path).nlink, 1);
    await expunge(mailbox, [1 as Uid]);
    await fixture.store.checkpoint();
    assert.deepEqual(await contents(mailbox, ['Trash']), [[1, text]]);
    await mailbox.removeFolder(['Trash']);
    await fixture.store.checkpoint();
    assert.equal(existsSync(path), false);
  });

  it('take nothing of a message that was expunged before the checkpoint', async () => {
    const sealed = await fixture.sealed(randomBytes(2 * MIB));
    await fixture.deliver(sealed, [id]);
    await fixture.deliver(await fixture.sealed(message('too')), [id]);
    await expunge(mailbox, [1, 2] as Uid[]);
    await fixture.store.checkpoint();
    assert.deepEqual(listPacks(fixture.directory, id), []);
    assert.equal(existsSync(bodyFile(fixture.directory, id, sealed.id)), false);
    assert.deepEqual(readdirSync(join(fixture.directory, 'spool')), []);
  });

  it('hold a message that was expunged while it was being read as missing, not as damaged', async () => {
    await fixture.deliver(await fixture.sealed(randomBytes(2 * MIB)), [id]);
    await fixture.store.checkpoint();
    for await (const stored of mailbox.messages(inbox, [1 as Uid], 'octets')) {
      await expunge(mailbox, [1 as Uid]);
      await fixture.store.checkpoint();
      const isMissing = (error: unknown): boolean =>
        error instanceof IntegrityError && error.code === 'missing-body';
      await assert.rejects(stored.read(), isMissing);
    }
  });
});

describe('a pack writer', () => {
  let data: string;
  const mailbox = newMailboxId();

  beforeEach(async () => {
    data = await makeScratch('packs');
    mkdirSync(mailboxDirectory(data, mailbox), { recursive: true });
  });

  afterEach(() => removeScratch(data));

  const record = (octets: number): PackRecord => ({
    id: newMessageId(),
    epoch: 1,
    octets,
    internalDate: 1_700_000_000_000,
    header: Buffer.alloc(200, 1),
    digest: Buffer.alloc(300, 2),
    envelope: null,
    body: Buffer.alloc(octets, 3),
  });
  const writer = (knownEnd: number): PackWriter =>
    new PackWriter({ dataDirectory: data, mailbox, knownEnd: () => knownEnd });
  const path = (pack: number): string => packFile(data, mailbox, pack);
  const ids = (pack: number): string[] => [...readPack(path(pack), pack)].map(({ id }) => id);

  it('says where each record is, and each comes back whole', () => {
    const queued = { ...record(50), envelope: Buffer.alloc(400, 4) };
    const records = [record(32), { ...record(0), body: null }, record(70_000), queued];
    const packs = writer(0);
    const places = packs.append(records);
    packs.sync();
    const found = [...readPack(path(1), 1)];
    assert.deepEqual(
      found.map(({ place, ...rest }) => rest),
      records,
    );
    assert.deepEqual(
      found.map(({ place }) => place),
      places,
    );
    const octets = readFileSync(path(1));
    const { bodyOffset } = places[2]!;
    assert.deepEqual(octets.subarray(bodyOffset, bodyOffset + 70_000), records[2]!.body);
  });

  it('begins another pack when one is full, and holds a record in one piece', () => {
    const records = Array.from({ length: 20 }, () => record(MIB));
    const packs = writer(0);
    const places = packs.append(records);
    packs.sync();
    assert.deepEqual([...new Set(places.map(({ pack }) => pack))], [1, 2]);
    assert.ok(statSync(path(1)).size <= PACK_OCTETS);
    assert.deepEqual(packs.closedPacks, [1]);
    assert.deepEqual(
      [...ids(1), ...ids(2)],
      records.map(({ id }) => id),
    );
  });

  it('cuts a torn record off the last pack, and only that', () => {
    const records = [record(100), record(200), record(300)];
    const first = writer(0);
    const [, second, third] = first.append(records);
    first.sync();
    truncateSync(path(1), third!.recordOffset + third!.recordOctets - 1);
    // The index knows the first only: the second is whole, and may be all that is left of an acknowledged message.
    const added = record(400);
    const again = writer(second!.recordOffset);
    again.append([added]);
    again.sync();
    assert.deepEqual(ids(1), [records[0]!.id, records[1]!.id, added.id]);
  });

  it('appends nothing behind a record that is missing: it would not be found again', () => {
    const records = [record(100), record(200)];
    const first = writer(0);
    const [, second] = first.append(records);
    first.sync();
    truncateSync(path(1), second!.recordOffset);
    const added = record(50);
    const again = writer(second!.recordOffset + second!.recordOctets);
    again.append([added]);
    again.sync();
    assert.deepEqual([ids(1), ids(2)], [[records[0]!.id], [added.id]]);
  });

  it('goes on in a pack that ends in garbage', () => {
    const first = writer(0);
    const known = record(100);
    const [place] = first.append([known]);
    first.sync();
    appendFileSync(path(1), Buffer.alloc(5000, 0xff));
    const added = record(10);
    const again = writer(place!.recordOctets);
    again.append([added]);
    again.sync();
    assert.deepEqual(ids(1), [known.id, added.id]);
    assert.deepEqual(readdirSync(dirname(path(1))), ['00000001.pack']);
  });
});
