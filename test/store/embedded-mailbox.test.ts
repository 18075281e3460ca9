import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RefusedError, UnavailableError } from '../../src/errors.ts';
import type { FolderId, MailboxId, Uid } from '../../src/ids.ts';
import { KIB, MIB } from '../../src/limits.ts';
import { fsck } from '../../src/store/embedded/fsck.ts';
import { Flag, type FolderChange, type Mailbox } from '../../src/store/types.ts';
import { contents, message, StoreFixture } from './support.ts';

const DELETED = { operation: 'add', flags: { system: Flag.Deleted, keywords: [] } } as const;
const tooBig = (error: unknown): boolean => error instanceof RefusedError && error.code === 'too-big';

describe('an embedded mailbox', () => {
  let fixture: StoreFixture;
  let id: MailboxId;
  let mailbox: Mailbox;
  let inbox: FolderId;

  beforeEach(async () => {
    fixture = await StoreFixture.open({ segmentOctets: MIB });
    id = await fixture.newMailbox();
    mailbox = await fixture.open(id);
    inbox = (await mailbox.findFolder(['INBOX'])).id;
  });

  afterEach(async () => {
    assert.deepEqual(fixture.fatal, []);
    await fixture.remove();
  });

  const uidsOf = async (folder: FolderId): Promise<number[]> => {
    const view = await mailbox.openFolder(folder, () => undefined);
    const uids = [...view.uids()];
    view.close();
    return uids;
  };

  it('takes UIDs in any order and any number of times, in memory as in the index', async () => {
    for (let i = 0; i < 8; i++) await fixture.deliver(await fixture.sealed(message(`${i}`)), [id]);
    const changes: FolderChange[] = [];
    const view = await mailbox.openFolder(inbox, (change) => changes.push(change));
    const uids = [7, 2, 7, 3, 99, 2] as Uid[];
    const { changed, missing } = await mailbox.storeFlags(inbox, uids, DELETED);
    assert.deepEqual([changed, missing], [[2, 3, 7], [99]]);
    assert.deepEqual(await mailbox.expunge(inbox, uids), [2, 3, 7]);
    assert.deepEqual([...view.uids()], [1, 4, 5, 6, 8]);
    assert.deepEqual(
      changes.map((change) => 'uids' in change && change.uids),
      [
        [2, 3, 7],
        [2, 3, 7],
      ],
    );
    view.close();
    assert.deepEqual(await uidsOf(inbox), [1, 4, 5, 6, 8]);
  });

  it('refuses an append that fits no durable step whole: no UID, no octet of quota is taken', async () => {
    const item = async () => ({
      message: await fixture.sealed(randomBytes(300 * KIB)),
      flags: { system: 0, keywords: [] },
      internalDate: new Date(0),
    });
    const items = await Promise.all(Array.from({ length: 4 }, item));
    await assert.rejects(mailbox.append(inbox, items), tooBig);
    const limit = 2 * 300 * KIB + 1;
    const tight = await fixture.open(id, limit);
    assert.deepEqual((await tight.append(inbox, items.slice(0, 2))).uids, [1, 2]);
    assert.equal((await mailbox.quota()).storageOctets, 2 * 300 * KIB);
  });

  it('refuses a delivery that fits no durable step to all, and goes on as if it had not been', async () => {
    const ids = [id, ...(await Promise.all(Array.from({ length: 3 }, () => fixture.newMailbox())))];
    const sealed = await fixture.sealed(message('small'));
    const bulky = {
      ...sealed,
      addressTo: () => ({ header: randomBytes(100), digest: randomBytes(400 * KIB) }),
    };
    await assert.rejects(fixture.deliver(bulky, ids), tooBig);
    await fixture.deliver(sealed, ids);
    for (const one of ids) assert.equal((await contents(await fixture.open(one))).length, 1);
    assert.deepEqual(await uidsOf(inbox), [1]);
  });

  it('that is removed while a delivery is on its way leaves it with the others', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => fixture.newMailbox()));
    const sealed = await Promise.all(Array.from({ length: 40 }, (_, i) => fixture.sealed(message(`${i}`))));
    const deliveries = sealed.map((one) => fixture.deliver(one, [...others, id]));
    const removal = fixture.store.removeMailbox({
      kind: 'maintenance',
      organization: fixture.organization,
      mailbox: id,
      principal: 'test',
    });
    const later = sealed.map(() =>
      fixture.sealed(message('later')).then((one) => fixture.deliver(one, [id])),
    );
    await Promise.all([...deliveries, removal]);
    for (const errors of await Promise.all(later)) {
      for (const error of errors) assert.ok(error === undefined || error instanceof RefusedError);
    }
    await fixture.store.checkpoint();
    for (const one of others) assert.equal((await contents(await fixture.open(one))).length, 40);
    const [error] = await fixture.deliver(await fixture.sealed(message('after')), [id]);
    assert.ok(error instanceof RefusedError && error.code === 'nonexistent');
  });

  it('holds a folder’s removal and deliveries in one order: no message is left without a folder', async () => {
    const junk = await fixture.keyring.deliverHandle(fixture.organization, id, null);
    const deliveries: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      const sealed = await fixture.sealed(message(`${i}`));
      deliveries.push(fixture.store.deliver(sealed, [{ handle: junk, folder: 'junk' }]));
      if (i === 15) deliveries.push(mailbox.removeFolder(['Junk']));
    }
    await Promise.all(deliveries);
    const inInbox = await uidsOf(inbox);
    assert.ok(inInbox.length > 0 && inInbox.length < 30, `${inInbox.length}`);
    await fixture.store.close();
    assert.deepEqual((await fsck(fixture.directory, { owner: null })).problems, []);
  });

  it('is not opened any more once the store closes', async () => {
    await fixture.store.close();
    await assert.rejects(
      fixture.open(id),
      (error) => error instanceof UnavailableError && error.code === 'shutting-down',
    );
    await assert.rejects(mailbox.createFolder(['Late']), UnavailableError);
    await assert.rejects(fixture.deliver(await fixture.sealed(message('x')), [id]), UnavailableError);
  });
});
