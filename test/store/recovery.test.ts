/**
 * A crash is simulated by a copy of a running store's files: what a killed process leaves behind; and, for the loss of
 * power, by files from which what was not synced is missing.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError, RefusedError } from '../../src/errors.ts';
import type { MailboxId, MessageId, Uid } from '../../src/ids.ts';
import { INLINE_BODY_OCTETS } from '../../src/limits.ts';
import { EmbeddedStore } from '../../src/store/embedded/embedded-store.ts';
import { fsck } from '../../src/store/embedded/fsck.ts';
import { bodyFile, indexFile, mailboxDirectory } from '../../src/store/embedded/layout.ts';
import { Flag, type FlagOperation, type Mailbox } from '../../src/store/types.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type Models, modelOf, observe } from './model.ts';
import { contents, message, StoreFixture } from './support.ts';

const PATHS = ['INBOX', 'Trash', 'Work', 'Work/Old', 'Elsewhere'];
const KEYWORDS = ['one', 'Two', '$three'];
const OPERATIONS: readonly FlagOperation[] = ['add', 'remove', 'replace'];

/** Numbers that `perform` makes a step of: what they mean depends on the state then. */
const STEP = fc.record({
  kind: fc.constantFrom(
    'deliver',
    'deliver',
    'deliver',
    'append',
    'flags',
    'flags',
    'copy',
    'move',
    'expunge',
    'create',
    'remove',
    'rename',
    'subscribe',
    'checkpoint',
    'absorb',
    'crash',
  ),
  mailbox: fc.nat(1),
  from: fc.nat(PATHS.length - 1),
  to: fc.nat(PATHS.length - 1),
  pick: fc.nat(0xffff),
});
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

