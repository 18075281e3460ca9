/**
 * The one owner of a mailbox in this process: its counters, its folder rows, its open folders, and the order of its
 * changes. docs/format.md, "Order of writes".
 *
 * What is *planned* (the next UID, the next modseq) runs ahead of what is *applied* by the operations that wait for
 * their sync. A delivery plans nothing but counters, so deliveries overlap; whatever depends on applied state (flags,
 * names, which messages exist) is planned under `exclusively`, one operation at a time.
 */
import { RefusedError } from '../../errors.ts';
import type { FolderId, MailboxId, MessageId, ModSeq, Uid } from '../../ids.ts';
import { DIGEST_VERSION } from '../../message/digest.ts';
import type {
  AddedEntry,
  AddedMessage,
  AddOperation,
  CopyOperation,
  CreateFoldersOperation,
  ExpungeOperation,
  FlagsOperation,
  MailboxOperation,
  Operation,
  RemoveMailboxOperation,
} from '../operation.ts';
import { Flag, type FolderChange, type FolderRole } from '../types.ts';
import { FolderState } from './folder-state.ts';
import type { IndexPool } from './index-pool.ts';
import { KeywordSets, keywordText } from './keyword-sets.ts';
import type { FolderRow, MailboxIndex, MailboxRow } from './mailbox-index.ts';
import type { PageSource } from './opened-pages.ts';
import type { PackPlace } from './pack.ts';
import type { PageTable } from './page-table.ts';
import { parseUidSet, type UidRange, unionOf } from './uid-ranges.ts';

export type FolderListener = (change: FolderChange) => void;

/** A folder that at least one view has open. */
export interface OpenFolder {
  readonly state: FolderState;
  readonly listeners: Set<FolderListener>;
}

/** Which messages the UIDs of a folder are, as of a moment: UIDs ascend, and no entry changes its message. */
export interface EntryKeys {
  readonly folder: FolderId;
  readonly uidNext: number;
  readonly expunges: number;
  readonly uids: Uint32Array;
  readonly keys: Float64Array;
}

interface Planned {
  modSeq: number;
  nextFolderId: number;
  nextSubscription: number;
  nextUidValidity: number;
  nextKeyword: number;
  octets: number;
}

export class MailboxOwner implements PageSource {
  readonly id: MailboxId;
  readonly #pool: IndexPool;
  readonly #vanishedRanges: number;
  /** Rows of what vanished, of folders that lost messages since the start. */
  readonly #vanishedCounts = new Map<FolderId, number>();
  #row: MailboxRow | null;
  readonly #folders = new Map<FolderId, FolderRow>();
  readonly #keywords = new Map<number, Buffer>();
  readonly #subscriptions = new Map<number, Buffer>();
  readonly #plannedUids = new Map<FolderId, number>();
  /** Folders whose removal waits for its sync: nothing more may be planned into them. */
  readonly #leaving = new Set<FolderId>();
  readonly #planned: Planned;
  readonly #open = new Map<FolderId, OpenFolder>();
  #sets = new KeywordSets();
  readonly #keywordNames = new Map<number, string>();
  readonly #dirty = new Set<FolderRow>();
  #changes: [FolderId, FolderChange][] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #hasGarbage = false;
  #pagesVersion = 0;
  /** Whether something may have to be folded into pages, merged or dropped from them. */
  hasPageWork = true;
  /** How often messages were removed from folders; and up to which of these no page is mostly dead. */
  expunges = 0;
  compactedTo = -1;
  /** Of the folder that was searched last: 12 octets a message. */
  entryKeys: EntryKeys | null = null;
  /** Messages with greater keys may be without header, digest and page: what a page that does not open leaves. */
  orphansFrom: number | null = null;
  /** Pages and roots that did not open, and that nobody was told of yet. */
  damagedPages = 0;
  /** Keys of messages that could not be absorbed. */
  readonly unabsorbable = new Set<number>();
  /** Sessions and operations that need this owner to stay. */
  pins = 0;
  isRemoved = false;

