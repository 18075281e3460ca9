import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, cpSync, rmSync, statSync, symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { FolderId, MailboxId, Uid } from '../../src/ids.ts';
import type { Lease } from '../../src/keys/lease.ts';
import { ABSORB_MESSAGES, INLINE_BODY_OCTETS, PAGE_FAN, SEARCH_PART_OCTETS } from '../../src/limits.ts';
import { Bodies } from '../../src/store/embedded/bodies.ts';
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.ts';
import { fsck } from '../../src/store/embedded/fsck.ts';
import { IndexPool } from '../../src/store/embedded/index-pool.ts';
import { bodyFile, indexFile } from '../../src/store/embedded/layout.ts';
import { MailboxOwner } from '../../src/store/embedded/mailbox-owner.ts';
import { packFile } from '../../src/store/embedded/pack.ts';
import { type ListedPage, openRoot } from '../../src/store/embedded/page.ts';
import { mergeable, PageWork } from '../../src/store/embedded/page-work.ts';
import type { OwnerHandle } from '../../src/store/handles.ts';
import { Flag, type Mailbox } from '../../src/store/types.ts';
import { contents, message, StoreFixture } from './support.ts';

/** An owner whose mailbox is read without a public-key operation. */
function withoutIdentity(owner: OwnerHandle): OwnerHandle {
  const guarded = (lease: Lease): Lease => ({
    mailbox: lease.mailbox,
    epoch: lease.epoch,
    expiresAt: lease.expiresAt,
    get indexKey() {
      return lease.indexKey;
    },
    get identity(): Lease['identity'] {
      return assert.fail('the identity was used');
    },
    memo: (slot, make) => lease.memo(slot, make),
  });
  const { kind, organization, mailbox, epoch, recipient, quotaOctets } = owner;
  return {
    ...{ kind, organization, mailbox, epoch, recipient, quotaOctets },
    lease: async () => guarded(await owner.lease()),
    heldLease: () => {
      const held = owner.heldLease();
      return held === null ? null : guarded(held);
    },
  };
}

/** All that a mailbox tells of the messages of a folder. */
async function told(mailbox: Mailbox, path: readonly string[] = ['INBOX']): Promise<unknown[]> {
  const { id } = await mailbox.findFolder(path);
  const view = await mailbox.openFolder(id, () => undefined);
  const all: unknown[] = [];
  for await (const stored of mailbox.messages(id, [...view.uids()] as Uid[], 'octets')) {
    all.push([stored.uid, stored.emailId, await stored.digest(), (await stored.read()).toString('latin1')]);
  }
  view.close();
  return all;
}

/** How many of a folder's messages are known without being opened. */
async function knownOf(mailbox: Mailbox, path: readonly string[] = ['INBOX']): Promise<number> {
  const { id } = await mailbox.findFolder(path);
  const view = await mailbox.openFolder(id, () => undefined);
  let known = 0;
  for await (const stored of mailbox.messages(id, [...view.uids()] as Uid[], 'digest')) {
    const { envelope, bodyStructure } = await stored.digest();
    const found = stored.known();
    if (found === null || found.envelope === null) continue;
    assert.deepEqual([found.envelope, found.bodyStructure], [envelope, bodyStructure]);
    assert.match(found.fields!, /^From: a@example.org\r\n/);
    known++;
  }
  view.close();
  return known;
}

