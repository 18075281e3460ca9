/**
 * The store of one machine: accept journal, one SQLite index a mailbox, one file a body. docs/format.md.
 *
 * One process holds the data directory (data-lock.ts); in it, this object owns every mailbox.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { mkdir, readdir, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { IntegrityError, type LetterlockError, RefusedError, UnavailableError } from '../../errors.ts';
import type { FolderId, MailboxId, Uid } from '../../ids.ts';
import {
  DISK_CHECK_MS,
  DISK_RESERVE_OCTETS,
  GARBAGE_MAILBOXES,
  IDLE_MAILBOX_OWNERS,
  JOURNAL_SEGMENT_OCTETS,
  JOURNAL_STALL_MS,
  OPEN_INDEXES,
  SNAPSHOT_INTERVAL_MS,
  VANISHED_RANGES_PER_FOLDER,
} from '../../limits.ts';
import type { SealedMessage } from '../../seal/sealed-message.ts';
import type { Durations } from '../../tally.ts';
import { yieldingTo } from '../../yielding.ts';
import type { DeliverHandle, MaintenanceHandle, OwnerHandle } from '../handles.ts';
import { type AddedEntry, type AddedMessage, isBirth, mailboxesOf } from '../operation.ts';
import type {
  DeliveryOutcome,
  FolderRole,
  Mailbox,
  MailboxKind,
  MailStore,
  Placement,
  QueuedMessage,
  QueueMailbox,
} from '../types.ts';
import { Absorber } from './absorber.ts';
import { AcceptJournal, type CommittedRecord, type SurvivingSegment } from './accept-journal.ts';
import { Bodies } from './bodies.ts';
import type { MailboxGarbage, MailboxPlaces } from './checkpoint-protocol.ts';
import { Checkpointer } from './checkpointer.ts';
import { EmbeddedMailbox, type MailboxServices } from './embedded-mailbox.ts';
import { EmbeddedQueue } from './embedded-queue.ts';
import { IndexPool } from './index-pool.ts';
import {
  indexFile,
  journalDirectory,
  mailboxDirectory,
  mailboxesDirectory,
  snapshotFile,
  spoolDirectory,
} from './layout.ts';
import { MailboxOwner } from './mailbox-owner.ts';
import { listPacks } from './pack.ts';
import { assertSqliteVersion, isDamage, openIndexDatabase, SCHEMA_VERSION } from './schema.ts';
import { readRecords, SEGMENT_HEADER_OCTETS } from './segment.ts';

/** RFC 6154; all subscribed. Drafts and Sent are what clients look for first. */
const STANDARD_FOLDERS: readonly { readonly path: readonly string[]; readonly role: FolderRole }[] = [
  { path: ['INBOX'], role: 'inbox' },
  { path: ['Drafts'], role: 'drafts' },
  { path: ['Sent'], role: 'sent' },
  { path: ['Junk'], role: 'junk' },
  { path: ['Trash'], role: 'trash' },
  { path: ['Archive'], role: 'archive' },
];
const QUEUE_FOLDERS = STANDARD_FOLDERS.slice(0, 1);

const GARBAGE_BATCH = 1_000;
const REPLAY_GROUP = 256;
const PLACES_AT_ONCE = 256;
const EMPTY = Buffer.alloc(0);

/** A placement whose per-mailbox objects are made. */
interface SealedPlacement {
  readonly placement: Placement;
  readonly owner: MailboxOwner;
  readonly header: Buffer;
  readonly digest: Buffer;
  readonly envelope: Buffer | null;
}

export interface EmbeddedStoreOptions {
  /** Held by the caller, with lockDataDirectory. */
  readonly dataDirectory: string;
  /** Ends the process: after a failed sync nobody knows what is on the disk. */
  readonly fatal: (error: unknown) => void;
  readonly segmentOctets?: number;
  readonly snapshotIntervalMs?: number;
  readonly diskReserveOctets?: number;
  /** Ranges of vanished UIDs that a folder remembers; at least 2. */
  readonly vanishedRanges?: number;
  /** Whether newly arrived mail is absorbed in the background; default true. `absorb` does it in any case. */
  readonly absorbs?: boolean;
  /** Background work failed and was given up; what it would have made is missing, and nothing else. */
  readonly onBackgroundError?: (error: unknown) => void;
  /** So often the root or a page of this mailbox did not open. */
  readonly onPageDamage?: (mailbox: MailboxId, times: number) => void;
}

