/**
 * The store of one machine: accept journal, one SQLite index a mailbox, one file a body. docs/format.md.
 *
 * One process holds the data directory (data-lock.ts); in it, this object owns every mailbox.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { mkdir, readdir, rm, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { IntegrityError, type LetterlockError, RefusedError, UnavailableError } from '../../errors.ts';
import type { FolderId, MailboxId, Uid } from '../../ids.ts';
import {
  DISK_CHECK_MS,
  DISK_RESERVE_OCTETS,
  IDLE_MAILBOX_OWNERS,
  JOURNAL_RECORD_OCTETS,
  JOURNAL_SEGMENT_OCTETS,
  OPEN_INDEXES,
  SNAPSHOT_INTERVAL_MS,
} from '../../limits.ts';
import type { SealedMessage } from '../../seal/sealed-message.ts';
import { yieldingTo } from '../../yielding.ts';
import type { DeliverHandle, MaintenanceHandle, OwnerHandle } from '../handles.ts';
import { type AddedEntry, type AddedMessage, isBirth, mailboxesOf } from '../operation.ts';
import type { DeliveryOutcome, FolderRole, Mailbox, MailStore, Placement } from '../types.ts';
import { AcceptJournal, type CommittedRecord, type SurvivingSegment } from './accept-journal.ts';
import { Bodies } from './bodies.ts';
import type { MailboxGarbage, MailboxPlaces } from './checkpoint-protocol.ts';
import { Checkpointer } from './checkpointer.ts';
import { EmbeddedMailbox, type MailboxServices } from './embedded-mailbox.ts';
import { IndexPool } from './index-pool.ts';
import { indexFile, journalDirectory, mailboxesDirectory, spoolDirectory } from './layout.ts';
import { MailboxOwner } from './mailbox-owner.ts';
import { assertSqliteVersion, openIndexDatabase, SCHEMA_VERSION } from './schema.ts';
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

const GARBAGE_BATCH = 1_000;
const REPLAY_GROUP = 256;
/** More than one entry of an operation takes as JSON. */
const OPERATION_ENTRY_OCTETS = 512;
const PLACES_AT_ONCE = 256;
const EMPTY = Buffer.alloc(0);

/** A placement whose per-mailbox objects are made. */
interface SealedPlacement {
  readonly placement: Placement;
  readonly owner: MailboxOwner;
  readonly header: Buffer;
  readonly digest: Buffer;
}

export interface EmbeddedStoreOptions {
  /** Held by the caller, with lockDataDirectory. */
  readonly dataDirectory: string;
  /** Ends the process: after a failed sync nobody knows what is on the disk. */
  readonly fatal: (error: unknown) => void;
  readonly segmentOctets?: number;
  readonly snapshotIntervalMs?: number;
  readonly diskReserveOctets?: number;
}

export class EmbeddedStore implements MailStore {
  readonly #data: string;
  readonly #options: EmbeddedStoreOptions;
  readonly #pool: IndexPool;
  readonly #bodies: Bodies;
  /** In order of use, the least recent first. */
  readonly #owners = new Map<MailboxId, MailboxOwner>();
  readonly #withGarbage = new Set<MailboxId>();
  readonly #services: MailboxServices;
  #journal!: AcceptJournal;
  #checkpointer!: Checkpointer;
  #isDiskFull = false;
  #diskTimer: NodeJS.Timeout | null = null;
  #isClosing = false;

  private constructor(options: EmbeddedStoreOptions) {
    this.#options = options;
    this.#data = options.dataDirectory;
    this.#pool = new IndexPool(this.#data, OPEN_INDEXES);
    this.#bodies = new Bodies(this.#data);
    this.#services = {
      bodies: this.#bodies,
      commit: (operation, blobs, origin) => this.#journal.append(operation, blobs, origin),
      assertRoom: () => this.#assertRoom(),
      assertOpen: () => this.#journal.assertRoom(),
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
    await store.#open();
    return store;
  }

