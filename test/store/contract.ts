/**
 * What every store promises (src/store/types.ts), as one suite: `open` yields a fresh store with its keys, `reopen` must
 * show what was acknowledged before.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError, RefusedError } from '../../src/errors.ts';
import {
  type FolderId,
  type MailboxId,
  type MessageId,
  type ModSeq,
  newMailboxId,
  type Uid,
} from '../../src/ids.ts';
import { OPERATION_MESSAGES } from '../../src/limits.ts';
import type { OwnerHandle } from '../../src/store/handles.ts';
import {
  Flag,
  type FlagChange,
  type FolderChange,
  type FolderView,
  type Mailbox,
  type OpenQueued,
  type QueuedMessage,
  type QueueMailbox,
} from '../../src/store/types.ts';
import { contents, message, octetsOf, type StoreFixture } from './support.ts';

const uids = (...numbers: number[]): Uid[] => numbers as Uid[];
const refused = (code: string) => (error: unknown) => error instanceof RefusedError && error.code === code;
const add = (system: number, ...keywords: string[]): FlagChange => ({
  operation: 'add',
  flags: { system, keywords },
});

export function describeStoreContract(name: string, open: () => Promise<StoreFixture>): void {
  describe(`the store contract: ${name}`, () => {
    let fixture: StoreFixture;
    let id: MailboxId;
    let mailbox: Mailbox;
    let inbox: FolderId;

    beforeEach(async () => {
      fixture = await open();
      id = await fixture.newMailbox();
      mailbox = await fixture.open(id);
      inbox = (await mailbox.findFolder(['INBOX'])).id;
    });

    afterEach(async () => {
      assert.deepEqual(fixture.fatal, []);
      await fixture.remove();
    });

    const reopened = async (): Promise<Mailbox> => {
      await fixture.reopen();
      mailbox = await fixture.open(id);
      return mailbox;
    };

    const deliver = async (...texts: string[]): Promise<void> => {
      for (const text of texts) await fixture.deliver(await fixture.sealed(text), [id]);
    };

    /** UID, system flags and keywords of every message of a folder. */
    const flagsOf = async (folder: FolderId): Promise<[number, number, string[]][]> => {
      const view = await mailbox.openFolder(folder, () => undefined);
      const flags = [...view.uids()].map((uid): [number, number, string[]] => {
        const found = view.flags(uid as Uid)!;
        return [uid, found.system, [...found.keywords]];
      });
      view.close();
      return flags;
    };

    describe('delivery', () => {
      it('places one message in each mailbox, octet for octet, and again after a restart', async () => {
        const other = await fixture.newMailbox();
        const octets = message('to two');
        assert.deepEqual(await fixture.deliver(await fixture.sealed(octets), [id, other]), [
          undefined,
          undefined,
        ]);
        assert.deepEqual(await contents(mailbox), [[1, octets]]);
        await reopened();
        assert.deepEqual(await contents(mailbox), [[1, octets]]);
        assert.deepEqual(await contents(await fixture.open(other)), [[1, octets]]);
      });

      for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 1_048_576, 2_500_000]) {
        it(`keeps a message of ${size} octets, before and after the checkpoint`, async () => {
          const octets = randomBytes(size);
          await fixture.deliver(await fixture.sealed(octets), [id]);
          assert.deepEqual(await contents(mailbox), [[1, octets.toString('latin1')]]);
          await fixture.store.checkpoint();
          assert.deepEqual(await contents(mailbox), [[1, octets.toString('latin1')]]);
          await reopened();
          assert.deepEqual(await contents(mailbox), [[1, octets.toString('latin1')]]);
        });
      }

      it('refuses a mailbox that is over its quota and serves the others', async () => {
        const other = await fixture.newMailbox();
        const octets = message('large', 'x'.repeat(1000));
        const full = {
          handle: fixture.keyring.deliverHandle(fixture.organization, id, 500),
          folder: 'inbox' as const,
        };
        const free = {
          handle: fixture.keyring.deliverHandle(fixture.organization, other, null),
          folder: 'inbox' as const,
        };
        assert.equal(await fixture.store.hasRoom(full.handle, octets.length), false);
        assert.equal(await fixture.store.hasRoom(free.handle, octets.length), true);
        const outcomes = await fixture.store.deliver(await fixture.sealed(octets), [full, free]);
        assert.ok(refused('over-quota')(outcomes.find(({ mailbox }) => mailbox === id)!.error));
        assert.equal(outcomes.find(({ mailbox }) => mailbox === other)!.error, undefined);
        assert.deepEqual(await contents(mailbox), []);
        assert.equal((await contents(await fixture.open(other))).length, 1);
      });

      it('places a message once in a mailbox that is named twice', async () => {
        await fixture.deliver(await fixture.sealed(message('twice')), [id, id]);
        assert.equal((await contents(mailbox)).length, 1);
      });

      it('refuses a mailbox that does not exist', async () => {
        const unknown = newMailboxId();
        await fixture.keyring.createMailboxKeys({
          organization: fixture.organization,
          mailbox: unknown,
          principal: 'test',
        });
        const [error] = await fixture.deliver(await fixture.sealed(message('x')), [unknown]);
        assert.ok(refused('nonexistent')(error));
      });

      it('gives ascending UIDs to deliveries that overlap, and loses none', async () => {
        const sealed = await Promise.all(
          Array.from({ length: 60 }, (_, i) => fixture.sealed(message(`n${i}`))),
        );
        await Promise.all(sealed.map((one) => fixture.deliver(one, [id])));
        const found = await contents(mailbox);
        assert.deepEqual(
          found.map(([uid]) => uid),
          Array.from({ length: 60 }, (_, i) => i + 1),
        );
        assert.equal(new Set(found.map(([, octets]) => octets)).size, 60);
      });
    });

    describe('queues', () => {
      const envelope = Buffer.from('to somebody elsewhere');
      let owner: OwnerHandle;

      beforeEach(async () => {
        owner = await fixture.newQueue();
      });

      const enqueue = async (text: string, others: readonly MailboxId[] = []): Promise<MessageId> => {
        const sealed = await fixture.sealed(text);
        const place = (mailbox: MailboxId) => ({
          handle: fixture.keyring.deliverHandle(fixture.organization, mailbox, null),
          folder: 'inbox' as const,
        });
        const placements = [{ ...place(owner.mailbox), envelope }, ...others.map(place)];
        for (const { error } of await fixture.store.deliver(sealed, placements))
          assert.equal(error, undefined);
        return sealed.id;
      };

      const openQueue = (onAdded: (messages: readonly QueuedMessage[]) => void = () => undefined) =>
        fixture.store.openQueue(owner, onAdded);

      const listed = async (queue: QueueMailbox): Promise<QueuedMessage[]> => {
        const messages: QueuedMessage[] = [];
        for await (const one of queue.messages()) messages.push(one);
        return messages;
      };

      it('take a message together with mailboxes, and give it back with its envelope after a restart', async () => {
        const octets = message('going out');
        const sent = await enqueue(octets, [id]);
        assert.deepEqual(await contents(mailbox), [[1, octets]]);
        for (const again of [() => undefined, () => fixture.store.checkpoint(), () => fixture.reopen()]) {
          await again();
          const queue = await openQueue();
          const [one, ...others] = await listed(queue);
          assert.deepEqual([one!.id, one!.sizeOctets, one!.isReleased], [sent, octets.length, true]);
          assert.deepEqual(others, []);
          const opened = await queue.open(sent);
          assert.deepEqual(opened.envelope, envelope);
          assert.equal(opened.note, null);
          assert.equal(await octetsOf(opened.message), octets);
          queue.close();
        }
      });

      it('tell of what arrives once it is there to be opened', async () => {
        const opened: Promise<OpenQueued>[] = [];
        const queue = await openQueue((added) => opened.push(...added.map(({ id: one }) => queue.open(one))));
        await enqueue(message('first'));
        await enqueue(message('second'));
        assert.deepEqual(
          (await Promise.all(opened)).map((one) => one.envelope),
          [envelope, envelope],
        );
      });

      it('keep the last note of a message, through a restart', async () => {
        const sent = await enqueue(message('x'));
        let queue = await openQueue();
        await listed(queue);
        await queue.setNote(sent, Buffer.from('tried once'));
        await queue.setNote(sent, Buffer.from('tried twice'));
        assert.equal((await queue.open(sent)).note!.toString(), 'tried twice');
        await fixture.reopen();
        queue = await openQueue();
        await listed(queue);
        assert.equal((await queue.open(sent)).note!.toString(), 'tried twice');
        await queue.setNote(sent, Buffer.from('tried thrice'));
        assert.equal((await queue.open(sent)).note!.toString(), 'tried thrice');
      });

      it('remove a message for good, and leave it where else it was delivered', async () => {
        const sent = await enqueue(message('x'), [id]);
        let queue = await openQueue();
        await listed(queue);
        await queue.remove(sent);
        await queue.remove(sent);
        await assert.rejects(queue.open(sent), refused('nonexistent'));
        await assert.rejects(queue.setNote(sent, envelope), refused('nonexistent'));
        assert.equal((await contents(mailbox)).length, 1);
        await fixture.reopen();
        queue = await openQueue();
        assert.deepEqual(await listed(queue), []);
        assert.equal((await contents(await fixture.open(id))).length, 1);
      });

      it('list thousands of messages in the order of their arrival', async () => {
        const sent = await Promise.all(Array.from({ length: 1_200 }, (_, n) => enqueue(message(`${n}`))));
        const found = await listed(await openQueue());
        assert.equal(found.length, 1_200);
        assert.deepEqual(found.map(({ id: one }) => one).sort(), sent.sort());
        assert.ok(found.every((one, at) => at === 0 || one.arrivedAt >= found[at - 1]!.arrivedAt));
      });

      it('are not opened with the keys of a user, nor a mailbox with those of a queue', async () => {
        await enqueue(message('x'));
        const wrong = await fixture.store.openQueue(fixture.owner(owner.mailbox), () => undefined);
        const [one] = await listed(wrong);
        for (const locked of [owner.mailbox, id]) fixture.keyring.endLease(locked);
        await assert.rejects(wrong.open(one!.id), IntegrityError);
        await assert.rejects(fixture.queueOwner(id).lease(), IntegrityError);
      });

      it('are gone with their messages when they are removed', async () => {
        const sent = await enqueue(message('x'));
        const queue = await openQueue();
        await listed(queue);
        const { organization, mailbox: gone } = owner;
        await fixture.store.removeMailbox({
          kind: 'maintenance',
          organization,
          mailbox: gone,
          principal: 'test',
        });
        await assert.rejects(queue.open(sent), refused('nonexistent'));
        await assert.rejects(openQueue(), refused('nonexistent'));
      });
    });

    describe('folders', () => {
      const names = async (): Promise<string[]> =>
        (await mailbox.listFolders()).map(({ path }) => path.join('/')).sort();

      it('exist from the start, with their special uses, subscribed', async () => {
        const folders = await mailbox.listFolders();
        assert.deepEqual(
          folders.map(({ path, role }) => [path.join('/'), role]),
          [
            ['INBOX', 'inbox'],
            ['Drafts', 'drafts'],
            ['Sent', 'sent'],
            ['Junk', 'junk'],
            ['Trash', 'trash'],
            ['Archive', 'archive'],
          ],
        );
        assert.ok(
          folders.every(
            ({ isSubscribed, isSelectable, hasChildren }) => isSubscribed && isSelectable && !hasChildren,
          ),
        );
      });

      it('are created with their parents, and survive a restart', async () => {
        await mailbox.createFolder(['Work', 'Grüße', '2027']);
        await reopened();
        assert.ok((await names()).includes('Work/Grüße/2027'));
        assert.ok((await names()).includes('Work/Grüße'));
        const work = await mailbox.findFolder(['Work']);
        assert.ok(work.hasChildren && work.isSelectable && !work.isSubscribed);
        await assert.rejects(mailbox.createFolder(['Work']), refused('already-exists'));
        await assert.rejects(mailbox.createFolder(['inbox']), refused('already-exists'));
        await assert.rejects(mailbox.createFolder(['a', '']), refused('invalid'));
        await assert.rejects(mailbox.createFolder(['a/b']), refused('invalid'));
        await assert.rejects(mailbox.createFolder([`${'x'.repeat(2000)}`]), refused('invalid'));
        await assert.rejects(mailbox.findFolder(['Nowhere']), refused('nonexistent'));
      });

      it('take their messages along when they are removed, and their children stay', async () => {
        const work = await mailbox.createFolder(['Work', 'Old']);
        const parent = await mailbox.findFolder(['Work']);
        await deliver(message('a'));
        await mailbox.copy(inbox, uids(1), parent.id);
        await mailbox.removeFolder(['Work']);
        const remaining = await mailbox.findFolder(['Work']);
        assert.equal(remaining.isSelectable, false);
        assert.equal((await mailbox.findFolder(['Work', 'Old'])).id, work.id);
        await assert.rejects(mailbox.status(parent.id), refused('nonexistent'));
        await assert.rejects(mailbox.removeFolder(['Work']), refused('cannot'));
        await assert.rejects(mailbox.removeFolder(['INBOX']), refused('cannot'));
        assert.equal((await mailbox.quota()).messages, 1);
      });

      it('never give a UIDVALIDITY twice to one name', async () => {
        const first = await mailbox.status((await mailbox.createFolder(['Again'])).id);
        await mailbox.removeFolder(['Again']);
        await reopened();
        const second = await mailbox.status((await mailbox.createFolder(['Again'])).id);
        assert.ok(second.uidValidity > first.uidValidity);
      });

      it('are renamed with their children, keeping ids, UIDs and UIDVALIDITY', async () => {
        const child = await mailbox.createFolder(['A', 'B', 'C']);
        await mailbox.renameFolder(['A', 'B'], ['X', 'Y']);
        await reopened();
        assert.equal((await mailbox.findFolder(['X', 'Y', 'C'])).id, child.id);
        assert.ok((await names()).includes('A'));
        assert.ok(!(await names()).includes('A/B'));
        await assert.rejects(mailbox.renameFolder(['X'], ['A']), refused('already-exists'));
        await assert.rejects(mailbox.renameFolder(['X'], ['X', 'below']), refused('cannot'));
        await assert.rejects(mailbox.renameFolder(['Nowhere'], ['Z']), refused('nonexistent'));
      });

      it('leave INBOX in place when it is renamed: its messages move', async () => {
        await deliver(message('a'), message('b'));
        await mailbox.renameFolder(['INBOX'], ['Before']);
        assert.deepEqual(await contents(mailbox), []);
        assert.equal((await contents(mailbox, ['Before'])).length, 2);
        await deliver(message('c'));
        assert.deepEqual(
          (await contents(mailbox)).map(([uid]) => uid),
          [3],
        );
      });

      it('keep subscriptions to names that are gone', async () => {
        await mailbox.createFolder(['Gone']);
        await mailbox.setSubscribed(['Gone'], true);
        await mailbox.setSubscribed(['Never there'], true);
        await mailbox.setSubscribed(['Junk'], false);
        await mailbox.removeFolder(['Gone']);
        await reopened();
        const subscriptions = (await mailbox.listSubscriptions()).map((path) => path.join('/'));
        assert.deepEqual(subscriptions, [
          'INBOX',
          'Drafts',
          'Sent',
          'Trash',
          'Archive',
          'Gone',
          'Never there',
        ]);
      });
    });

    describe('flags', () => {
      beforeEach(() => deliver(message('a'), message('b'), message('c'), message('d')));

      it('are added, removed and replaced; only changed messages get a new modseq', async () => {
        const first = await mailbox.storeFlags(inbox, uids(1, 2, 3), add(Flag.Seen));
        assert.deepEqual(first.changed, [1, 2, 3]);
        const second = await mailbox.storeFlags(inbox, uids(2, 3, 4, 99), add(Flag.Seen | Flag.Flagged));
        assert.deepEqual([second.changed, second.missing], [[2, 3, 4], [99]]);
        assert.ok(second.modSeq > first.modSeq);
        const third = await mailbox.storeFlags(inbox, uids(2, 3), add(Flag.Seen));
        assert.deepEqual(third.changed, []);
        await mailbox.storeFlags(inbox, uids(3), {
          operation: 'remove',
          flags: { system: Flag.Seen, keywords: [] },
        });
        await mailbox.storeFlags(inbox, uids(4), {
          operation: 'replace',
          flags: { system: Flag.Draft, keywords: [] },
        });
        await reopened();
        assert.deepEqual(await flagsOf(inbox), [
          [1, Flag.Seen, []],
          [2, Flag.Seen | Flag.Flagged, []],
          [3, Flag.Flagged, []],
          [4, Flag.Draft, []],
        ]);
        const status = await mailbox.status(inbox);
        assert.deepEqual([status.messages, status.unseen, status.deleted], [4, 2, 0]);
      });

      it('hold keywords, which compare without case and keep their first spelling', async () => {
        await mailbox.storeFlags(inbox, uids(1, 2), add(0, '$Forwarded', 'Projekt-Ä'));
        await mailbox.storeFlags(inbox, uids(2, 3), add(Flag.Seen, '$FORWARDED'));
        await mailbox.storeFlags(inbox, uids(1), {
          operation: 'remove',
          flags: { system: 0, keywords: ['$forwarded', 'unknown'] },
        });
        await reopened();
        assert.deepEqual(await flagsOf(inbox), [
          [1, 0, ['Projekt-Ä']],
          [2, Flag.Seen, ['$Forwarded', 'Projekt-Ä']],
          [3, Flag.Seen, ['$Forwarded']],
          [4, 0, []],
        ]);
      });

      it('are not changed behind the back of a client that says which modseq it saw', async () => {
        const { modSeq } = await mailbox.storeFlags(inbox, uids(1), add(Flag.Seen));
        await mailbox.storeFlags(inbox, uids(2), add(Flag.Seen));
        const result = await mailbox.storeFlags(inbox, uids(1, 2), {
          ...add(Flag.Flagged),
          unchangedSince: modSeq,
        });
        assert.deepEqual([result.changed, result.modified], [[1], [2]]);
      });
    });

    describe('copies, moves and expunges', () => {
      let trash: FolderId;

      beforeEach(async () => {
        await deliver(message('a'), message('b'), message('c'), message('d'), message('e'));
        trash = (await mailbox.findFolder(['Trash'])).id;
        await mailbox.storeFlags(inbox, uids(2, 4), add(Flag.Flagged, 'kept'));
      });

      it('copy octets, flags and dates under new UIDs', async () => {
        const result = await mailbox.copy(inbox, uids(4, 2, 77), trash);
        assert.deepEqual(
          [result.source, result.target],
          [
            [2, 4],
            [1, 2],
          ],
        );
        await reopened();
        const originals = new Map(await contents(mailbox));
        assert.deepEqual(await contents(mailbox, ['Trash']), [
          [1, originals.get(2 as Uid)],
          [2, originals.get(4 as Uid)],
        ]);
        assert.deepEqual(await flagsOf(trash), [
          [1, Flag.Flagged, ['kept']],
          [2, Flag.Flagged, ['kept']],
        ]);
        const [original] = [...mailbox.summaries(inbox, [2])];
        const [copied] = [...mailbox.summaries(trash, [1])];
        assert.deepEqual(copied!.internalDate, original!.internalDate);
        assert.equal(copied!.emailId, original!.emailId);
      });

      it('move in one step: never in both, never in neither', async () => {
        const before = new Map(await contents(mailbox));
        const result = await mailbox.move(inbox, uids(1, 2, 3), trash);
        assert.deepEqual(
          [result.source, result.target],
          [
            [1, 2, 3],
            [1, 2, 3],
          ],
        );
        await reopened();
        assert.deepEqual(
          (await contents(mailbox)).map(([uid]) => uid),
          [4, 5],
        );
        assert.deepEqual(await contents(mailbox, ['Trash']), [
          [1, before.get(1 as Uid)],
          [2, before.get(2 as Uid)],
          [3, before.get(3 as Uid)],
        ]);
      });

      it('expunge what carries \\Deleted, of the given UIDs only', async () => {
        await mailbox.storeFlags(inbox, uids(1, 2, 5), add(Flag.Deleted));
        assert.deepEqual(await mailbox.expunge(inbox, uids(2, 3)), [2]);
        assert.deepEqual(await mailbox.expunge(inbox, null), [1, 5]);
        await reopened();
        assert.deepEqual(
          (await contents(mailbox)).map(([uid]) => uid),
          [3, 4],
        );
        await deliver(message('new'));
        assert.deepEqual(
          (await contents(mailbox)).map(([uid]) => uid),
          [3, 4, 6],
        );
      });

      it('take more messages than one record does', async () => {
        const view = await mailbox.openFolder(inbox, () => undefined);
        while (view.uids().length <= 2.5 * OPERATION_MESSAGES) {
          await mailbox.copy(inbox, Array.from(view.uids()) as Uid[], inbox);
        }
        const all = Array.from(view.uids()) as Uid[];
        const before = view.highestModSeq;
        const { changed, modSeq } = await mailbox.storeFlags(inbox, all, add(Flag.Answered));
        assert.deepEqual([changed, modSeq], [all, view.highestModSeq]);
        assert.ok(all.every((uid) => view.flags(uid)!.modSeq > before));
        const even = all.filter((_, index) => index % 2 === 0);
        await mailbox.storeFlags(inbox, even, add(Flag.Deleted));
        assert.deepEqual(await mailbox.expunge(inbox, null), even);
        const odd = Array.from(view.uids()) as Uid[];
        assert.deepEqual(
          odd,
          all.filter((_, index) => index % 2 === 1),
        );
        const { source, target } = await mailbox.move(inbox, odd, trash);
        assert.deepEqual([source, target], [odd, odd.map((_, index) => index + 1)]);
        assert.equal(view.uids().length, 0);
        view.close();
        await reopened();
        const status = async (folder: FolderId) => (await mailbox.status(folder)).messages;
        assert.deepEqual([await status(inbox), await status(trash)], [0, odd.length]);
      });

      it('keep a copy readable when its original is expunged, and after the checkpoint', async () => {
        await mailbox.copy(inbox, uids(1), trash);
        await mailbox.copy(inbox, uids(1), inbox);
        const [, octets] = (await contents(mailbox))[0]!;
        await mailbox.storeFlags(inbox, uids(1), add(Flag.Deleted));
        await mailbox.expunge(inbox, null);
        await fixture.store.checkpoint();
        await reopened();
        assert.deepEqual(await contents(mailbox, ['Trash']), [[1, octets]]);
        assert.deepEqual((await contents(mailbox)).at(-1), [6, octets]);
      });

      it('count octets and messages rightly through all of it', async () => {
        await mailbox.copy(inbox, uids(1, 2), trash);
        await mailbox.move(inbox, uids(3), trash);
        await mailbox.storeFlags(trash, uids(1), add(Flag.Deleted));
        await mailbox.expunge(trash, null);
        let octets = 0;
        for (const folder of [inbox, trash]) {
          const view = await mailbox.openFolder(folder, () => undefined);
          const sum = [...mailbox.summaries(folder, view.uids())].reduce(
            (total, { sizeOctets }) => total + sizeOctets,
            0,
          );
          const status = await mailbox.status(folder);
          assert.equal(status.sizeOctets, sum);
          assert.equal(status.messages, view.uids().length);
          octets += sum;
          view.close();
        }
        assert.equal((await mailbox.quota()).storageOctets, octets);
      });

      it('respect the quota: a copy needs room, a move does not', async () => {
        const tight = await fixture.open(id, (await mailbox.quota()).storageOctets + 10);
        await assert.rejects(tight.copy(inbox, uids(1), trash), refused('over-quota'));
        assert.deepEqual((await tight.move(inbox, uids(1), trash)).source, [1]);
      });
    });

    describe('append', () => {
      it('places all or none, with flags and dates', async () => {
        const date = new Date('2020-02-03T04:05:06Z');
        const items = await Promise.all(
          ['x', 'y'].map(async (subject, index) => ({
            message: await fixture.sealed(message(subject)),
            flags: { system: Flag.Draft, keywords: index === 0 ? ['one'] : ['one', 'two'] },
            internalDate: date,
          })),
        );
        assert.deepEqual((await mailbox.append(inbox, items)).uids, [1, 2]);
        await reopened();
        assert.deepEqual(await flagsOf(inbox), [
          [1, Flag.Draft, ['one']],
          [2, Flag.Draft, ['one', 'two']],
        ]);
        const view = await mailbox.openFolder(inbox, () => undefined);
        assert.deepEqual([...mailbox.summaries(inbox, [1])][0]!.internalDate, date);
        view.close();
        const large = { ...items[0]!, message: await fixture.sealed(message('z', 'x'.repeat(5000))) };
        const tight = await fixture.open(id, 3000);
        await assert.rejects(tight.append(inbox, [items[0]!, large]), refused('over-quota'));
        assert.equal((await contents(mailbox)).length, 2);
      });
    });

    describe('what changed since', () => {
      let view: FolderView;

      beforeEach(async () => {
        await deliver(...['a', 'b', 'c', 'd', 'e', 'f'].map((subject) => message(subject)));
        view = await mailbox.openFolder(inbox, () => undefined);
      });

      const rangesHold = (ranges: readonly number[], uid: number): boolean =>
        ranges.some((first, at) => at % 2 === 0 && first <= uid && uid <= ranges[at + 1]!);

      const remove = async (...numbers: number[]): Promise<void> => {
        await mailbox.storeFlags(inbox, uids(...numbers), add(Flag.Deleted));
        await mailbox.expunge(inbox, uids(...numbers));
      };

      it('a modseq is told of flags and arrivals', async () => {
        const { highestModSeq } = view;
        assert.deepEqual([...view.changedSince(highestModSeq)], []);
        await mailbox.storeFlags(inbox, uids(2, 5), add(Flag.Seen));
        await deliver(message('g'));
        assert.deepEqual([...view.changedSince(highestModSeq)], [2, 5, 7]);
        assert.deepEqual([...view.changedSince(view.highestModSeq)], []);
        assert.deepEqual([...view.changedSince(0)], [1, 2, 3, 4, 5, 6, 7]);
      });

      it('a modseq is told of expunges and moves, after a restart too', async () => {
        const start = view.highestModSeq;
        await remove(2, 3);
        const middle = view.highestModSeq;
        const trash = (await mailbox.findFolder(['Trash'])).id;
        await mailbox.move(inbox, uids(5), trash);
        const end = view.highestModSeq;
        const look = () => [start, middle, end].map((modSeq) => view.vanishedSince(modSeq));
        assert.deepEqual(look(), [[2, 3, 5, 5], [5, 5], []]);
        await reopened();
        view = await mailbox.openFolder(inbox, () => undefined);
        assert.deepEqual(look(), [[2, 3, 5, 5], [5, 5], []]);
        // Whatever order they went in, the ranges are joined.
        await remove(1, 4);
        const last = view.vanishedSince(end);
        assert.ok(last !== null && !rangesHold(last, 6) && rangesHold(last, 1) && rangesHold(last, 4));
        assert.deepEqual(view.vanishedSince(start), [1, 5]);
      });

      it('and what is too long ago is not answered wrongly, but not at all', async () => {
        await fixture.reopen({ vanishedRanges: 4 });
        mailbox = await fixture.open(id);
        view = await mailbox.openFolder(inbox, () => undefined);
        const modSeqs: ModSeq[] = [view.highestModSeq];
        for (const uid of [2, 4, 6, 1]) {
          await remove(uid);
          modSeqs.push(view.highestModSeq);
        }
        assert.deepEqual(view.vanishedSince(modSeqs[0]!), [1, 2, 4, 4, 6, 6]);
        await remove(5);
        assert.equal(view.vanishedSince(modSeqs[0]!), null);
        assert.deepEqual(view.vanishedSince(modSeqs[4]!), [5, 5]);
        // One change that is more than is remembered at all.
        await deliver(...Array.from({ length: 10 }, (_, i) => message(`more ${i}`)));
        const before = view.highestModSeq;
        await remove(7, 9, 11, 13, 15);
        assert.equal(view.vanishedSince(before), null);
        assert.deepEqual(view.vanishedSince(view.highestModSeq), []);
        await fixture.reopen({ vanishedRanges: 4 });
        mailbox = await fixture.open(id);
        view = await mailbox.openFolder(inbox, () => undefined);
        assert.equal(view.vanishedSince(before), null);
      });
    });

    describe('views', () => {
      it('learn of every change after it is made, with its origin, in order', async () => {
        const seen: FolderChange[] = [];
        const other = await fixture.open(id);
        const view = await other.openFolder(inbox, (change) => seen.push(change));
        await deliver(message('a'), message('b'));
        await mailbox.storeFlags(inbox, uids(2), { ...add(Flag.Deleted, 'new-word'), origin: 'me' });
        assert.deepEqual(view.flags(2 as Uid)!.keywords, ['new-word']);
        await mailbox.expunge(inbox, null, 'me');
        await mailbox.createFolder(['Elsewhere']);
        const kinds = seen.map((change) => [
          change.kind,
          'uids' in change ? change.uids : null,
          'origin' in change ? change.origin : null,
        ]);
        assert.deepEqual(kinds, [
          ['added', [1], undefined],
          ['added', [2], undefined],
          ['flags', [2], 'me'],
          ['expunged', [2], 'me'],
        ]);
        assert.deepEqual([...view.uids()], [1]);
        assert.equal(view.flags(2 as Uid), undefined);
        view.close();
        await deliver(message('c'));
        assert.equal(seen.length, 4);
      });

      it('end when their folder is removed', async () => {
        const folder = await mailbox.createFolder(['Short-lived']);
        const seen: FolderChange[] = [];
        const view = await mailbox.openFolder(folder.id, (change) => seen.push(change));
        await mailbox.removeFolder(['Short-lived']);
        assert.equal(seen.at(-1)!.kind, 'gone');
        view.close();
      });

      it('claim \\Recent once', async () => {
        await deliver(message('a'), message('b'));
        const first = await mailbox.openFolder(inbox, () => undefined);
        assert.equal((await mailbox.status(inbox)).recent, 2);
        assert.equal(await first.recentFrom(false), 1);
        assert.equal(await first.recentFrom(true), 1);
        const second = await mailbox.openFolder(inbox, () => undefined);
        assert.equal(await second.recentFrom(true), 3);
        first.close();
        second.close();
        await reopened();
        assert.equal((await mailbox.status(inbox)).recent, 0);
      });
    });

    it('modseqs only grow, through restarts', async () => {
      const seen: ModSeq[] = [];
      const look = async (): Promise<void> => void seen.push((await mailbox.status(inbox)).highestModSeq);
      await look();
      await deliver(message('a'));
      await look();
      await mailbox.storeFlags(inbox, uids(1), add(Flag.Seen));
      await look();
      await reopened();
      await mailbox.storeFlags(inbox, uids(1), add(Flag.Deleted));
      await look();
      await mailbox.expunge(inbox, null);
      await look();
      assert.deepEqual(
        seen,
        [...new Set(seen)].sort((a, b) => a - b),
      );
    });

    it('a removed mailbox is gone for every session, and takes no more mail', async () => {
      await deliver(message('a'));
      const seen: FolderChange[] = [];
      await mailbox.openFolder(inbox, (change) => seen.push(change));
      await fixture.store.removeMailbox({
        kind: 'maintenance',
        organization: fixture.organization,
        mailbox: id,
        principal: 'test',
      });
      assert.deepEqual(seen, [{ kind: 'gone' }]);
      await assert.rejects(fixture.open(id), refused('nonexistent'));
      const [error] = await fixture.deliver(await fixture.sealed(message('late')), [id]);
      assert.ok(refused('nonexistent')(error));
      await fixture.reopen();
      await assert.rejects(fixture.open(id), refused('nonexistent'));
    });

    it('a mailbox created twice is created once', async () => {
      await deliver(message('a'));
      await fixture.store.createMailbox(fixture.owner(id));
      assert.equal((await contents(mailbox)).length, 1);
      assert.equal((await mailbox.listFolders()).length, 6);
    });

    it('opens what it can of a message while others are read', async () => {
      const texts = Array.from({ length: 40 }, (_, i) => message(`m${i}`, 'y'.repeat(i * 3000)));
      await deliver(...texts);
      const wanted = uids(40, 3, 99, 17);
      const opened: string[] = [];
      for await (const stored of mailbox.messages(inbox, wanted, 'octets'))
        opened.push(await octetsOf(stored));
      assert.deepEqual(opened, [texts[39], texts[2], texts[16]]);
      for await (const stored of mailbox.messages(inbox, uids(40), 'digest')) {
        assert.equal((await stored.digest()).sizeOctets, texts[39]!.length);
        assert.equal((await stored.read(10, 20)).toString('latin1'), texts[39]!.slice(10, 20));
      }
    });

    it('yields the same messages by the batch as one by one, in the order given', async () => {
      await deliver(...Array.from({ length: 70 }, (_, i) => message(`m${i}`)));
      const wanted = uids(70, 1, 99, ...Array.from({ length: 60 }, (_, i) => i + 5));
      for (const want of ['digest', 'kept', 'octets'] as const) {
        const batched: [number, string][] = [];
        for await (const batch of mailbox.messageBatches(inbox, wanted, want)) {
          assert.ok(batch.length > 0);
          for (const stored of batch) batched.push([stored.uid, await octetsOf(stored)]);
        }
        const single: [number, string][] = [];
        for await (const stored of mailbox.messages(inbox, wanted, want)) {
          single.push([stored.uid, await octetsOf(stored)]);
        }
        assert.deepEqual(batched, single);
        assert.deepEqual(
          single.map(([uid]) => uid),
          wanted.filter((uid) => uid !== 99),
        );
      }
    });

    it('leaves out no message that has a term, whatever was moved and expunged since it looked last', async () => {
      await deliver(
        ...Array.from({ length: 6 }, (_, i) => message(`m${i}`, i % 2 === 0 ? 'needle' : 'straw')),
      );
      const missing = async (folder: FolderId, wanted: readonly number[]): Promise<number[]> => {
        const found = await mailbox.mayHaveTerm(folder, 'NEEDLE');
        return wanted.filter((uid) => !found.has(uid));
      };
      assert.deepEqual(await missing(inbox, [1, 3, 5]), []);
      const { id: work } = await mailbox.createFolder(['Work']);
      await mailbox.move(inbox, uids(1), work);
      await mailbox.storeFlags(inbox, uids(2), add(Flag.Deleted));
      await mailbox.expunge(inbox, null);
      await deliver(message('late', 'needle'));
      assert.deepEqual(await missing(inbox, [3, 5, 7]), []);
      assert.deepEqual(await missing(work, [1]), []);
    });
  });
}