/** How the store does; counts are since its start. */
export interface StoreVitals {
  readonly syncs: Durations;
  readonly records: number;
  readonly segmentsInUse: number;
  readonly checkpoints: Durations;
  /** For how long the oldest change has waited for a checkpoint. */
  readonly checkpointLagMs: number;
  readonly freeOctets: number;
  readonly reserveOctets: number;
}

export class EmbeddedStore implements MailStore {
  readonly #data: string;
  readonly #options: EmbeddedStoreOptions;
  readonly #pool: IndexPool;
  readonly #bodies: Bodies;
  /** In order of use, the least recent first. */
  readonly #owners = new Map<MailboxId, MailboxOwner>();
  readonly #withGarbage = new Set<MailboxId>();
  /** Removed since the start; their files go with a checkpoint. An id is never given to a second mailbox. */
  readonly #removed = new Set<MailboxId>();
  readonly #services: MailboxServices;
  readonly #absorber: Absorber;
  /** Mailboxes whose pages were written since the last checkpoint. */
  #withPages = new Set<MailboxId>();
  #journal!: AcceptJournal;
  #checkpointer!: Checkpointer;
  #isDiskFull = false;
  #freeOctets = 0;
  #diskTimer: NodeJS.Timeout | null = null;
  #isClosing = false;