  /** @param vanishedRanges That a folder remembers, at most. */
  constructor(id: MailboxId, pool: IndexPool, vanishedRanges: number) {
    this.id = id;
    this.#pool = pool;
    this.#vanishedRanges = vanishedRanges;
    const index = this.#index();
    this.#row = index.mailbox();
    for (const folder of index.folders()) this.#folders.set(folder.id, folder);
    for (const { id: number, sealedName } of index.keywords()) this.#keywords.set(number, sealedName);
    for (const { id: number, sealedName } of index.subscriptions())
      this.#subscriptions.set(number, sealedName);
    this.#hasGarbage = index.garbage(1).length > 0;
    this.#planned = {
      modSeq: this.#row?.modSeq ?? 0,
      nextFolderId: this.#row?.nextFolderId ?? 1,
      nextSubscription: this.#row?.nextSubscription ?? 1,
      nextUidValidity: this.#row?.nextUidValidity ?? 1,
      nextKeyword: Math.max(0, ...this.#keywords.keys()) + 1,
      octets: this.octets,
    };
  }

  // --- Applied state ---

  /** False until the standard folders were created. */
  get exists(): boolean {
    return this.#row !== null && !this.isRemoved;
  }

  get epoch(): number {
    return this.#row?.epoch ?? 0;
  }