  async deliver(
    message: SealedMessage,
    placements: readonly Placement[],
  ): Promise<readonly DeliveryOutcome[]> {
    this.#assertRoom();
    const outcomes = new Map<MailboxId, DeliveryOutcome>();
    const accepted: SealedPlacement[] = [];
    const slice = yieldingTo();
    try {
      for (const placement of placements) {
        const { handle } = placement;
        if (outcomes.has(handle.mailbox)) continue;
        try {
          const owner = this.#pinOwner(handle.mailbox);
          // In the list before anything else can fail: it is unpinned from there.
          const sealed = { placement, owner, header: EMPTY, digest: EMPTY };
          accepted.push(sealed);
          assertDeliverable(owner, handle, message.sizeOctets);
          Object.assign(sealed, message.addressTo(handle));
          outcomes.set(handle.mailbox, { mailbox: handle.mailbox });
        } catch (error) {
          outcomes.set(handle.mailbox, { mailbox: handle.mailbox, error: error as LetterlockError });
        }
        const wait = slice.pause();
        if (wait !== undefined) await wait;
      }
      const placed = accepted.filter(({ header }) => header !== EMPTY);
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

  async createMailbox(owner: OwnerHandle): Promise<void> {
    this.#assertRoom();
    // Not synced: until the checkpoint has, the accept journal can make it anew.
    this.#makeIndex(owner.mailbox);
    const mailbox = new EmbeddedMailbox(owner, this.#pinOwner(owner.mailbox), this.#services);
    try {
      await mailbox.createStandardFolders(STANDARD_FOLDERS);
    } finally {
      mailbox.close();
    }
  }

  async removeMailbox(handle: MaintenanceHandle): Promise<void> {
    this.#journal.assertRoom();
    if (!existsSync(indexFile(this.#data, handle.mailbox))) return;
    await this.#services.commit({ op: 'remove-mailbox', mailbox: handle.mailbox }, []);
  }

  async openMailbox(owner: OwnerHandle): Promise<Mailbox> {
    const pinned = this.#pinOwner(owner.mailbox);
    if (!pinned.exists) {
      pinned.pins--;
      throw new RefusedError('nonexistent', 'The mailbox does not exist');
    }
    return new EmbeddedMailbox(owner, pinned, this.#services);
  }

  /** False while the disk is too full to accept mail. */
  get hasSpace(): boolean {
    return !this.#isDiskFull;
  }

  /** Carries everything over from the accept journal to where it stays. For backups and tests. */
  async checkpoint(): Promise<void> {
    await this.#checkpointer.runNow();
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#diskTimer !== null) clearInterval(this.#diskTimer);
    await this.#journal.close();
    await this.#checkpointer.close();
    await this.#journal.closeFiles();
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
        group.push({ ...record, segment, offset: record.end, origin: undefined });
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

  /** An empty index: copying it is twenty times faster than running the schema for each new mailbox. */
  #makeTemplate(): void {
    if (existsSync(this.#template)) return;
    const beside = `${this.#template}.new`;
    rmSync(beside, { force: true });
    const database = openIndexDatabase(beside);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    renameSync(beside, this.#template);
  }

  #makeIndex(mailbox: MailboxId): void {
    const path = indexFile(this.#data, mailbox);
    if (existsSync(path)) return;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    copyFileSync(this.#template, `${path}.new`);
    renameSync(`${path}.new`, path);
  }

  // --- Committing ---

  async #commitDelivery(message: SealedMessage, placed: readonly SealedPlacement[]): Promise<void> {
    this.#journal.assertRoom();
    assertFitsRecord(message, placed, this.#options.segmentOctets ?? JOURNAL_SEGMENT_OCTETS);
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
      to: placed.map(({ placement, owner, header, digest }): AddedEntry => {
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
      await this.#applyToMailbox(mailbox, list, isReplay);
      const wait = slice.pause();
      if (wait !== undefined) await wait;
    }
    this.#checkpointer.nudge();
  }

  async #applyToMailbox(
    mailbox: MailboxId,
    records: readonly CommittedRecord[],
    isReplay: boolean,
  ): Promise<void> {
    if (isReplay && records.some(({ operation }) => isBirth(operation))) this.#makeIndex(mailbox);
    // A mailbox that was removed meanwhile takes its mail along.
    if (!existsSync(indexFile(this.#data, mailbox))) return;
    const owner = this.#owner(mailbox);
    let isRemoved = false;
    owner.begin();
    for (const { operation, blobs, origin } of records) {
      if (operation.op === 'remove-mailbox') isRemoved = true;
      else if (!isRemoved) owner.apply(operation, blobs, origin, isReplay);
    }
    owner.commit();
    if (owner.hasGarbage) this.#withGarbage.add(mailbox);
    if (isRemoved) await this.#drop(owner);
  }

  /** The rest of the directory goes at the next checkpoint. */
  async #drop(owner: MailboxOwner): Promise<void> {
    owner.remove();
    this.#owners.delete(owner.id);
    this.#withGarbage.delete(owner.id);
    this.#pool.close(owner.id);
    this.#bodies.forget(owner.id);
    for (const suffix of ['', '-wal', '-shm'])
      await rm(indexFile(this.#data, owner.id) + suffix, { force: true });
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
        if (!existsSync(indexFile(this.#data, mailbox))) break;
        this.#owner(mailbox).setPlaces(places.slice(from, from + PLACES_AT_ONCE));
        await nextTurn();
      }
    }
  }

  #garbage(): MailboxGarbage[] {
    return [...this.#withGarbage].map((mailbox) => ({
      mailbox,
      ids: this.#owner(mailbox).index.garbage(GARBAGE_BATCH),
    }));
  }

  #forgetGarbage(garbage: readonly MailboxGarbage[]): void {
    for (const { mailbox, ids } of garbage) {
      if (!existsSync(indexFile(this.#data, mailbox))) continue;
      const owner = this.#owner(mailbox);
      owner.deleteGarbage(ids);
      if (owner.hasGarbage) this.#checkpointer.nudge();
      else this.#withGarbage.delete(mailbox);
    }
  }

  // --- Owners ---

  #pinOwner(mailbox: MailboxId): MailboxOwner {
    const owner = this.#owner(mailbox);
    owner.pins++;
    return owner;
  }

  /** @throws RefusedError 'nonexistent'. */
  #owner(mailbox: MailboxId): MailboxOwner {
    const known = this.#owners.get(mailbox);
    if (known !== undefined) {
      this.#owners.delete(mailbox);
      this.#owners.set(mailbox, known);
      return known;
    }
    if (!existsSync(indexFile(this.#data, mailbox))) {
      throw new RefusedError('nonexistent', 'The mailbox does not exist');
    }
    const owner = new MailboxOwner(mailbox, this.#pool);
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
    this.#isDiskFull = bavail * bsize < (this.#options.diskReserveOctets ?? DISK_RESERVE_OCTETS);
  }
}

/**
 * One record takes all recipients or none. What does not fit has a digest of many kilobytes and thousands of recipients.
 * @throws RefusedError 'too-big'.
 */
function assertFitsRecord(
  { body }: SealedMessage,
  placed: readonly SealedPlacement[],
  segmentOctets: number,
): void {
  let octets = body.kind === 'memory' ? body.octets.length : 0;
  for (const { header, digest } of placed) octets += header.length + digest.length + OPERATION_ENTRY_OCTETS;
  if (octets > Math.min(JOURNAL_RECORD_OCTETS, segmentOctets) - OPERATION_ENTRY_OCTETS) {
    throw new RefusedError('too-big', 'The message has too many parts for so many recipients');
  }
}

/** @throws RefusedError 'nonexistent', 'over-quota'; IntegrityError for a recipient of an earlier epoch. */
function assertDeliverable(owner: MailboxOwner, handle: DeliverHandle, octets: number): void {
  if (!owner.exists) throw new RefusedError('nonexistent', 'The mailbox does not exist');
  if (handle.epoch < owner.epoch) {
    throw new IntegrityError('recipient-unverified', 'The recipient key is older than the mailbox knows');
  }
  if (handle.quotaOctets !== null && owner.plannedOctets + octets > handle.quotaOctets) {
    throw new RefusedError('over-quota', 'The mailbox is over its quota');
  }
}