describe('pages', () => {
  let fixture: StoreFixture;
  let id: MailboxId;
  let mailbox: Mailbox;
  let inbox: FolderId;
  let copies = 0;

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

  const textOf = (n: number): string => message(`m${n}`, `${n} `.repeat((n * 37) % 400));

  async function deliver(first: number, count: number, to: readonly MailboxId[] = [id]): Promise<void> {
    for (let n = first; n < first + count; n++) await fixture.deliver(await fixture.sealed(textOf(n)), to);
  }

  /** One page for each message. */
  async function absorbSingly(first: number, count: number): Promise<void> {
    for (let n = first; n < first + count; n++) {
      await deliver(n, 1);
      await fixture.absorb(id);
    }
  }

  const database = (data = fixture.directory, of = id): DatabaseSync => new DatabaseSync(indexFile(data, of));

  function query<T>(sql: string, data = fixture.directory): T[] {
    const open = database(data);
    try {
      return open.prepare(sql).all() as T[];
    } finally {
      open.close();
    }
  }

  function change(sql: string, ...values: (Uint8Array | number)[]): void {
    const open = database();
    open.prepare(sql).run(...values);
    open.close();
  }

  const unabsorbed = (): number => query<{ n: number }>('SELECT count(*) AS n FROM message_parts')[0]!.n;

  async function listed(): Promise<ListedPage[]> {
    const lease = await fixture.owner(id).lease();
    const [root] = query<{ epoch: number; generation: number; sealed: Uint8Array }>(
      'SELECT * FROM page_root',
    );
    return root === undefined ? [] : openRoot(lease.indexKey, { mailbox: id, ...root }, root.sealed);
  }

  /** With new leases, as another server would. */
  async function reopened(): Promise<Mailbox> {
    await fixture.reopen();
    fixture.keyring.endLease(id);
    mailbox = await fixture.open(id);
    return mailbox;
  }

  const assertSound = async (): Promise<void> => {
    await fixture.store.close();
    const { problems } = await fsck(fixture.directory, { owner: (of) => fixture.owner(of) });
    assert.deepEqual(problems, []);
    await fixture.openStore();
    mailbox = await fixture.open(id);
  };

  async function expunge(uids: readonly number[]): Promise<void> {
    const deleted = { operation: 'add', flags: { system: Flag.Deleted, keywords: [] } } as const;
    await mailbox.storeFlags(inbox, uids as Uid[], deleted);
    await mailbox.expunge(inbox, uids as Uid[]);
  }

  it('tell what the messages’ own headers and digests did, and nothing of those is left in the index', async () => {
    await deliver(0, 20);
    await fixture.deliver(await fixture.sealed(message('large', 'x'.repeat(300_000))), [id]);
    const before = await told(mailbox);
    assert.equal(await knownOf(mailbox), 0);
    await fixture.absorb(id);
    assert.equal(unabsorbed(), 0);
    assert.deepEqual(await told(mailbox), before);
    assert.equal(await knownOf(mailbox), 21);
    assert.deepEqual(await told(await reopened()), before);
    await assertSound();
  });

  it('leave no public-key operation between a client and its mail', async () => {
    await deliver(0, 5);
    await fixture.deliver(await fixture.sealed(message('large', 'x'.repeat(300_000))), [id]);
    const before = await told(mailbox);
    await fixture.absorb(id);
    await fixture.reopen();
    fixture.keyring.endLease(id);
    const guarded = await fixture.store.openMailbox(withoutIdentity(fixture.owner(id)));
    assert.deepEqual(await told(guarded), before);
    assert.equal(await knownOf(guarded), 6);
    await deliver(6, 1);
    await assert.rejects(told(guarded), /the identity was used/);
  });

  it('take nothing that is not in its pack yet', async () => {
    await deliver(0, 3);
    await fixture.store.absorb(fixture.owner(id));
    assert.equal(unabsorbed(), 3);
    assert.equal((await told(mailbox)).length, 3);
  });

  it('are merged, so that there are few of them, and hold all that they held', async () => {
    const count = PAGE_FAN + 3;
    await absorbSingly(0, count);
    const before = await told(mailbox);
    assert.deepEqual(
      (await listed()).map((page) => page.count),
      [PAGE_FAN, 1, 1, 1],
    );
    assert.equal(
      query('SELECT DISTINCT page_id FROM page_column').length,
      4,
      'what was merged is gone from the index',
    );
    assert.equal(await knownOf(await reopened()), count);
    assert.deepEqual(await told(mailbox), before);
    await assertSound();
  });

  it('know a message wherever it is copied and moved to', async () => {
    await deliver(0, 3);
    await fixture.absorb(id);
    const { id: work } = await mailbox.createFolder(['Work']);
    await mailbox.copy(inbox, [1, 2] as Uid[], work);
    await mailbox.move(inbox, [3] as Uid[], work);
    assert.deepEqual([await knownOf(mailbox), await knownOf(mailbox, ['Work'])], [2, 3]);
    await expunge([1, 2]);
    assert.deepEqual([await knownOf(mailbox), await knownOf(mailbox, ['Work'])], [0, 3]);
    await assertSound();
  });

  it('lose the entries of what was expunged once these are most of a page', async () => {
    await deliver(0, 10);
    await fixture.absorb(id);
    await expunge([1, 2, 3, 4, 5]);
    await fixture.absorb(id);
    assert.deepEqual(
      (await listed()).map(({ count }) => count),
      [10],
    );
    await expunge([6]);
    await fixture.absorb(id);
    assert.deepEqual(
      (await listed()).map(({ count }) => count),
      [4],
    );
    assert.equal(await knownOf(mailbox), 4);
    await expunge([7, 8, 9, 10]);
    await fixture.absorb(id);
    assert.deepEqual(await listed(), []);
    assert.deepEqual(query('SELECT * FROM page_column'), []);
    await assertSound();
  });

  it('are what a shared message has in each of its mailboxes', async () => {
    const other = await fixture.newMailbox();
    await deliver(0, 3, [id, other]);
    await fixture.absorb(id, other);
    const theirs = await fixture.open(other);
    assert.deepEqual([await knownOf(mailbox), await knownOf(theirs)], [3, 3]);
    assert.deepEqual(await contents(theirs), await contents(mailbox));
  });

  it('come by themselves under a client’s lease, which they do not make longer', async () => {
    await fixture.reopen({ absorbs: true });
    mailbox = await fixture.open(id);
    await deliver(0, 30);
    await told(mailbox);
    await fixture.store.checkpoint();
    while (unabsorbed() > 0) await setImmediate();
    assert.equal(await knownOf(mailbox), 30);
  });

  it('keep no text that would be longer than what opens', async () => {
    // One character of two octets, case-mapped to 18.
    const octets = Buffer.alloc(SEARCH_PART_OCTETS, '\ufdfa', 'utf16le');
    const part = (): Buffer[] => [
      Buffer.from('\r\n--b\r\nContent-Type: text/plain; charset=utf-16le\r\n\r\n'),
      octets,
    ];
    const header = 'From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n';
    const mail = Buffer.concat(
      [Buffer.from(header), part(), part(), part(), Buffer.from('\r\n--b--\r\n')].flat(),
    );
    const damaged: number[] = [];
    await fixture.reopen({ onPageDamage: (_mailbox, times) => damaged.push(times) });
    mailbox = await fixture.open(id);
    await fixture.deliver(await fixture.sealed(mail), [id]);
    await deliver(0, 1);
    await fixture.absorb(id);
    const found: unknown[] = [];
    for await (const stored of mailbox.messages(inbox, [1, 2] as Uid[], 'digest')) {
      await stored.digest();
      found.push([stored.known()?.fields?.startsWith('From: '), stored.known()?.search === null]);
    }
    assert.deepEqual(found, [
      [true, true],
      [true, false],
    ]);
    await fixture.absorb(id);
    assert.deepEqual([unabsorbed(), damaged], [0, []]);
    await assertSound();
  });

  it('are not made when nobody has a lease', async () => {
    await fixture.reopen({ absorbs: true });
    mailbox = await fixture.open(id);
    await told(mailbox);
    fixture.keyring.endLease(id);
    await deliver(0, 3);
    await fixture.store.checkpoint();
    for (let turn = 0; turn < 100; turn++) await setImmediate();
    assert.equal(unabsorbed(), 3);
  });

  it('pass over a message whose body fails to be read, after they have told of it once', async () => {
    const large = await fixture.sealed(message('large', randomBytes(2 * INLINE_BODY_OCTETS).toString('hex')));
    await fixture.deliver(large, [id]);
    await deliver(0, 2);
    await fixture.store.checkpoint();
    const body = bodyFile(fixture.directory, id, large.id);
    rmSync(body);
    symlinkSync(body, body);
    await assert.rejects(fixture.store.absorb(fixture.owner(id)), { code: 'ELOOP' });
    await fixture.store.absorb(fixture.owner(id));
    assert.equal(unabsorbed(), 1);
    assert.deepEqual(
      (await listed()).map(({ count }) => count),
      [2],
    );
  });

  it('of an earlier epoch are made anew under the present key, whether or not somebody reads them', async () => {
    await deliver(0, 3);
    await fixture.absorb(id);
    const before = await told(mailbox);
    change('UPDATE page_root SET epoch = 0');
    mailbox = await reopened();
    await fixture.absorb(id);
    assert.equal(await knownOf(mailbox), 3);
    assert.deepEqual(await told(mailbox), before);
    await assertSound();
  });

  it('take messages back that a compaction moves while they are looked at', async () => {
    await deliver(0, 3);
    await fixture.absorb(id);
    const before = await told(mailbox);
    change('DELETE FROM page_root');
    change('DELETE FROM page_column');
    mailbox = await reopened();
    for await (const one of mailbox.messages(inbox, [1] as Uid[], 'digest')) await one.digest();
    let isMoved = false;
    await fixture.store.absorb(fixture.owner(id), () => {
      if (isMoved) return undefined;
      isMoved = true;
      const pack = packFile(fixture.directory, id, 1);
      copyFileSync(pack, packFile(fixture.directory, id, 2));
      truncateSync(pack);
      change('UPDATE message SET pack = 2');
      return undefined;
    });
    assert.ok(isMoved);
    assert.equal(await knownOf(mailbox), 3);
    assert.deepEqual(await told(mailbox), before);
  });

  describe('when the disk is full', () => {
    it('are not made in the background, and a user can still expunge; later they are', async () => {
      await deliver(0, 3);
      await fixture.store.checkpoint();
      await fixture.reopen({ absorbs: true, diskReserveOctets: Number.MAX_SAFE_INTEGER });
      mailbox = await fixture.open(id);
      await told(mailbox);
      await expunge([1]);
      await fixture.store.checkpoint();
      for (let turn = 0; turn < 100; turn++) await setImmediate();
      assert.equal(unabsorbed(), 2);
      assert.deepEqual(query('SELECT * FROM page_column'), []);
      await assert.rejects(fixture.store.absorb(fixture.owner(id)), { code: 'disk-full' });
      await fixture.reopen();
      await fixture.store.absorb(fixture.owner(id));
      assert.equal(unabsorbed(), 0);
    });

    it('are given up, and what was written of them is swept, at whatever column it fills up', async () => {
      await absorbSingly(0, PAGE_FAN - 1);
      await deliver(PAGE_FAN, 1);
      await fixture.store.checkpoint();
      const before = await told(mailbox);
      const lease = await fixture.owner(id).lease();
      await fixture.store.close();
      const pool = new IndexPool(fixture.directory, 1);
      const owner = new MailboxOwner(id, pool, 2);
      const bodies = new Bodies(fixture.directory);
      for (let room = 0, isDone = false; !isDone; room++) {
        let looks = 0;
        const hasSpace = (): boolean => ++looks <= room;
        const work = new PageWork(owner, bodies, () => lease, hasSpace, { pause: () => undefined });
        while (await work.step());
        isDone = looks <= room;
        assert.equal(owner.hasPageWork, !isDone);
        const pages = query('SELECT DISTINCT page_id FROM page_column').length;
        assert.equal(pages, (await listed()).length);
      }
      await bodies.close();
      pool.closeAll();
      assert.deepEqual(
        (await listed()).map(({ count }) => count),
        [PAGE_FAN],
      );
      await fixture.openStore();
      mailbox = await fixture.open(id);
      assert.deepEqual(await told(mailbox), before);
    });
  });

  describe('after a kill at any moment of absorbing and merging', () => {
    /** Copies of the data directory, one for each transaction of the work. */
    async function absorbWithCopies(): Promise<string[]> {
      const found: string[] = [];
      await fixture.store.checkpoint();
      const watching = database();
      const version = watching.prepare('PRAGMA data_version');
      let seen: unknown;
      await fixture.store.absorb(fixture.owner(id), () => {
        const { data_version: now } = version.get()!;
        if (now === seen) return undefined;
        seen = now;
        const copy = join(fixture.directory, `copy-${copies++}`);
        for (const part of ['journal', 'spool', 'mailboxes']) {
          cpSync(join(fixture.directory, part), join(copy, part), { recursive: true });
        }
        found.push(copy);
        return undefined;
      });
      watching.close();
      return found;
    }

    async function assertWhole(data: string, expected: unknown[]): Promise<void> {
      const fatal: unknown[] = [];
      const store = await EmbeddedStore.open({
        dataDirectory: data,
        fatal: (error) => fatal.push(error),
        segmentOctets: statSync(join(data, 'journal', 'accept-00.log')).size,
        diskReserveOctets: 0,
        absorbs: false,
      });
      const owner = fixture.owner(id);
      assert.deepEqual(await told(await store.openMailbox(owner)), expected);
      await store.absorb(owner);
      assert.deepEqual(await told(await store.openMailbox(owner)), expected);
      assert.equal(await knownOf(await store.openMailbox(owner)), expected.length);
      await store.close();
      assert.deepEqual(fatal, []);
      assert.deepEqual((await fsck(data, { owner: () => owner })).problems, []);
      const left = query<{ page: string }>('SELECT DISTINCT hex(page_id) AS page FROM page_column', data);
      const [root] = query<{ epoch: number; generation: number; sealed: Uint8Array }>(
        'SELECT * FROM page_root',
        data,
      );
      const pages = openRoot((await owner.lease()).indexKey, { mailbox: id, ...root! }, root!.sealed);
      assert.deepEqual(
        left.map(({ page }) => page.toLowerCase()).sort(),
        pages.map(({ page }) => page).sort(),
      );
      rmSync(data, { recursive: true });
    }

    it('nothing is lost, nothing is wrong, and no half-written page stays', async function () {
      this.timeout(120_000);
      await absorbSingly(0, PAGE_FAN - 1);
      await deliver(PAGE_FAN, 1);
      const expected = await told(mailbox);
      const found = await absorbWithCopies();
      assert.ok(found.length > 20, `${found.length} moments`);
      for (const copy of found) await assertWhole(copy, expected);
    });
  });

  it('are given up when the lease ends in the middle, and made under the next', async () => {
    await absorbSingly(0, PAGE_FAN - 1);
    await deliver(PAGE_FAN, 2);
    const before = await told(mailbox);
    await fixture.store.checkpoint();
    for (let moment = 1; ; moment++) {
      let pauses = 0;
      fixture.keyring.endLease(id);
      await fixture.store.absorb(fixture.owner(id), () => {
        if (++pauses === moment) fixture.keyring.endLease(id);
        return undefined;
      });
      assert.deepEqual(await told(mailbox), before);
      if (pauses < moment) break;
    }
    assert.equal(unabsorbed(), 0);
    assert.equal(await knownOf(mailbox), before.length);
    await assertSound();
  });

  it('hold no message too many or too few when some are expunged while they are made', async () => {
    await absorbSingly(0, PAGE_FAN - 1);
    await deliver(PAGE_FAN, 5);
    await fixture.store.checkpoint();
    const owner = fixture.owner(id);
    let uid = 1;
    await fixture.store.absorb(owner, async () => {
      if (uid <= PAGE_FAN) await expunge([uid++]);
    });
    const left = (await contents(mailbox)).length;
    assert.equal(left, PAGE_FAN + 4 - (uid - 1));
    assert.equal(await knownOf(mailbox), left);
    await assertSound();
  });

  describe('that were tampered with are refused, and every message opens through its pack', () => {
    let before: unknown[];

    beforeEach(async () => {
      await absorbSingly(0, 3);
      before = await told(mailbox);
      await reopened();
    });

    /** Readers see all, the absorber folds in anew what was lost, and then all is known and sound. */
    async function assertHeals(known?: number): Promise<void> {
      fixture.keyring.endLease(id);
      mailbox = await fixture.open(id);
      assert.deepEqual(await told(mailbox), before);
      if (known !== undefined) assert.equal(await knownOf(mailbox), known);
      const view = await mailbox.openFolder(inbox, () => undefined);
      for await (const stored of mailbox.messages(inbox, [...view.uids()] as Uid[], 'digest')) {
        const found = stored.known();
        void [found?.envelope, found?.bodyStructure, found?.fields];
      }
      await fixture.absorb(id);
      assert.equal(await knownOf(mailbox), before.length);
      assert.deepEqual(await told(mailbox), before);
      await assertSound();
    }

    for (let column = 0; column < 6; column++) {
      it(`by a flipped bit in column ${column}`, async () => {
        const sealed = query<{ rowid: number; sealed: Uint8Array }>(
          `SELECT rowid, sealed FROM page_column WHERE page_column = ${column} ORDER BY rowid`,
        )[1]!;
        sealed.sealed[sealed.sealed.length >> 1]! ^= 4;
        change('UPDATE page_column SET sealed = ? WHERE rowid = ?', sealed.sealed, sealed.rowid);
        await assertHeals();
      });
    }

    it('by an exchange of two pages', async () => {
      const [first, second] = query<{ page_id: Uint8Array }>('SELECT DISTINCT page_id FROM page_column');
      change('UPDATE page_column SET page_id = ? WHERE page_id = ?', randomBytes(16), first!.page_id);
      change('UPDATE page_column SET page_id = ? WHERE page_id = ?', first!.page_id, second!.page_id);
      await assertHeals(1);
    });

    it('by another mailbox’s pages and root in their place', async () => {
      const other = await fixture.newMailbox();
      await deliver(0, 1, [other]);
      await fixture.absorb(other);
      const theirs = database(fixture.directory, other);
      const root = theirs.prepare('SELECT * FROM page_root').get() as { sealed: Uint8Array };
      const columns = theirs.prepare('SELECT * FROM page_column').all() as Record<string, Uint8Array>[];
      theirs.close();
      change('UPDATE page_root SET sealed = ?, generation = 1', root.sealed);
      change('DELETE FROM page_column');
      for (const { page_id, page_column, sealed } of columns) {
        change('INSERT INTO page_column VALUES (?, ?, ?)', page_id!, page_column!, sealed!);
      }
      await assertHeals(0);
    });

    it('by an older root, which knows fewer pages', async () => {
      const [old] = query<{ generation: number; sealed: Uint8Array }>('SELECT * FROM page_root');
      await deliver(3, 1);
      await fixture.absorb(id);
      before = await told(mailbox);
      // Under its own generation it lists what was: those pages are as they were, and the newest is not listed.
      change('UPDATE page_root SET sealed = ?, generation = ?', old!.sealed, old!.generation);
      await fixture.reopen();
      await assertHeals(3);
      // Under the newer one it does not open at all.
      change('UPDATE page_root SET sealed = ?', old!.sealed);
      await fixture.reopen();
      await assertHeals(0);
    });

    it('by an older page beside the root of its successor: it is not listed', async () => {
      const old = query<Record<string, Uint8Array>>('SELECT * FROM page_column');
      const wasListed = (await listed()).map(({ page }) => page);
      await absorbSingly(3, PAGE_FAN - 3);
      before = await told(mailbox);
      const merged = await listed();
      assert.equal(merged.length, 1);
      for (const { page_id, page_column, sealed } of old) {
        change('INSERT INTO page_column VALUES (?, ?, ?)', page_id!, page_column!, sealed!);
      }
      // Even as if they were the merged one's columns.
      change('DELETE FROM page_column WHERE page_id = ?', Buffer.from(merged[0]!.page, 'hex'));
      const [first] = wasListed;
      change(
        'UPDATE page_column SET page_id = ? WHERE page_id = ?',
        Buffer.from(merged[0]!.page, 'hex'),
        Buffer.from(first!, 'hex'),
      );
      await fixture.reopen();
      await assertHeals(0);
    });

    it('by their removal, root and all', async () => {
      change('DELETE FROM page_root');
      change('DELETE FROM page_column');
      await fixture.reopen();
      await assertHeals(0);
    });

    it('by the loss of a page with more than is absorbed in one step', async () => {
      await deliver(3, ABSORB_MESSAGES + 10);
      await fixture.absorb(id);
      before = await told(mailbox);
      change('DELETE FROM page_root');
      await fixture.reopen();
      await assertHeals(0);
    });

    it('by a message’s row that names another message', async () => {
      const ids = query<{ id: Uint8Array }>('SELECT message_id AS id FROM message ORDER BY message_key');
      change('UPDATE message SET message_id = ? WHERE message_key = 1', randomBytes(16));
      change('UPDATE message SET message_id = ? WHERE message_key = 2', ids[0]!.id);
      await fixture.reopen();
      fixture.keyring.endLease(id);
      mailbox = await fixture.open(id);
      const stored: unknown[] = [];
      for await (const one of mailbox.messages(inbox, [2 as Uid], 'digest')) {
        stored.push(one.known());
        await assert.rejects(one.digest());
      }
      assert.deepEqual(stored, [null]);
      // With its record's place, too, it is that message, under this key: once more in a page, and only once.
      const place = 'pack, record_offset, record_octets, body_offset, octets, body_octets';
      change(
        `UPDATE message SET (${place}) = (SELECT ${place} FROM message WHERE message_key = 1) WHERE message_key = 2`,
      );
      for (let time = 0; time < 3; time++) {
        await fixture.reopen();
        mailbox = await fixture.open(id);
        for await (const one of mailbox.messages(inbox, [2 as Uid], 'digest')) await one.digest();
        await fixture.absorb(id);
      }
      assert.equal((await listed()).length, 4);
    });
  });

  describe('and fsck', () => {
    beforeEach(async () => {
      await deliver(0, 4);
      await fixture.absorb(id);
    });

    const kinds = async (keys: boolean, rebuild = false): Promise<string[]> => {
      const owner = keys ? (of: MailboxId) => fixture.owner(of) : null;
      const { problems } = await fsck(fixture.directory, { owner, rebuild });
      return [...new Set(problems.map(({ kind }) => kind))];
    };

    it('finds them sound, with and without keys', async () => {
      await fixture.store.close();
      assert.deepEqual([await kinds(false), await kinds(true)], [[], []]);
    });

    it('finds one that is broken, with keys, and takes all back from the packs when it rebuilds', async () => {
      const before = await told(mailbox);
      await fixture.store.close();
      change('UPDATE page_column SET sealed = zeroblob(length(sealed)) WHERE page_column = 3');
      assert.deepEqual([await kinds(false), await kinds(true)], [[], ['page-broken']]);
      assert.deepEqual(await kinds(true, true), []);
      assert.equal(unabsorbed(), 4);
      await fixture.openStore();
      mailbox = await fixture.open(id);
      assert.deepEqual(await told(mailbox), before);
      await fixture.absorb(id);
      assert.equal(await knownOf(mailbox), 4);
      await assertSound();
    });

    it('finds without keys that their root is gone, and takes them back without keys', async () => {
      await fixture.store.close();
      change('DELETE FROM page_root');
      assert.deepEqual(await kinds(false), ['page-broken']);
      assert.deepEqual(await kinds(false, true), []);
      assert.equal(unabsorbed(), 4);
    });

    it('makes a whole index without them', async () => {
      const before = await told(mailbox);
      await fixture.store.close();
      rmSync(indexFile(fixture.directory, id));
      assert.deepEqual(await kinds(true, true), []);
      assert.equal(unabsorbed(), 4);
      await fixture.openStore();
      mailbox = await fixture.open(id);
      assert.deepEqual(await told(mailbox), before);
    });
  });
});