  get modSeq(): ModSeq {
    return (this.#row?.modSeq ?? 0) as ModSeq;
  }

  get octets(): number {
    let octets = 0;
    for (const folder of this.#folders.values()) octets += folder.octets;
    return octets;
  }

  /** Octets stored and on their way. */
  get plannedOctets(): number {
    return this.#planned.octets;
  }

  get folders(): Iterable<FolderRow> {
    return this.#folders.values();
  }

  get keywords(): ReadonlyMap<number, Buffer> {
    return this.#keywords;
  }

  get subscriptions(): ReadonlyMap<number, Buffer> {
    return this.#subscriptions;
  }

  /** Nothing that was planned waits to be applied. */
  get isSettled(): boolean {
    return this.#planned.modSeq === this.modSeq;
  }

  get hasGarbage(): boolean {
    return this.#hasGarbage;
  }

  /** For reading; use it at once. @throws RefusedError 'nonexistent'. */
  get index(): MailboxIndex {
    this.assertPresent();
    return this.#index();
  }

  /** Sessions may outlive their mailbox. @throws RefusedError 'nonexistent'. */
  assertPresent(): void {
    if (this.isRemoved) throw nonexistent();
  }

  /** @throws RefusedError 'nonexistent'. */
  folder(id: FolderId): FolderRow {
    this.assertPresent();
    const row = this.#folders.get(id);
    if (row === undefined || this.#leaving.has(id)) throw nonexistent();
    return row;
  }

  folderWithRole(role: FolderRole): FolderRow | undefined {
    for (const folder of this.#folders.values()) {
      if (folder.role === role && !this.#leaving.has(folder.id)) return folder;
    }
    return undefined;
  }

  /** The folder's state in memory, loaded when no view has it open; held while `listener` listens. */
  open(id: FolderId, listener: FolderListener): OpenFolder {
    const known = this.#open.get(id);
    const folder = known ?? { state: this.#load(id), listeners: new Set<FolderListener>() };
    if (known === undefined) this.#open.set(id, folder);
    folder.listeners.add(listener);
    return folder;
  }

  closeFolder(id: FolderId, listener: FolderListener): void {
    const folder = this.#open.get(id);
    if (folder === undefined) return;
    folder.listeners.delete(listener);
    if (folder.listeners.size === 0) this.#open.delete(id);
    if (this.#open.size > 0) return;
    this.#keywordNames.clear();
    this.entryKeys = null;
    // They only grow; states loaded meanwhile keep theirs.
    this.#sets = new KeywordSets();
  }

  /**
   * Opens the names of all keywords that are not remembered. They are kept while any folder is open: the one opened
   * thing that an idle connection holds (docs/threat-model.md).
   */
  rememberKeywordNames(open: (number: number, sealed: Buffer) => string): void {
    for (const [number, sealed] of this.#keywords) {
      if (!this.#keywordNames.has(number)) this.#keywordNames.set(number, open(number, sealed));
    }
  }

  /** A session creates a keyword: views of other sessions have no lease to open its name with. */
  learnKeywordName(number: number, name: string): void {
    if (this.#open.size > 0) this.#keywordNames.set(number, name);
  }

  /** Names of keywords; while a folder is open. */
  keywordNames(numbers: readonly number[]): string[] {
    return numbers.map((number) => this.#keywordNames.get(number)).filter((name) => name !== undefined);
  }

  /** See FolderView.vanishedSince. */
  vanishedSince({ id, vanishedLow }: FolderRow, modSeq: number): readonly number[] | null {
    return modSeq < vanishedLow ? null : unionOf(this.index.vanishedSince(id, modSeq));
  }

  /** The open folder's state, or one loaded for this call. */
  state(id: FolderId): FolderState {
    return this.#open.get(id)?.state ?? this.#load(id);
  }

  // --- Pages ---

  get pagesVersion(): number {
    return this.#pagesVersion;
  }

  get pages(): PageTable {
    return this.index.pages;
  }

  /** Other pages are live than before. */
  pagesChanged(): void {
    this.#pagesVersion++;
  }

  pageIsBroken(): void {
    this.orphansFrom = 0;
    this.hasPageWork = true;
    this.damagedPages++;
  }

  pagesAreOld(): void {
    this.orphansFrom = 0;
    this.hasPageWork = true;
  }

  /** No page has the message, and its row says that one does. */
  isOrphan(key: number): void {
    if (this.orphansFrom !== null || this.unabsorbable.has(key)) return;
    this.orphansFrom = 0;
    this.hasPageWork = true;
  }

  // --- Planning ---

  /**
   * Runs `plan` after all earlier ones have been applied: for operations that depend on applied state.
   * @throws RefusedError 'nonexistent' when the mailbox was removed meanwhile.
   */
  exclusively<T>(plan: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => {
      this.assertPresent();
      return plan();
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }

  takeModSeq(): ModSeq {
    return ++this.#planned.modSeq as ModSeq;
  }

  takeFolderId(): FolderId {
    return this.#planned.nextFolderId++ as FolderId;
  }

  takeSubscriptionId(): number {
    return this.#planned.nextSubscription++;
  }

  takeKeyword(): number {
    return this.#planned.nextKeyword++;
  }

  /** Seconds since 1970 where that is free: also greater than what another server gave before a move. */
  takeUidValidity(): number {
    const value = Math.max(this.#planned.nextUidValidity, Math.floor(Date.now() / 1000));
    this.#planned.nextUidValidity = value + 1;
    return value;
  }

  /** @returns the first of `count` ascending UIDs. @throws RefusedError 'too-many' when the 32 bits are used up. */
  takeUids(folder: FolderRow, count: number): Uid {
    const first = this.#plannedUids.get(folder.id) ?? folder.uidNext;
    if (first + count > 0xffff_ffff) throw new RefusedError('too-many', 'The mailbox has no UIDs left');
    this.#plannedUids.set(folder.id, first + count);
    return first as Uid;
  }

  /** From now on the folder takes no messages; its removal is to be appended in the same step. */
  retire(folder: FolderRow): void {
    this.#leaving.add(folder.id);
  }

  takeOctets(octets: number): void {
    this.#planned.octets += octets;
  }

  // --- Applying; within `begin` and `commit` ---

  begin(): void {
    this.#index().begin();
  }

  /** Ends the transaction, then tells the views. */
  commit(): void {
    const index = this.#index();
    for (const folder of this.#dirty) if (this.#folders.has(folder.id)) index.upsertFolder(folder);
    this.#dirty.clear();
    if (this.#row !== null) index.updateMailbox(this.#row);
    index.commit();
    const changes = this.#changes;
    this.#changes = [];
    for (const [id, change] of changes) {
      const listeners = this.#open.get(id)?.listeners ?? [];
      if (change.kind === 'gone') this.#open.delete(id);
      for (const listener of [...listeners]) listener(change);
    }
  }

  /**
   * Applies what of the operation concerns this mailbox and is newer than the index. What is not newer was applied
   * before: legitimate when the journal is replayed, else a bug that would lose a change.
   */
  apply(
    operation: Exclude<Operation, RemoveMailboxOperation>,
    blobs: readonly Buffer[],
    origin: unknown,
    isReplay: boolean,
  ): void {
    if (operation.op === 'add') return this.#applyAdd(operation, blobs, origin, isReplay);
    if (!this.#isNew(operation.modSeq, isReplay)) return;
    this.#applyToMailbox(operation, blobs, origin);
    this.#row!.modSeq = operation.modSeq;
  }

  #isNew(modSeq: ModSeq, isReplay: boolean): boolean {
    if (modSeq > this.modSeq) return true;
    if (!isReplay) throw new Error(`Operation ${modSeq} reached a mailbox that is at ${this.modSeq}`);
    return false;
  }

  /** The checkpoint wrote the records of these messages. */
  setPlaces(places: readonly (readonly [MessageId, PackPlace])[]): void {
    const index = this.#index();
    index.begin();
    for (const [id, place] of places) index.setPlace(id, place);
    index.commit();
    this.hasPageWork = true;
  }

  /** Forgets garbage that the checkpoint unlinked. */
  deleteGarbage(ids: readonly MessageId[]): void {
    const index = this.#index();
    index.begin();
    index.deleteGarbage(ids);
    index.commit();
    this.#hasGarbage = index.garbage(1).length > 0;
  }

  /** The mailbox is gone: its views end. */
  remove(): void {
    this.isRemoved = true;
    for (const { listeners } of this.#open.values())
      for (const listener of [...listeners]) listener({ kind: 'gone' });
    this.#open.clear();
  }

  #applyToMailbox(operation: MailboxOperation, blobs: readonly Buffer[], origin: unknown): void {
    switch (operation.op) {
      case 'flags':
        return this.#applyFlags(operation, blobs, origin);
      case 'copy':
      case 'move':
        return this.#applyCopy(operation, origin);
      case 'expunge':
        return this.#applyExpunge(operation, origin);
      case 'create-folders':
        return this.#applyCreateFolders(operation, blobs);
      case 'rename-folders':
        for (const { id, name } of operation.folders) {
          const folder = this.#folders.get(id)!;
          folder.sealedName = blobs[name]!;
          this.#dirty.add(folder);
        }
        return;
      case 'remove-folder':
        return this.#applyRemoveFolder(operation.folder, operation.modSeq);
      case 'subscribe':
        for (const { id, name } of operation.subscriptions) {
          this.#subscriptions.set(id, blobs[name]!);
          this.#index().insertSubscription(id, blobs[name]!);
          this.#row!.nextSubscription = Math.max(this.#row!.nextSubscription, id + 1);
        }
        return;
      case 'unsubscribe':
        for (const id of operation.ids) {
          this.#subscriptions.delete(id);
          this.#index().deleteSubscription(id);
        }
        return;
      case 'recent': {
        const folder = this.#folders.get(operation.folder);
        if (folder === undefined) return;
        folder.recentFrom = Math.max(folder.recentFrom, operation.from);
        this.#dirty.add(folder);
        return;
      }
      case 'note':
        this.#index().setNote(operation.message, operation.generation, blobs[operation.note]!);
        return;
      default:
        operation satisfies never;
    }
  }

  #applyAdd(operation: AddOperation, blobs: readonly Buffer[], origin: unknown, isReplay: boolean): void {
    for (const { mailbox, number, name } of operation.keywords) {
      if (mailbox === this.id) this.#addKeyword(number, blobs[name]!);
    }
    const added = new Map<FolderId, Uid[]>();
    for (const message of operation.messages) {
      for (const entry of message.to) {
        if (entry.mailbox !== this.id || !this.#isNew(entry.modSeq, isReplay)) continue;
        this.#addEntry(message, entry, blobs);
        this.#row!.modSeq = entry.modSeq;
        const uids = added.get(entry.folder);
        if (uids === undefined) added.set(entry.folder, [entry.uid]);
        else uids.push(entry.uid);
      }
    }
    for (const [folder, uids] of added) this.#changes.push([folder, { kind: 'added', uids, origin }]);
  }

  #addEntry(message: AddedMessage, entry: AddedEntry, blobs: readonly Buffer[]): void {
    const index = this.#index();
    const folder = this.#folders.get(entry.folder);
    if (folder === undefined)
      throw new Error(`A message was planned into folder ${entry.folder}, which is gone`);
    const keywords = keywordText(entry.keywords);
    const key = index.addMessage({
      id: message.id,
      epoch: entry.epoch,
      octets: message.size,
      bodyOctets: message.bodyOctets,
      digestVersion: DIGEST_VERSION,
      header: blobs[entry.header]!,
      digest: blobs[entry.digest]!,
    });
    if (entry.envelope !== undefined) index.insertQueued(message.id, blobs[entry.envelope]!);
    const word = [entry.uid, entry.flags, keywords, entry.modSeq] as const;
    index.addEntry(entry.folder, word, key, { internal: message.date, saved: message.saved });
    folder.uidNext = entry.uid + 1;
    folder.modSeq = entry.modSeq;
    this.#count(folder, 1, {
      messages: 1,
      unseen: (entry.flags & Flag.Seen) === 0 ? 1 : 0,
      deleted: (entry.flags & Flag.Deleted) === 0 ? 0 : 1,
      octets: message.size,
    });
    this.#open.get(entry.folder)?.state.append(word);
  }

  #applyFlags(operation: FlagsOperation, blobs: readonly Buffer[], origin: unknown): void {
    for (const { number, name } of operation.keywords) this.#addKeyword(number, blobs[name]!);
    const folder = this.#folders.get(operation.folder);
    if (folder === undefined) return;
    const ranges = parseUidSet(operation.uids);
    const { operation: how, flags, flagKeywords, modSeq } = operation;
    for (const range of ranges) {
      const change = this.#index().changeFlags(folder.id, range, how, flags, flagKeywords, modSeq);
      folder.unseen += change.unseen;
      folder.deleted += change.deleted;
    }
    folder.modSeq = modSeq;
    this.#dirty.add(folder);
    const uids = this.#open.get(folder.id)?.state.changeFlags(ranges, how, flags, flagKeywords, modSeq);
    if (uids !== undefined) this.#changes.push([folder.id, { kind: 'flags', uids, modSeq, origin }]);
  }

  #applyCopy(operation: CopyOperation, origin: unknown): void {
    const source = this.#folders.get(operation.folder);
    const target = this.#folders.get(operation.target);
    if (source === undefined || target === undefined) return;
    const index = this.#index();
    const { modSeq, saved } = operation;
    const ranges = parseUidSet(operation.uids);
    let firstUid: number = operation.firstUid;
    for (const range of ranges) {
      const totals = index.copyEntries(source.id, range, { folder: target.id, firstUid, modSeq, saved });
      firstUid += totals.messages;
      this.#count(target, 1, totals);
    }
    target.uidNext = firstUid;
    target.modSeq = modSeq;
    const state = this.#open.get(target.id)?.state;
    const uids: Uid[] = [];
    for (let uid: number = operation.firstUid; uid < firstUid; uid++) {
      uids.push(uid as Uid);
      const entry = state === undefined ? null : index.entry(target.id, uid);
      if (entry !== null) state!.append([uid, entry.flags, entry.keywords, modSeq]);
    }
    this.#changes.push([target.id, { kind: 'added', uids, origin }]);
    if (operation.op === 'move') this.#removeEntries(source, ranges, modSeq, origin);
  }

  #applyExpunge(operation: ExpungeOperation, origin: unknown): void {
    const folder = this.#folders.get(operation.folder);
    if (folder !== undefined)
      this.#removeEntries(folder, parseUidSet(operation.uids), operation.modSeq, origin);
  }

  #removeEntries(folder: FolderRow, ranges: readonly UidRange[], modSeq: ModSeq, origin: unknown): void {
    const index = this.#index();
    for (const range of ranges) this.#count(folder, -1, index.removeEntries(folder.id, range));
    this.#bury(folder, ranges, modSeq);
    index.collectGarbage();
    folder.modSeq = modSeq;
    this.#hasGarbage = true;
    this.hasPageWork = true;
    this.expunges++;
    const uids = this.#open.get(folder.id)?.state.remove(ranges);
    if (uids !== undefined) this.#changes.push([folder.id, { kind: 'expunged', uids, modSeq, origin }]);
  }

  /** Remembers what vanished, and forgets the older half when it is too much. */
  #bury(folder: FolderRow, ranges: readonly UidRange[], modSeq: ModSeq): void {
    const index = this.#index();
    const { id } = folder;
    const before = this.#vanishedCounts.get(id) ?? index.countVanished(id);
    let count = before + ranges.length;
    if (ranges.length > this.#vanishedRanges) {
      folder.vanishedLow = modSeq;
    } else {
      for (const range of ranges) index.bury(id, range, modSeq);
      if (count > this.#vanishedRanges) {
        folder.vanishedLow = index.vanishedModSeq(id, count - (this.#vanishedRanges >> 1));
      }
    }
    if (count > this.#vanishedRanges) {
      index.forgetVanished(id, folder.vanishedLow);
      count = index.countVanished(id);
    }
    this.#vanishedCounts.set(id, count);
  }

  #applyCreateFolders(operation: CreateFoldersOperation, blobs: readonly Buffer[]): void {
    const { epoch, modSeq, organization } = operation;
    if (this.#row === null) {
      this.#row = {
        mailbox: this.id,
        organization,
        epoch,
        modSeq,
        nextFolderId: 1,
        nextSubscription: 1,
        nextUidValidity: 1,
      };
      this.#index().insertMailbox(this.#row);
    }
    const row = this.#row;
    for (const { id, role, uidValidity, name } of operation.folders) {
      const folder: FolderRow = {
        id,
        role,
        sealedName: blobs[name]!,
        uidValidity,
        uidNext: 1,
        recentFrom: 1,
        modSeq,
        messages: 0,
        unseen: 0,
        deleted: 0,
        octets: 0,
        vanishedLow: 0,
      };
      this.#folders.set(id, folder);
      this.#dirty.add(folder);
      row.nextFolderId = Math.max(row.nextFolderId, id + 1);
      row.nextUidValidity = Math.max(row.nextUidValidity, uidValidity + 1);
    }
  }

  #applyRemoveFolder(id: FolderId, modSeq: ModSeq): void {
    const folder = this.#folders.get(id);
    if (folder === undefined) return;
    this.#removeEntries(folder, [[1, 0xffff_ffff]], modSeq, null);
    this.#index().deleteFolder(id);
    this.#folders.delete(id);
    this.#plannedUids.delete(id);
    this.#vanishedCounts.delete(id);
    this.#leaving.delete(id);
    this.#changes.push([id, { kind: 'gone' }]);
  }

  #addKeyword(number: number, sealedName: Buffer): void {
    this.#keywords.set(number, sealedName);
    this.#index().insertKeyword(number, sealedName);
  }

  #count(
    folder: FolderRow,
    sign: 1 | -1,
    totals: { messages: number; unseen: number; deleted: number; octets: number },
  ): void {
    folder.messages += sign * totals.messages;
    folder.unseen += sign * totals.unseen;
    folder.deleted += sign * totals.deleted;
    folder.octets += sign * totals.octets;
    if (sign < 0) this.#planned.octets -= totals.octets;
    this.#dirty.add(folder);
  }

  #load(id: FolderId): FolderState {
    const state = new FolderState(this.#sets);
    for (const word of this.#index().entryWords(id)) state.append(word);
    return state;
  }

  #index(): MailboxIndex {
    return this.#pool.get(this.id);
  }
}

const nonexistent = (): RefusedError => new RefusedError('nonexistent', 'The mailbox does not exist');