  private constructor(options: EmbeddedStoreOptions) {
    this.#options = options;
    this.#data = options.dataDirectory;
    this.#pool = new IndexPool(this.#data, OPEN_INDEXES);
    this.#bodies = new Bodies(this.#data);
    const { absorbs = true, onBackgroundError = options.fatal } = options;
    this.#absorber = new Absorber({
      bodies: this.#bodies,
      hasSpace: () => this.hasSpace,
      written: (mailbox) => {
        this.#withPages.add(mailbox);
        this.#checkpointer.nudge();
      },
      damaged: (mailbox, times) => options.onPageDamage?.(mailbox, times),
      onBug: onBackgroundError,
    });
    this.#services = {
      bodies: this.#bodies,
      absorb: (owner, handle) => {
        if (absorbs) this.#absorber.offer(owner, handle);
      },
      commit: (operation, blobs, origin) => this.#journal.append(operation, blobs, origin),
      assertRoom: () => this.#assertRoom(),
      assertOpen: () => this.#journal.assertRoom(),
      assertFits: (blobOctets, entries) => this.#journal.assertFits(blobOctets, entries),
      release: (owner) => {
        owner.pins--;
      },
    };
  }

  /**
   * Opens the store; replays what a crash left in the accept journal first.
   * @throws IntegrityError when a segment is damaged, or written by a newer version.
   */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    assertSqliteVersion();
    const store = new EmbeddedStore(options);
    try {
      await store.#open();
    } catch (error) {
      await store.#closeParts();
      throw error;
    }
    return store;
  }

  async deliver(
    message: SealedMessage,
    placements: readonly Placement[],
  ): Promise<readonly DeliveryOutcome[]> {
    this.#assertRoom();
    const outcomes = new Map<MailboxId, DeliveryOutcome>();
    const accepted: SealedPlacement[] = [];
    let octets = message.body.kind === 'memory' ? message.body.octets.length : 0;
    const slice = yieldingTo();
    try {
      for (const placement of placements) {
        const { handle } = placement;
        if (outcomes.has(handle.mailbox)) continue;
        try {
          const owner = this.#pinOwner(handle.mailbox);
          // In the list before anything else can fail: it is unpinned from there.
          const sealed = {
            placement,
            owner,
            header: EMPTY,
            digest: EMPTY,
            envelope: sealedEnvelope(message, placement),
          };
          accepted.push(sealed);
          assertDeliverable(owner, handle, message.sizeOctets);
          Object.assign(sealed, message.addressTo(handle));
          octets += sealed.header.length + sealed.digest.length + (sealed.envelope?.length ?? 0);
          outcomes.set(handle.mailbox, { mailbox: handle.mailbox });
        } catch (error) {
          outcomes.set(handle.mailbox, { mailbox: handle.mailbox, error: error as LetterlockError });
        }
        // All recipients are in one record, or none. What does not fit has a digest of many kilobytes and thousands of them.
        this.#journal.assertFits(octets, accepted.length);
        const wait = slice.pause();
        if (wait !== undefined) await wait;
      }
      // Some may have been removed meanwhile.
      for (const { owner } of accepted) {
        if (owner.isRemoved) outcomes.set(owner.id, { mailbox: owner.id, error: nonexistent() });
      }
      const placed = accepted.filter(({ header, owner }) => header !== EMPTY && !owner.isRemoved);
      if (placed.length > 0) await this.#commitDelivery(message, placed);
      return [...outcomes.values()];
    } finally {
      for (const { owner } of accepted) owner.pins--;
    }
  }

  async hasRoom(handle: DeliverHandle, sizeOctets: number): Promise<boolean> {
    this.#assertRoom();
    if (handle.quotaOctets === null) return true;
    return this.#owner(handle.mailbox).plannedOctets + sizeOctets <= handle.quotaOctets;
  }

  async createMailbox(owner: OwnerHandle, kind: MailboxKind = 'user'): Promise<void> {
    this.#assertRoom();
    // Not synced: until the checkpoint has, the accept journal can make it anew.
    this.#makeIndex(owner.mailbox);
    const mailbox = new EmbeddedMailbox(owner, this.#pinOwner(owner.mailbox), this.#services);
    try {
      await mailbox.createStandardFolders(kind === 'queue' ? QUEUE_FOLDERS : STANDARD_FOLDERS);
    } finally {
      mailbox.close();
    }
  }

  async removeMailbox(handle: MaintenanceHandle): Promise<void> {
    this.#journal.assertRoom();
    // Its directory, not its index: a mailbox that lost that is removed all the same.
    if (this.#removed.has(handle.mailbox) || !existsSync(mailboxDirectory(this.#data, handle.mailbox)))
      return;
    await this.#services.commit({ op: 'remove-mailbox', mailbox: handle.mailbox }, []);
  }

  async openMailbox(owner: OwnerHandle): Promise<Mailbox> {
    return new EmbeddedMailbox(owner, this.#pinExisting(owner.mailbox), this.#services);
  }

  async openQueue(
    owner: OwnerHandle,
    onAdded: (messages: readonly QueuedMessage[]) => void,
  ): Promise<QueueMailbox> {
    return new EmbeddedQueue(owner, this.#pinExisting(owner.mailbox), this.#services, onAdded);
  }

  /** False while the disk is too full to accept mail. */
  get hasSpace(): boolean {
    return !this.#isDiskFull;
  }

  /** False while the accept journal commits nothing: the disk does not keep up, or not answer, or we are closing. */
  get canCommit(): boolean {
    return this.#journal.hasRoom && this.#journal.syncingMs < JOURNAL_STALL_MS;
  }

  get vitals(): StoreVitals {
    return {
      syncs: this.#journal.syncs,
      records: this.#journal.records,
      segmentsInUse: this.#journal.segmentsInUse,
      checkpoints: this.#checkpointer.runs,
      checkpointLagMs: this.#checkpointer.lagMs,
      freeOctets: this.#freeOctets,
      reserveOctets: this.#options.diskReserveOctets ?? DISK_RESERVE_OCTETS,
    };
  }

  /** Carries everything over from the accept journal to where it stays. For backups and tests. */
  async checkpoint(): Promise<void> {
    await this.#checkpointer.runNow();
  }

  /**
   * Folds what is carried over of a mailbox into pages, and merges them, for as long as the owner's lease lives and the
   * disk has room. Happens in the background by itself; this is for who wants it done.
   * @param pause Waits between slices, if it wants to.
   * @throws UnavailableError 'disk-full'.
   */
  async absorb(handle: OwnerHandle, pause: () => Promise<void> | undefined = () => undefined): Promise<void> {
    this.#assertRoom();
    await this.#absorber.absorb(this.#owner(handle.mailbox), handle, { pause });
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#absorber.close();
    await this.#journal.close();
    await this.#closeParts();
  }

  async #closeParts(): Promise<void> {
    if (this.#diskTimer !== null) clearInterval(this.#diskTimer);
    await this.#checkpointer?.close();
    await this.#journal?.closeFiles();
    await this.#bodies.close();
    this.#pool.closeAll();
  }

  // --- Start ---

  async #open(): Promise<void> {
    await mkdir(mailboxesDirectory(this.#data), { recursive: true, mode: 0o700 });
    await mkdir(spoolDirectory(this.#data), { recursive: true, mode: 0o700 });
    this.#makeTemplate();
    await this.#lookAtDisk();
    this.#diskTimer = setInterval(() => this.#lookAtDisk().catch(this.#options.fatal), DISK_CHECK_MS).unref();
    const [journal, surviving] = await AcceptJournal.open({
      directory: journalDirectory(this.#data),
      segmentOctets: this.#options.segmentOctets ?? JOURNAL_SEGMENT_OCTETS,
      apply: (records) => this.#apply(records, false),
      full: (segment) => this.#checkpointer.finish(segment),
      fatal: this.#options.fatal,
    });
    this.#journal = journal;
    const snapshotIntervalMs = this.#options.snapshotIntervalMs ?? SNAPSHOT_INTERVAL_MS;
    this.#checkpointer = new Checkpointer({
      thread: { dataDirectory: this.#data, snapshotIntervalMs },
      current: () => journal.current,
      garbage: () => this.#garbage(),
      done: async (segment, offset, isWhole) => {
        this.#bodies.dropPending(segment, offset);
        if (isWhole) await journal.release(segment);
      },
      placed: (places) => this.#setPlaces(places),
      removed: (garbage) => this.#forgetGarbage(garbage),
      written: () => {
        const mailboxes = [...this.#withPages].filter((mailbox) => this.#hasIndex(mailbox));
        this.#withPages = new Set();
        return mailboxes;
      },
      fatal: this.#options.fatal,
    });
    await this.#recover(surviving);
  }

  /** Replays what the last process left, and carries it over: the spool and the journal are empty afterwards. */
  async #recover(surviving: readonly SurvivingSegment[]): Promise<void> {
    for (const { segment } of surviving) {
      let group: CommittedRecord[] = [];
      for (const record of readRecords(
        segment.file.fd,
        segment.seed,
        SEGMENT_HEADER_OCTETS,
        segment.offset,
      )) {
        group.push({ ...record, segment, origin: undefined });
        if (group.length < REPLAY_GROUP) continue;
        await this.#apply(group, true);
        group = [];
      }
      await this.#apply(group, true);
    }
    for (const { segment } of surviving) this.#checkpointer.finish(segment);
    await this.#checkpointer.runNow();
    // What was planned before the replay began is stale.
    this.#owners.clear();
    for (const name of await readdir(spoolDirectory(this.#data)))
      await unlink(join(spoolDirectory(this.#data), name));
  }

  get #template(): string {
    return join(mailboxesDirectory(this.#data), `template-${SCHEMA_VERSION}.db`);
  }

  /**
   * An empty index: copying it is twenty times faster than running the schema for each new mailbox. Made at each start,
   * since nobody synced the last one.
   */
  #makeTemplate(): void {
    const beside = `${this.#template}.new`;
    rmSync(beside, { force: true });
    const database = openIndexDatabase(beside);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    renameSync(beside, this.#template);
  }

  /** @throws IntegrityError when the mailbox has mail, and only its index is lost. */
  #makeIndex(mailbox: MailboxId): void {
    const path = indexFile(this.#data, mailbox);
    if (existsSync(path)) return;
    if (listPacks(this.#data, mailbox).length > 0 || existsSync(snapshotFile(this.#data, mailbox)))
      throw lostIndex();
    this.#copyTemplate(path);
  }

  /** For a mailbox whose whole life is being replayed. */
  #makeIndexAnew(mailbox: MailboxId): void {
    this.#forget(mailbox);
    const path = indexFile(this.#data, mailbox);
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    this.#copyTemplate(path);
  }

  #copyTemplate(path: string): void {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    copyFileSync(this.#template, `${path}.new`);
    renameSync(`${path}.new`, path);
  }

  // --- Committing ---

  async #commitDelivery(message: SealedMessage, placed: readonly SealedPlacement[]): Promise<void> {
    this.#journal.assertRoom();
    // From here to `append` nothing waits: numbers are taken in the order in which the journal records them.
    const blobs: Buffer[] = [];
    const addBlob = (blob: Buffer): number => blobs.push(blob) - 1;
    const { body } = message;
    const now = Date.now();
    const added: AddedMessage = {
      id: message.id,
      size: message.sizeOctets,
      bodyOctets: body.kind === 'memory' ? body.octets.length : body.sizeOctets,
      date: now,
      saved: now,
      body: body.kind === 'memory' ? { blob: addBlob(body.octets) } : { spool: true },
      to: placed.map(({ placement, owner, header, digest, envelope }): AddedEntry => {
        const folder = owner.folderWithRole(placement.folder) ?? owner.folderWithRole('inbox')!;
        const uid: Uid = owner.takeUids(folder, 1);
        owner.takeOctets(message.sizeOctets);
        return {
          mailbox: owner.id,
          modSeq: owner.takeModSeq(),
          folder: folder.id as FolderId,
          uid,
          epoch: placement.handle.epoch,
          flags: 0,
          keywords: [],
          header: addBlob(header),
          digest: addBlob(digest),
          ...(envelope === null ? {} : { envelope: addBlob(envelope) }),
        };
      }),
    };
    await this.#journal.append({ op: 'add', messages: [added], keywords: [] }, blobs);
  }

  async #apply(records: readonly CommittedRecord[], isReplay: boolean): Promise<void> {
    const byMailbox = new Map<MailboxId, CommittedRecord[]>();
    for (const record of records) {
      this.#addPendingBodies(record);
      for (const mailbox of mailboxesOf(record.operation)) {
        const list = byMailbox.get(mailbox);
        if (list === undefined) byMailbox.set(mailbox, [record]);
        else list.push(record);
      }
    }
    const slice = yieldingTo();
    for (const [mailbox, list] of byMailbox) {
      if (isReplay) this.#replayToMailbox(mailbox, list);
      else this.#applyToMailbox(mailbox, list, false);
      const wait = slice.pause();
      if (wait !== undefined) await wait;
    }
    this.#checkpointer.nudge();
  }

  /** What the journal holds for a mailbox that has no index, or was removed, stays in the journal's hands. */
  #applyToMailbox(mailbox: MailboxId, records: readonly CommittedRecord[], isReplay: boolean): void {
    const removal = records.findIndex(({ operation }) => operation.op === 'remove-mailbox');
    const others = removal < 0 ? records : records.slice(0, removal);
    if (others.length > 0 && this.#hasIndex(mailbox)) {
      const owner = this.#owner(mailbox);
      owner.begin();
      for (const { operation, blobs, origin } of others) {
        if (operation.op !== 'remove-mailbox') owner.apply(operation, blobs, origin, isReplay);
      }
      owner.commit();
      if (owner.hasGarbage) this.#withGarbage.add(mailbox);
    }
    if (removal >= 0) this.#drop(mailbox);
  }

  /** An index that is damaged is set aside, so that one bad file does not keep all mailboxes from their mail. */
  #replayToMailbox(mailbox: MailboxId, records: readonly CommittedRecord[]): void {
    try {
      // All that the mailbox ever took is in the journal, and of its index nothing may have reached the disk.
      if (records.some(({ operation }) => isBirth(operation))) this.#makeIndexAnew(mailbox);
      this.#applyToMailbox(mailbox, records, true);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#forget(mailbox);
      renameSync(indexFile(this.#data, mailbox), `${indexFile(this.#data, mailbox)}.damaged`);
    }
  }

  /** The files go with the next checkpoint. */
  #drop(mailbox: MailboxId): void {
    this.#owners.get(mailbox)?.remove();
    this.#removed.add(mailbox);
    this.#forget(mailbox);
  }

  #forget(mailbox: MailboxId): void {
    this.#owners.delete(mailbox);
    this.#withGarbage.delete(mailbox);
    this.#pool.close(mailbox);
    this.#bodies.forget(mailbox);
  }

  #addPendingBodies({ operation, segment, offset, blobOffsets }: CommittedRecord): void {
    if (operation.op !== 'add') return;
    for (const { id, body } of operation.messages) {
      this.#bodies.addPending(id, segment, 'spool' in body ? null : blobOffsets[body.blob]!, offset);
    }
  }

  // --- After a checkpoint ---

  /** In steps, so that a full segment of small messages does not hold the event loop. */
  async #setPlaces(all: readonly MailboxPlaces[]): Promise<void> {
    for (const { mailbox, places } of all) {
      for (let from = 0; from < places.length; from += PLACES_AT_ONCE) {
        if (!this.#hasIndex(mailbox)) break;
        this.#owner(mailbox).setPlaces(places.slice(from, from + PLACES_AT_ONCE));
        await nextTurn();
      }
      if (this.#options.absorbs !== false && this.#hasIndex(mailbox))
        this.#absorber.wake(this.#owner(mailbox));
    }
  }

  #garbage(): MailboxGarbage[] {
    const mailboxes = [...this.#withGarbage].filter((mailbox) => this.#hasIndex(mailbox));
    return mailboxes.slice(0, GARBAGE_MAILBOXES).map((mailbox) => ({
      mailbox,
      ids: this.#owner(mailbox).index.garbage(GARBAGE_BATCH),
    }));
  }

  #forgetGarbage(garbage: readonly MailboxGarbage[]): void {
    for (const { mailbox, ids } of garbage) {
      this.#withGarbage.delete(mailbox);
      if (!this.#hasIndex(mailbox)) continue;
      const owner = this.#owner(mailbox);
      owner.deleteGarbage(ids);
      // Behind the others: each has its turn.
      if (owner.hasGarbage) this.#withGarbage.add(mailbox);
      // A pack that was removed takes its room until nobody has it open.
      this.#bodies.forget(mailbox);
    }
    if (this.#withGarbage.size > 0) this.#checkpointer.nudge();
  }

  // --- Owners ---

  /** @throws UnavailableError 'shutting-down'; RefusedError 'nonexistent'. */
  #pinExisting(mailbox: MailboxId): MailboxOwner {
    if (this.#isClosing) throw new UnavailableError('shutting-down', 'The server is shutting down');
    const pinned = this.#pinOwner(mailbox);
    if (!pinned.exists) {
      pinned.pins--;
      throw nonexistent();
    }
    return pinned;
  }

  #pinOwner(mailbox: MailboxId): MailboxOwner {
    const owner = this.#owner(mailbox);
    owner.pins++;
    return owner;
  }

  #hasIndex(mailbox: MailboxId): boolean {
    return !this.#removed.has(mailbox) && existsSync(indexFile(this.#data, mailbox));
  }

  /** @throws RefusedError 'nonexistent'; IntegrityError 'format' when only the index is lost. */
  #owner(mailbox: MailboxId): MailboxOwner {
    const known = this.#owners.get(mailbox);
    if (known !== undefined) {
      this.#owners.delete(mailbox);
      this.#owners.set(mailbox, known);
      return known;
    }
    if (!this.#hasIndex(mailbox)) {
      const isLost = !this.#removed.has(mailbox) && existsSync(mailboxDirectory(this.#data, mailbox));
      throw isLost ? lostIndex() : nonexistent();
    }
    const owner = new MailboxOwner(
      mailbox,
      this.#pool,
      this.#options.vanishedRanges ?? VANISHED_RANGES_PER_FOLDER,
    );
    this.#owners.set(mailbox, owner);
    if (owner.hasGarbage) this.#withGarbage.add(mailbox);
    if (this.#owners.size > IDLE_MAILBOX_OWNERS) this.#evict();
    return owner;
  }

  #evict(): void {
    for (const [mailbox, owner] of this.#owners) {
      if (owner.pins > 0 || !owner.isSettled) continue;
      this.#owners.delete(mailbox);
      this.#pool.close(mailbox);
      return;
    }
  }

  // --- Room ---

  /** @throws UnavailableError 'disk-full', 'busy', 'shutting-down'. */
  #assertRoom(): void {
    if (this.#isDiskFull) throw new UnavailableError('disk-full', 'The server is out of disk space');
    this.#journal.assertRoom();
  }

  async #lookAtDisk(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#data);
    this.#freeOctets = bavail * bsize;
    this.#isDiskFull = this.#freeOctets < (this.#options.diskReserveOctets ?? DISK_RESERVE_OCTETS);
  }
}

const nonexistent = (): RefusedError => new RefusedError('nonexistent', 'The mailbox does not exist');
const lostIndex = (): IntegrityError =>
  new IntegrityError('format', 'The mailbox lost its index; fsck can make a new one');

function sealedEnvelope(message: SealedMessage, { handle, envelope }: Placement): Buffer | null {
  return envelope === undefined ? null : message.sealEnvelope(handle, envelope);
}

/** @throws RefusedError 'nonexistent', 'over-quota'; IntegrityError for a recipient of an earlier epoch. */
function assertDeliverable(owner: MailboxOwner, handle: DeliverHandle, octets: number): void {
  if (!owner.exists) throw nonexistent();
  if (handle.epoch < owner.epoch) {
    throw new IntegrityError('recipient-unverified', 'The recipient key is older than the mailbox knows');
  }
  if (handle.quotaOctets !== null && owner.plannedOctets + octets > handle.quotaOctets) {
    throw new RefusedError('over-quota', 'The mailbox is over its quota');
  }
}