describe('recovery', () => {
  let fixture: StoreFixture;
  let scratch: string;
  let ids: MailboxId[];
  let copies = 0;

  beforeEach(async () => {
    fixture = await StoreFixture.open();
    scratch = await makeScratch('recovery');
    ids = [await fixture.newMailbox(), await fixture.newMailbox()];
  });

  afterEach(async () => {
    assert.deepEqual(fixture.fatal, []);
    await fixture.remove();
    await removeScratch(scratch);
  });

  /**
   * What a kill leaves at this moment. The journal first: what the checkpoint thread carries over meanwhile is then in
   * both places.
   */
  function crashed(): string {
    const copy = join(scratch, `${copies++}`);
    for (const part of ['journal', 'spool', 'mailboxes']) {
      cpSync(join(fixture.directory, part), join(copy, part), { recursive: true, preserveTimestamps: true });
    }
    return copy;
  }

  /** The mailboxes' files as they were when all of them were synced last. */
  const synced = (): string => join(scratch, 'synced');

  /** What the loss of power may leave at this moment: of some mailboxes, nothing that was not synced. */
  function powerless(pick: number): string {
    const copy = crashed();
    for (const [index, id] of ids.entries()) {
      const old = mailboxDirectory(scratch, id).replace('mailboxes', 'synced');
      if (!existsSync(old) || ((pick >> (index + 1)) & 1) === 0) continue;
      rmSync(mailboxDirectory(copy, id), { recursive: true });
      cpSync(old, mailboxDirectory(copy, id), { recursive: true });
    }
    return copy;
  }

  /** Opens what a crash left, and closes it afterwards. */
  async function recovering<T>(directory: string, look: (store: EmbeddedStore) => Promise<T>): Promise<T> {
    const fatal: unknown[] = [];
    const store = await EmbeddedStore.open({
      dataDirectory: directory,
      fatal: (error) => fatal.push(error),
      segmentOctets: statSync(join(directory, 'journal', 'accept-00.log')).size,
      diskReserveOctets: 0,
    });
    try {
      return await look(store);
    } finally {
      await store.close();
      assert.deepEqual(fatal, []);
    }
  }

  async function assertLike(models: Models, store: EmbeddedStore): Promise<void> {
    for (const [id, model] of models) {
      const mailbox = await store.openMailbox(fixture.owner(id));
      assert.deepEqual(await observe(mailbox), model.view());
      mailbox.close();
    }
  }

  /** The copy holds what the models say, is sound, and is so again after a second start. */
  async function assertRecovers(directory: string, models: Models): Promise<void> {
    await recovering(directory, (store) => assertLike(models, store));
    const { problems } = await fsck(directory, { owner: null });
    assert.deepEqual(problems, []);
    await recovering(directory, (store) => assertLike(models, store));
    rmSync(directory, { recursive: true });
  }

  async function perform(step: Step, models: Models, mailboxes: Map<MailboxId, Mailbox>): Promise<void> {
    const id = ids[step.mailbox]!;
    const mailbox = mailboxes.get(id)!;
    const model = models.get(id)!;
    const [from, to] = [PATHS[step.from]!, PATHS[step.to]!];
    const source = model.folders.get(from);
    const uids = [...(source?.messages.keys() ?? [])].filter(
      (uid) => ((step.pick >> (uid % 16)) & 1) === 1,
    ) as Uid[];
    const folderId = async (path: string) => (await mailbox.findFolder(path.split('/'))).id;
    const operation = OPERATIONS[step.pick % 3]!;
    const system = step.pick & 31;
    const keywords = KEYWORDS.filter((_, index) => ((step.pick >> (5 + index)) & 1) === 1);
    switch (step.kind) {
      case 'deliver': {
        const chosen = step.pick % 3 === 0 ? ids : [id];
        const text = message(`s${step.pick}`, 'x'.repeat(step.pick % 997));
        await fixture.deliver(await fixture.sealed(text), chosen);
        for (const one of chosen) models.get(one)!.add('INBOX', text);
        return;
      }
      case 'append': {
        if (source === undefined) return;
        const texts = [message('a'), message('b', 'y'.repeat(step.pick % 3001))];
        const items = await Promise.all(
          texts.map(async (text) => ({
            message: await fixture.sealed(text),
            flags: { system, keywords },
            internalDate: new Date(0),
          })),
        );
        await mailbox.append(await folderId(from), items);
        for (const text of texts) model.add(from, text, system, keywords);
        return;
      }
      case 'flags':
        if (source === undefined) return;
        await mailbox.storeFlags(await folderId(from), uids, { operation, flags: { system, keywords } });
        return model.changeFlags(from, uids, operation, system, keywords);
      case 'copy':
      case 'move':
        if (source === undefined || !model.folders.has(to)) return;
        await mailbox[step.kind](await folderId(from), uids, await folderId(to));
        return model.copy(from, uids, to, step.kind === 'move');
      case 'expunge':
        if (source === undefined) return;
        await mailbox.expunge(await folderId(from), null);
        return model.expunge(from);
      case 'create': {
        if (source !== undefined) return;
        await mailbox.createFolder(from.split('/'));
        const made = await modelOf(mailbox);
        for (const [path, folder] of made.folders)
          if (!model.folders.has(path)) model.folders.set(path, folder);
        return;
      }
      case 'remove':
        if (source === undefined || from === 'INBOX') return;
        await mailbox.removeFolder(from.split('/'));
        return void model.folders.delete(from);
      case 'rename': {
        const target = `Moved/${step.pick % 7}`;
        const isTaken = [...model.folders.keys()].some((path) => path.startsWith(target));
        if (source === undefined || from === 'INBOX' || isTaken) return;
        await mailbox.renameFolder(from.split('/'), target.split('/'));
        model.rename(from, target);
        const parent = (await modelOf(mailbox)).folders.get('Moved')!;
        if (!model.folders.has('Moved')) model.folders.set('Moved', parent);
        return;
      }
      case 'subscribe': {
        const isSubscribed = step.pick % 2 === 0;
        await mailbox.setSubscribed(from.split('/'), isSubscribed);
        if (isSubscribed) model.subscriptions.add(from);
        else model.subscriptions.delete(from);
        return;
      }
      case 'checkpoint':
        await fixture.store.checkpoint();
        rmSync(synced(), { recursive: true, force: true });
        return cpSync(join(fixture.directory, 'mailboxes'), synced(), { recursive: true });
      case 'absorb':
        return fixture.absorb(id);
      case 'crash':
        return assertRecovers(step.pick % 2 === 0 ? crashed() : powerless(step.pick), models);
      default:
        step.kind satisfies never;
    }
  }

  it('brings a queue back with its envelopes and last notes, whatever had reached the disk', async () => {
    const owner = await fixture.newQueue();
    const handle = fixture.keyring.deliverHandle(fixture.organization, owner.mailbox, null);
    const envelope = Buffer.from('to somebody elsewhere');
    const queue = await fixture.store.openQueue(owner, () => undefined);
    const sent: MessageId[] = [];
    for (const text of ['noted twice', 'done', 'new']) {
      const sealed = await fixture.sealed(message(text));
      await fixture.store.deliver(sealed, [{ handle, folder: 'inbox', envelope }]);
      sent.push(sealed.id);
    }
    for await (const _ of queue.messages());
    await queue.setNote(sent[0]!, Buffer.from('one'));
    await queue.remove(sent[1]!);
    const early = crashed();
    await fixture.store.checkpoint();
    await queue.setNote(sent[0]!, Buffer.from('two'));
    const late = crashed();
    for (const [directory, note] of [
      [early, 'one'],
      [late, 'two'],
    ] as const) {
      await recovering(directory, async (store) => {
        const again = await store.openQueue(owner, () => undefined);
        const found: MessageId[] = [];
        for await (const { id } of again.messages()) found.push(id);
        assert.deepEqual(found, [sent[0], sent[2]]);
        const opened = await again.open(sent[0]!);
        assert.deepEqual([opened.envelope, opened.note!.toString()], [envelope, note]);
        assert.equal((await again.open(sent[2]!)).note, null);
      });
      const { problems } = await fsck(directory, { owner: () => owner, mailbox: owner.mailbox });
      assert.deepEqual(problems, []);
    }
    queue.close();
  });

  it('finds after a kill what was acknowledged, and nothing else, whatever the history', async function () {
    this.timeout(60_000);
    const models: Models = new Map();
    const mailboxes = new Map<MailboxId, Mailbox>();
    for (const id of ids) {
      mailboxes.set(id, await fixture.open(id));
      models.set(id, await modelOf(mailboxes.get(id)!));
    }
    // Each history goes on where the last one ended, so that later ones begin with full mailboxes.
    const histories = fc.array(STEP, { minLength: 15, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        for (const step of steps) await perform(step, models, mailboxes);
        await assertLike(models, fixture.store);
        await assertRecovers(crashed(), models);
      }),
      { numRuns: 6, endOnFailure: true },
    );
  });

  it('keeps every delivery that was acknowledged when it came, in every mailbox or in none', async () => {
    const acknowledged = new Set<string>();
    const seen: { directory: string; before: string[] }[] = [];
    let running = true;
    const deliverers = Array.from({ length: 8 }, async (_, who) => {
      for (let n = 0; running; n++) {
        const text = message(`${who}-${n}`, 'z'.repeat((who * 977 * n) % 9000));
        await fixture.deliver(await fixture.sealed(text), ids);
        acknowledged.add(text);
      }
    });
    for (let i = 0; i < 6; i++) {
      for (let turn = 0; turn < 10 + i * 7; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (i === 3) await fixture.store.checkpoint();
      seen.push({ before: [...acknowledged], directory: crashed() });
    }
    running = false;
    await Promise.all(deliverers);
    for (const { directory, before } of seen) {
      await recovering(directory, async (store) => {
        const found: Set<string>[] = [];
        for (const id of ids) {
          const mailbox = await store.openMailbox(fixture.owner(id));
          const texts = (await contents(mailbox)).map(([, text]) => text);
          assert.equal(new Set(texts).size, texts.length);
          found.push(new Set(texts));
          mailbox.close();
        }
        for (const text of before) assert.ok(found[0]!.has(text));
        assert.deepEqual([...found[0]!].sort(), [...found[1]!].sort());
      });
    }
    assert.ok(seen.at(-1)!.before.length > 0);
  });

  it('needs nothing that was not synced: not the indexes, packs and bodies behind the last checkpoint', async () => {
    const mailbox = await fixture.open(ids[0]!);
    const inbox = (await mailbox.findFolder(['INBOX'])).id;
    const model = await modelOf(mailbox);
    const deliver = async (text: string): Promise<void> => {
      await fixture.deliver(await fixture.sealed(text), ids);
      model.add('INBOX', text);
    };
    for (let i = 0; i < 10; i++) await deliver(message(`before ${i}`));
    await fixture.store.checkpoint();
    cpSync(join(fixture.directory, 'mailboxes'), synced(), { recursive: true });
    for (let i = 0; i < 10; i++) await deliver(message(`after ${i}`, 'x'.repeat(i * 5000)));
    await mailbox.storeFlags(inbox, [2, 15] as Uid[], {
      operation: 'add',
      flags: { system: Flag.Deleted, keywords: [] },
    });
    model.changeFlags('INBOX', [2, 15], 'add', Flag.Deleted, []);
    await mailbox.expunge(inbox, null);
    model.expunge('INBOX');
    const models = new Map([[ids[0]!, model]]);

    const lost = crashed();
    rmSync(join(lost, 'mailboxes'), { recursive: true });
    cpSync(synced(), join(lost, 'mailboxes'), { recursive: true });
    await assertRecovers(lost, models);

    // The write-ahead log reached the disk up to some octet.
    const wal = `${indexFile(fixture.directory, ids[0]!)}-wal`;
    for (const share of [0.1, 0.35, 0.6, 0.85]) {
      const torn = crashed();
      truncateSync(`${indexFile(torn, ids[0]!)}-wal`, Math.floor(statSync(wal).size * share));
      await assertRecovers(torn, models);
    }
  });

  it('makes a mailbox anew of which only the journal reached the disk', async () => {
    const id = await fixture.newMailbox();
    const text = message('first');
    await fixture.deliver(await fixture.sealed(text), [id]);
    const model = await modelOf(await fixture.open(id));
    model.folders.get('INBOX')!.uidNext = 1;
    model.add('INBOX', text);
    for (const damage of ['gone', 'empty', 'zeros'] as const) {
      const copy = crashed();
      const index = indexFile(copy, id);
      if (damage === 'gone') rmSync(mailboxDirectory(copy, id), { recursive: true });
      else writeFileSync(index, Buffer.alloc(damage === 'empty' ? 0 : statSync(index).size));
      await assertRecovers(copy, new Map([[id, model]]));
    }
  });

  it('keeps large messages wherever the kill finds them between spool and mailbox', async () => {
    const octets = randomBytes(INLINE_BODY_OCTETS + 100_000);
    await fixture.deliver(await fixture.sealed(octets), ids);
    const waiting = crashed();
    const half = crashed();
    const [name] = readdirSync(join(half, 'spool'));
    const linked = bodyFile(half, ids[0]!, name as never);
    mkdirSync(join(linked, '..'), { recursive: true });
    cpSync(join(half, 'spool', name!), linked);
    await fixture.store.checkpoint();
    const carried = crashed();
    assert.deepEqual(readdirSync(join(carried, 'spool')), []);
    for (const directory of [waiting, half, carried]) {
      await recovering(directory, async (store) => {
        for (const id of ids) {
          const mailbox = await store.openMailbox(fixture.owner(id));
          assert.deepEqual(await contents(mailbox), [[1, octets.toString('latin1')]]);
          mailbox.close();
        }
        assert.deepEqual(readdirSync(join(directory, 'spool')), []);
      });
    }
  });

  it('removes files in the spool that no message needs', async () => {
    writeFileSync(join(fixture.directory, 'spool', 'stray'), 'x');
    await fixture.reopen();
    assert.deepEqual(readdirSync(join(fixture.directory, 'spool')), []);
  });

  it('does not start, and deletes nothing, when what the journal holds cannot be put in its place', async () => {
    const octets = randomBytes(INLINE_BODY_OCTETS + 100_000);
    await fixture.deliver(await fixture.sealed(octets), ids);
    const copy = crashed();
    // A file where a directory has to be.
    writeFileSync(join(mailboxDirectory(copy, ids[1]!), 'cur'), 'in the way');
    const open = (fatal: unknown[]): Promise<EmbeddedStore> =>
      EmbeddedStore.open({
        dataDirectory: copy,
        fatal: (error) => fatal.push(error),
        segmentOctets: statSync(join(copy, 'journal', 'accept-00.log')).size,
        diskReserveOctets: 0,
      });
    const fatal: unknown[] = [];
    await assert.rejects(open(fatal));
    assert.ok(fatal.length > 0);
    assert.equal(readdirSync(join(copy, 'spool')).length, 1);
    rmSync(join(mailboxDirectory(copy, ids[1]!), 'cur'));
    await recovering(copy, async (store) => {
      const mailbox = await store.openMailbox(fixture.owner(ids[1]!));
      assert.deepEqual(await contents(mailbox), [[1, octets.toString('latin1')]]);
      mailbox.close();
    });
  });

  it('starts with a damaged index set aside: other mailboxes are served, and that one loses no message', async () => {
    const texts = [message('carried over'), message('in the journal')];
    await fixture.deliver(await fixture.sealed(texts[0]!), ids);
    // Frees the segment: the mailboxes' first operations are not in the journal any more.
    await fixture.reopen();
    await fixture.deliver(await fixture.sealed(texts[1]!), ids);
    const copy = crashed();
    const index = indexFile(copy, ids[0]!);
    rmSync(`${index}-wal`, { force: true });
    writeFileSync(index, randomBytes(statSync(index).size));
    await recovering(copy, async (store) => {
      const other = await store.openMailbox(fixture.owner(ids[1]!));
      assert.deepEqual(
        (await contents(other)).map(([, text]) => text),
        texts,
      );
      other.close();
      const isLost = (error: unknown): boolean => error instanceof IntegrityError && error.code === 'format';
      await assert.rejects(store.openMailbox(fixture.owner(ids[0]!)), isLost);
      await assert.rejects(store.createMailbox(fixture.owner(ids[0]!)), isLost);
      const handle = fixture.keyring.deliverHandle(fixture.organization, ids[0]!, null);
      const placement = { handle, folder: 'inbox' } as const;
      const [outcome] = await store.deliver(await fixture.sealed(texts[0]!), [placement]);
      assert.ok(isLost(outcome!.error));
    });
    const { problems, rebuilt } = await fsck(copy, {
      owner: (id) => fixture.owner(id),
      mailbox: ids[0]!,
      rebuild: true,
    });
    assert.deepEqual([problems, rebuilt.map(({ placed, recovered }) => placed + recovered)], [[], [2]]);
  });

  describe('of a mailbox that is removed', () => {
    const remove = (id: MailboxId): Promise<void> =>
      fixture.store.removeMailbox({
        kind: 'maintenance',
        organization: fixture.organization,
        mailbox: id,
        principal: 'test',
      });

    it('ends with its removal, though its mail is still in the journal', async () => {
      const octets = randomBytes(INLINE_BODY_OCTETS + 1000);
      await fixture.deliver(await fixture.sealed(message('shared')), ids);
      await fixture.deliver(await fixture.sealed(octets), ids);
      await remove(ids[0]!);
      const copy = crashed();
      await fixture.store.checkpoint();
      assert.equal(existsSync(mailboxDirectory(fixture.directory, ids[0]!)), false);
      await fixture.deliver(await fixture.sealed(message('later')), [ids[1]!]);
      for (const directory of [copy, crashed()]) {
        await recovering(directory, async (store) => {
          const isGone = (error: unknown): boolean =>
            error instanceof RefusedError && error.code === 'nonexistent';
          await assert.rejects(store.openMailbox(fixture.owner(ids[0]!)), isGone);
          const mailbox = await store.openMailbox(fixture.owner(ids[1]!));
          assert.equal((await contents(mailbox))[1]![1], octets.toString('latin1'));
          mailbox.close();
        });
        assert.equal(existsSync(mailboxDirectory(directory, ids[0]!)), false);
      }
    });

    it('goes on where a kill found it half deleted', async () => {
      await fixture.deliver(await fixture.sealed(message('a')), ids);
      await fixture.reopen();
      await remove(ids[0]!);
      const copy = crashed();
      const directory = mailboxDirectory(copy, ids[0]!);
      renameSync(directory, `${directory}.removed`);
      rmSync(join(`${directory}.removed`, 'packs'), { recursive: true });
      await recovering(copy, async () => undefined);
      assert.deepEqual(
        readdirSync(join(directory, '..')).filter((name) => name.startsWith(ids[0]!)),
        [],
      );
    });

    it('is removed with all its mail when it lost its index before', async () => {
      await fixture.deliver(await fixture.sealed(message('a')), ids);
      await fixture.reopen();
      for (const suffix of ['', '-wal', '-shm'])
        rmSync(indexFile(fixture.directory, ids[0]!) + suffix, { force: true });
      await remove(ids[0]!);
      await fixture.store.checkpoint();
      assert.equal(existsSync(mailboxDirectory(fixture.directory, ids[0]!)), false);
    });

    it('refuses sessions that are still open, whatever they ask for', async () => {
      await fixture.deliver(await fixture.sealed(message('a')), ids);
      const mailbox = await fixture.open(ids[0]!);
      const inbox = (await mailbox.findFolder(['INBOX'])).id;
      await remove(ids[0]!);
      const isGone = (error: unknown): boolean =>
        error instanceof RefusedError && error.code === 'nonexistent';
      await assert.rejects(mailbox.listFolders(), isGone);
      await assert.rejects(mailbox.createFolder(['New']), isGone);
      await assert.rejects(mailbox.setSubscribed(['Sent'], false), isGone);
      await assert.rejects(mailbox.expunge(inbox, null), isGone);
      await assert.rejects(contents(mailbox), isGone);
      assert.throws(() => [...mailbox.summaries(inbox, [1])], isGone);
      mailbox.close();
      await fixture.store.checkpoint();
      assert.equal(existsSync(mailboxDirectory(fixture.directory, ids[0]!)), false);
    });
  });
});