describe('which pages are merged', () => {
  const page = (count: number): ListedPage => ({
    page: '',
    generation: 1,
    count,
    first: 0,
    last: 0,
    octets: count * 1000,
  });
  const counts = (...sizes: number[]): number[] => mergeable(sizes.map(page)).map(({ count }) => count);
  const times = (n: number, size: number): number[] => Array.from({ length: n }, () => size);

  it('sixteen of one size, and the smaller ones behind the first of them', () => {
    assert.deepEqual(counts(...times(15, 1)), []);
    assert.deepEqual(counts(...times(16, 1)), times(16, 1));
    assert.deepEqual(counts(...times(15, 16), ...times(15, 1)), []);
    assert.deepEqual(counts(...times(16, 16), 1, 1), [...times(16, 16), 1, 1]);
    assert.deepEqual(counts(...times(16, 256)), times(16, 256));
  });

  it('not across a larger one, not a full one, and no more than fit one page', () => {
    assert.deepEqual(counts(...times(10, 1), 300, ...times(10, 1)), []);
    assert.deepEqual(counts(...times(40, 4096)), []);
    assert.deepEqual(counts(...times(16, 2000)), [2000, 2000]);
  });

  it('come to few, however mail arrives, and each message is written some four times', () => {
    for (const step of [1, 7, 256, 300]) {
      let pages: ListedPage[] = [];
      let written = 0;
      let total = 0;
      while (total < 20_000) {
        pages.push(page(step));
        total += step;
        written += step;
        for (let run = mergeable(pages); run.length > 0; run = mergeable(pages)) {
          const merged = page(run.reduce((sum, { count }) => sum + count, 0));
          assert.ok(merged.count <= 4096);
          written += merged.count;
          pages = pages.flatMap((one) => (one === run[0] ? [merged] : run.includes(one) ? [] : [one]));
        }
      }
      assert.ok(pages.length < 60, `${pages.length} pages`);
      assert.ok(written < total * 5, `${written} written of ${total}`);
    }
  });
});
