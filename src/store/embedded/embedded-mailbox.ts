/**
 * One session's way to a mailbox: opens names under the owner's lease, plans changes, and hands them to the accept
 * journal. The mailbox's owner (mailbox-owner.ts) keeps the state that all sessions share.
 */
import { RefusedError } from '../../errors.ts';
import type { FolderId, MailboxId, ModSeq, Uid, UidValidity } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import {
  FOLDER_DEPTH,
  FOLDER_PATH_OCTETS,
  FOLDERS_PER_MAILBOX,
  KEYWORD_OCTETS,
  KEYWORDS_PER_MAILBOX,
  LOOK_AHEAD_MESSAGES,
  OPERATION_MESSAGES,
  RAW_MESSAGE_OCTETS,
  READ_AHEAD_MESSAGES,
} from '../../limits.ts';
import { type Slice, yieldingTo } from '../../yielding.ts';
import type { OwnerHandle } from '../handles.ts';
import type { AddedMessage, NewFolder, NewKeyword, Operation } from '../operation.ts';
import type {
  AppendItem,
  CopyResult,
  FlagChange,
  FolderChange,
  FolderInfo,
  FolderRole,
  FolderStatus,
  FolderView,
  Mailbox,
  MessageSummary,
  QuotaUsage,
  StoredMessage,
  UidSet,
  Wanted,
} from '../types.ts';
import type { Bodies } from './bodies.ts';
import { EmbeddedMessage, type MessageContext } from './embedded-message.ts';
import { keywordNumbers } from './keyword-sets.ts';
import type { EntryRow, FolderRow } from './mailbox-index.ts';
import type { EntryKeys, MailboxOwner } from './mailbox-owner.ts';
import { openedPages } from './opened-pages.ts';
import { joinPath, openName, sealName, splitPath } from './sealed-names.ts';
import { UidMarks } from './uid-marks.ts';
import { toUidSet } from './uid-ranges.ts';

/** What a session needs of the store. */
export interface MailboxServices {
  readonly bodies: Bodies;
  commit(operation: Operation, blobs: readonly Buffer[], origin?: unknown): Promise<void>;
  /** @throws UnavailableError 'busy', 'disk-full', 'shutting-down'. */
  assertRoom(): void;
  /** @throws RefusedError 'too-big' when so much does not fit one durable step. */
  assertFits(blobOctets: number, entries: number): void;
  /** @throws UnavailableError 'busy', 'shutting-down': for what frees space, or takes next to none. */
  assertOpen(): void;
  release(owner: MailboxOwner): void;
  /** Background work may use the lease that the handle was just granted. */
  absorb(owner: MailboxOwner, handle: OwnerHandle): void;
}

interface NamedFolder {
  readonly row: FolderRow;
  readonly name: string;
}

/** Keywords by number; `created` are those that the operation is the first to use, their names in `blobs`. */
interface NumberedKeywords {
  numbersOf(names: readonly string[]): number[];
  readonly created: readonly NewKeyword[];
  readonly blobs: readonly Buffer[];
}

export class EmbeddedMailbox implements Mailbox {
  readonly id: MailboxId;
  readonly #handle: OwnerHandle;
  readonly #owner: MailboxOwner;
  readonly #services: MailboxServices;
  readonly #views = new Set<FolderView>();
  #isClosed = false;

  constructor(handle: OwnerHandle, owner: MailboxOwner, services: MailboxServices) {
    this.id = handle.mailbox;
    this.#handle = handle;
    this.#owner = owner;
    this.#services = services;
  }

  // --- Names ---

  async listFolders(): Promise<readonly FolderInfo[]> {
    const lease = await this.#lease();
    const named = this.#namedFolders(lease);
    const subscribed = new Set(this.#subscribedNames(lease).values());
    const byName = new Map<string, FolderRow | null>();
    for (const { row, name } of named) {
      byName.set(name, row);
      // A parent that is only a name: RFC 9051 §6.3.5 keeps it, \NonExistent, while it has children.
      for (let at = name.lastIndexOf('\0'); at > 0; at = name.lastIndexOf('\0', at - 1)) {
        const parent = name.slice(0, at);
        if (!byName.has(parent)) byName.set(parent, null);
      }
    }
    const parents = new Set(
      [...byName.keys()].map((name) => name.slice(0, Math.max(0, name.lastIndexOf('\0')))),
    );
    return [...byName].map(([name, row]) => ({
      id: (row?.id ?? 0) as FolderId,
      path: splitPath(name),
      role: row?.role ?? null,
      isSubscribed: subscribed.has(name),
      hasChildren: parents.has(name),
      isSelectable: row !== null,
    }));
  }

  async listSubscriptions(): Promise<readonly (readonly string[])[]> {
    return [...this.#subscribedNames(await this.#lease()).values()].map(splitPath);
  }

  async findFolder(path: readonly string[]): Promise<FolderInfo> {
    const name = joinPath(canonicalPath(path));
    const folder = (await this.listFolders()).find((info) => joinPath(info.path) === name);
    if (folder === undefined) throw new RefusedError('nonexistent', 'The mailbox does not exist');
    return folder;
  }

  async createFolder(path: readonly string[], role?: FolderRole): Promise<FolderInfo> {
    const wanted = checkedPath(path);
    this.#services.assertRoom();
    await this.#exclusively(async (lease) => {
      const names = new Set(this.#namedFolders(lease).map(({ name }) => name));
      if (names.has(joinPath(wanted))) throw new RefusedError('already-exists', 'The mailbox exists already');
      if (role !== undefined && this.#owner.folderWithRole(role) !== undefined) {
        throw new RefusedError('already-exists', 'There is a mailbox with this special use already');
      }
      // RFC 9051 §6.3.4: missing parents are created too.
      const missing = wanted
        .map((_, depth) => wanted.slice(0, depth + 1))
        .filter((part) => !names.has(joinPath(part)));
      await this.#createFolders(
        lease,
        missing.map((part) => ({ path: part, role: part.length === wanted.length ? (role ?? null) : null })),
      );
    });
    return this.findFolder(wanted);
  }

  async removeFolder(path: readonly string[]): Promise<void> {
    this.#services.assertOpen();
    await this.#exclusively(async (lease) => {
      const name = joinPath(canonicalPath(path));
      const named = this.#namedFolders(lease);
      const found = named.find((folder) => folder.name === name);
      if (found === undefined) {
        const isParent = named.some((folder) => folder.name.startsWith(`${name}\0`));
        if (isParent) throw new RefusedError('cannot', 'The mailbox is only a name, and has children');
        throw new RefusedError('nonexistent', 'The mailbox does not exist');
      }
      if (found.row.role === 'inbox') throw new RefusedError('cannot', 'INBOX cannot be deleted');
      this.#owner.retire(found.row);
      const modSeq = this.#owner.takeModSeq();
      await this.#services.commit(
        { op: 'remove-folder', mailbox: this.id, modSeq, folder: found.row.id },
        [],
      );
    });
  }

  async renameFolder(from: readonly string[], to: readonly string[]): Promise<void> {
    const source = canonicalPath(from);
    const target = checkedPath(to);
    this.#services.assertRoom();
    if (source.length === 1 && source[0] === 'INBOX') return this.#renameInbox(target);
    await this.#exclusively(async (lease) => {
      const named = this.#namedFolders(lease);
      const [oldName, newName] = [joinPath(source), joinPath(target)];
      const moved = named.filter(({ name }) => name === oldName || name.startsWith(`${oldName}\0`));
      if (moved.length === 0) throw new RefusedError('nonexistent', 'The mailbox does not exist');
      if (newName === oldName || newName.startsWith(`${oldName}\0`)) {
        throw new RefusedError('cannot', 'A mailbox cannot be moved below itself');
      }
      const names = new Set(named.map(({ name }) => name));
      const renamed = moved.map(({ row, name }) => ({ row, name: newName + name.slice(oldName.length) }));
      for (const { name } of renamed) {
        if (names.has(name)) throw new RefusedError('already-exists', 'The mailbox exists already');
        checkedPath(splitPath(name));
      }
      const parents = target.slice(0, -1).map((_, depth) => target.slice(0, depth + 1));
      const missing = parents.filter((parent) => !names.has(joinPath(parent)));
      if (missing.length > 0) {
        await this.#createFolders(
          lease,
          missing.map((parent) => ({ path: parent, role: null })),
        );
      }
      const blobs = renamed.map(({ row, name }) => sealName(lease, 'folder-name', row.id, name));
      const folders = renamed.map(({ row }, index) => ({ id: row.id, name: index }));
      const modSeq = this.#owner.takeModSeq();
      await this.#services.commit({ op: 'rename-folders', mailbox: this.id, modSeq, folders }, blobs);
    });
  }

  async setSubscribed(path: readonly string[], isSubscribed: boolean): Promise<void> {
    const name = joinPath(isSubscribed ? checkedPath(path) : canonicalPath(path));
    this.#services.assertOpen();
    await this.#exclusively(async (lease) => {
      const ids = [...this.#subscribedNames(lease)].filter(([, known]) => known === name).map(([id]) => id);
      if (isSubscribed === ids.length > 0) return;
      const mailbox = this.id;
      if (!isSubscribed) {
        const modSeq = this.#owner.takeModSeq();
        await this.#services.commit({ op: 'unsubscribe', mailbox, modSeq, ids }, []);
        return;
      }
      if ([...this.#owner.subscriptions].length >= FOLDERS_PER_MAILBOX) {
        throw new RefusedError('too-many', 'There are too many subscriptions');
      }
      await this.#subscribe(lease, [name]);
    });
  }

  /** The standard folders of a new mailbox, all subscribed. */
  async createStandardFolders(
    folders: readonly { path: readonly string[]; role: FolderRole }[],
  ): Promise<void> {
    await this.#exclusively(async (lease) => {
      if (this.#owner.exists) return;
      await this.#createFolders(lease, folders);
      await this.#subscribe(
        lease,
        folders.map(({ path }) => joinPath(path)),
      );
    });
  }

  // --- Folders ---

  async status(folder: FolderId): Promise<FolderStatus> {
    const row = this.#owner.folder(folder);
    const isAllOld = row.recentFrom >= row.uidNext;
    return {
      messages: row.messages,
      unseen: row.unseen,
      deleted: row.deleted,
      recent: isAllOld ? 0 : this.#owner.index.totals(folder, [row.recentFrom, 0xffff_ffff]).messages,
      uidNext: row.uidNext as Uid,
      uidValidity: row.uidValidity as UidValidity,
      highestModSeq: row.modSeq as ModSeq,
      sizeOctets: row.octets,
    };
  }

  async quota(): Promise<QuotaUsage> {
    let messages = 0;
    for (const folder of this.#owner.folders) messages += folder.messages;
    return { storageOctets: this.#owner.octets, storageLimitOctets: this.#handle.quotaOctets, messages };
  }

  async openFolder(folder: FolderId, onChange: (change: FolderChange) => void): Promise<FolderView> {
    const lease = await this.#lease();
    const owner = this.#owner;
    const row = owner.folder(folder);
    owner.rememberKeywordNames((number, sealed) => openName(lease, 'keyword-name', number, sealed));
    // Each view listens with a function of its own: two views may share `onChange`.
    const listener = (change: FolderChange): void => onChange(change);
    const { state } = owner.open(folder, listener);
    const services = this.#services;
    const mailbox = this.id;
    const views = this.#views;
    const view: FolderView = {
      id: folder,
      uidValidity: row.uidValidity as UidValidity,
      get uidNext() {
        return row.uidNext as Uid;
      },
      get highestModSeq() {
        return row.modSeq as ModSeq;
      },
      uids: () => state.uids.slice(),
      flags: (uid) => {
        const index = state.indexOf(uid);
        if (index < 0) return undefined;
        const { system, keywords, modSeq } = state.flagsAt(index);
        return { system, keywords: owner.keywordNames(keywords), modSeq: modSeq as ModSeq };
      },
      changedSince: (modSeq) => state.changedSince(modSeq),
      vanishedSince: (modSeq) => owner.vanishedSince(row, modSeq),
      keywords: () => owner.keywordNames([...owner.keywords.keys()]),
      recentFrom: async (claim) => {
        const from = row.recentFrom as Uid;
        if (claim && row.recentFrom < row.uidNext) {
          row.recentFrom = row.uidNext;
          const modSeq = owner.takeModSeq();
          // Nothing waits for this mark: a crash before it is durable only makes messages \Recent once more.
          services
            .commit({ op: 'recent', mailbox, modSeq, folder, from: row.uidNext as Uid }, [])
            .catch(() => undefined);
        }
        return from;
      },
      close: () => {
        if (!views.delete(view)) return;
        owner.closeFolder(folder, listener);
      },
    };
    views.add(view);
    return view;
  }

  // --- Messages ---

  async append(
    folder: FolderId,
    items: readonly AppendItem[],
    origin?: unknown,
  ): Promise<{ uidValidity: UidValidity; uids: readonly Uid[] }> {
    this.#services.assertRoom();
    return this.#exclusively(async (lease) => {
      const row = this.#owner.folder(folder);
      this.#assertQuota(items.reduce((sum, { message }) => sum + message.sizeOctets, 0));
      const { epoch, recipient } = this.#handle;
      const addressed = items.map(({ message }) => message.addressTo({ mailbox: this.id, epoch, recipient }));
      this.#services.assertFits(appendedOctets(items, addressed), items.length);
      const blobs: Buffer[] = [];
      const addBlob = (blob: Buffer): number => blobs.push(blob) - 1;
      const keywords = this.#numberKeywords(
        lease,
        items.flatMap(({ flags }) => flags.keywords),
        true,
      );
      const created = keywords.created.map((keyword) => ({
        ...keyword,
        name: addBlob(keywords.blobs[keyword.name]!),
      }));
      const saved = Date.now();
      const firstUid = this.#owner.takeUids(row, items.length);
      const messages = items.map(({ message, flags, internalDate }, index): AddedMessage => {
        const { header, digest } = addressed[index]!;
        this.#owner.takeOctets(message.sizeOctets);
        const { body } = message;
        return {
          id: message.id,
          size: message.sizeOctets,
          bodyOctets: body.kind === 'memory' ? body.octets.length : body.sizeOctets,
          date: internalDate.getTime(),
          saved,
          body: body.kind === 'memory' ? { blob: addBlob(body.octets) } : { spool: true },
          to: [
            {
              mailbox: this.id,
              modSeq: this.#owner.takeModSeq(),
              folder,
              uid: (firstUid + index) as Uid,
              epoch,
              flags: flags.system,
              keywords: keywords.numbersOf(flags.keywords),
              header: addBlob(header),
              digest: addBlob(digest),
            },
          ],
        };
      });
      await this.#services.commit({ op: 'add', messages, keywords: created }, blobs, origin);
      return {
        uidValidity: row.uidValidity as UidValidity,
        uids: items.map((_, i) => (firstUid + i) as Uid),
      };
    });
  }

  async storeFlags(
    folder: FolderId,
    uids: readonly Uid[],
    change: FlagChange,
  ): Promise<{ modSeq: ModSeq; changed: readonly Uid[]; modified: readonly Uid[]; missing: readonly Uid[] }> {
    this.#services.assertOpen();
    const { operation, flags, unchangedSince, origin } = change;
    return this.#exclusively(async (lease) => {
      this.#owner.folder(folder);
      const state = this.#owner.state(folder);
      const keywords = this.#numberKeywords(lease, flags.keywords, operation !== 'remove');
      const flagKeywords = keywords.numbersOf(flags.keywords);
      const changed: Uid[] = [];
      const modified: Uid[] = [];
      const missing: Uid[] = [];
      for (const uid of ascending(uids)) {
        const index = state.indexOf(uid);
        if (index < 0) missing.push(uid);
        else if (unchangedSince !== undefined && state.modSeqAt(index) > unchangedSince) modified.push(uid);
        else if (state.wouldChange(index, operation, flags.system, flagKeywords)) changed.push(uid);
      }
      let { created, blobs } = keywords;
      for (const some of inPortions(changed, OPERATION_MESSAGES)) {
        await this.#services.commit(
          {
            op: 'flags',
            mailbox: this.id,
            modSeq: this.#owner.takeModSeq(),
            folder,
            uids: toUidSet(some as Uid[], state.uids, (uid) => state.indexOf(uid)),
            operation,
            flags: flags.system,
            flagKeywords,
            keywords: created,
          },
          blobs,
          origin,
        );
        created = blobs = [];
      }
      return { modSeq: this.#owner.modSeq, changed, modified, missing };
    });
  }

  copy(folder: FolderId, uids: readonly Uid[], target: FolderId, origin?: unknown): Promise<CopyResult> {
    this.#services.assertRoom();
    // RFC 9051 §6.4.7: all or none, so that the record is one however long it takes.
    return this.#copy('copy', folder, uids, target, Number.POSITIVE_INFINITY, origin);
  }

  move(folder: FolderId, uids: readonly Uid[], target: FolderId, origin?: unknown): Promise<CopyResult> {
    this.#services.assertOpen();
    return this.#copy('move', folder, uids, target, OPERATION_MESSAGES, origin);
  }

  async expunge(folder: FolderId, uids: readonly Uid[] | null, origin?: unknown): Promise<readonly Uid[]> {
    this.#services.assertOpen();
    return this.#owner.exclusively(async () => {
      this.#owner.folder(folder);
      const state = this.#owner.state(folder);
      const expunged = state.deleted(uids === null ? null : ascending(uids));
      for (const some of inPortions(expunged, OPERATION_MESSAGES)) {
        const set = toUidSet(some as Uid[], state.uids, (uid) => state.indexOf(uid));
        const modSeq = this.#owner.takeModSeq();
        await this.#services.commit(
          { op: 'expunge', mailbox: this.id, modSeq, folder, uids: set },
          [],
          origin,
        );
      }
      return expunged;
    });
  }

  *summaries(folder: FolderId, uids: Iterable<number>): Iterable<MessageSummary> {
    for (const some of inPortions(uids, LOOK_AHEAD_MESSAGES)) {
      for (const row of this.#entries(folder, some as Uid[])) yield this.#summary(row);
    }
  }

  async mayHaveTerm(folder: FolderId, term: string): Promise<UidSet> {
    const slice = yieldingTo();
    const { uids, keys } = await this.#entryKeys(folder, slice);
    const found = new UidMarks(uids);
    for (let from = 0; from < uids.length; from += TERM_ENTRIES) {
      const pages = openedPages(await this.#lease(), this.#owner);
      const end = Math.min(uids.length, from + TERM_ENTRIES);
      for (let at = from; at < end; at++) if (pages.mayHave(keys[at]!, term)) found.mark(at);
      await slice.pause();
    }
    return found;
  }

  /** As the owner remembers them of the folder that was searched last, or anew. */
  async #entryKeys(folder: FolderId, slice: Slice): Promise<EntryKeys> {
    const owner = this.#owner;
    const { uidNext } = owner.folder(folder);
    const { expunges, entryKeys: known } = owner;
    if (known?.folder === folder && known.uidNext === uidNext && known.expunges === expunges) return known;
    // Of each portion at once: an object for each of a million messages would take more than all of these.
    const parts: { readonly uids: Uint32Array; readonly keys: Float64Array }[] = [];
    let count = 0;
    for (let after = 0; ; ) {
      const some = owner.index.entryKeys(folder, after, TERM_ENTRIES);
      parts.push({
        uids: Uint32Array.from(some, ([uid]) => uid),
        keys: Float64Array.from(some, ([, key]) => key),
      });
      count += some.length;
      if (some.length < TERM_ENTRIES) break;
      after = some.at(-1)![0];
      await slice.pause();
    }
    const uids = new Uint32Array(count);
    const keys = new Float64Array(count);
    let at = 0;
    for (const part of parts) {
      uids.set(part.uids, at);
      keys.set(part.keys, at);
      at += part.uids.length;
    }
    owner.entryKeys = { folder, uidNext, expunges, uids, keys };
    return owner.entryKeys;
  }

  async *messages(folder: FolderId, uids: readonly Uid[], want: Wanted): AsyncGenerator<StoredMessage> {
    for await (const batch of this.messageBatches(folder, uids, want)) yield* batch;
  }

  async *messageBatches(
    folder: FolderId,
    uids: readonly Uid[],
    want: Wanted,
  ): AsyncGenerator<readonly StoredMessage[]> {
    const step = want === 'octets' ? READ_AHEAD_MESSAGES : LOOK_AHEAD_MESSAGES;
    let batch = await this.#openBatch(folder, uids.slice(0, step), want);
    for (let from = step; from < uids.length + step; from += step) {
      // The next batch is on its way while this one is being used.
      const next = this.#openBatch(folder, uids.slice(from, from + step), want);
      next.catch(() => undefined);
      if (batch.length > 0) yield batch;
      batch = await next;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const view of [...this.#views]) view.close();
    this.#services.release(this.#owner);
  }

  // --- Inside ---

  async #openBatch(folder: FolderId, uids: readonly Uid[], want: Wanted): Promise<EmbeddedMessage[]> {
    if (uids.length === 0) return [];
    // Asked for anew each time: a long FETCH outlives a lease, and must not outlive the right to it.
    const lease = await this.#lease();
    const mailbox = this.id;
    const owner = this.#owner;
    const { bodies } = this.#services;
    const rows = this.#entries(folder, uids);
    const ahead = new Map<EntryRow, Promise<Buffer>>();
    if (want !== 'digest') {
      const small: EntryRow[] = [];
      let octets = 0;
      for (const row of rows) {
        if (row.octets > RAW_MESSAGE_OCTETS) continue;
        if (want === 'kept' && openedPages(lease, owner).find(row.messageKey, row.id) !== null) continue;
        octets += row.bodyOctets;
        if (octets > READ_AHEAD_MESSAGES * RAW_MESSAGE_OCTETS) break;
        small.push(row);
      }
      const reading = bodies.readAll(small.map((row) => ({ mailbox, ...row })));
      for (const [at, row] of small.entries()) {
        // Awaited later, or never: a failure must not count as unhandled meanwhile.
        reading[at]!.catch(() => undefined);
        ahead.set(row, reading[at]!);
      }
    }
    const context: MessageContext = {
      mailbox,
      bodies,
      owner,
      folder,
      lease: () => this.#lease(),
      heldLease: () => this.#handle.heldLease(),
    };
    return rows.map((row) => {
      const keywords = row.keywords === null ? NO_KEYWORDS : this.#keywordNames(lease, row.keywords);
      return new EmbeddedMessage(row, keywords, context, ahead.get(row) ?? null);
    });
  }

  /** In the order given. One query for a run of neighbours, where there are few others between them. */
  #entries(folder: FolderId, uids: readonly Uid[]): EntryRow[] {
    const { index } = this.#owner;
    const [first, last] = [uids[0]!, uids.at(-1)!];
    if (last - first < 2 * uids.length && uids.every((uid, at) => at === 0 || uid > uids[at - 1]!)) {
      const wanted = new Set<number>(uids);
      return index.entries(folder, [first, last]).filter(({ uid }) => wanted.has(uid));
    }
    return uids.map((uid) => index.entry(folder, uid)).filter((row) => row !== null);
  }

  /** @throws what the handle's throws; RefusedError 'nonexistent'. */
  async #lease(): Promise<Lease> {
    this.#owner.assertPresent();
    const lease = await this.#handle.lease();
    this.#services.absorb(this.#owner, this.#handle);
    return lease;
  }

  /** Like the owner's, with a lease at hand. */
  #exclusively<T>(plan: (lease: Lease) => Promise<T>): Promise<T> {
    return this.#owner.exclusively(async () => plan(await this.#lease()));
  }

  #namedFolders(lease: Lease): NamedFolder[] {
    return [...this.#owner.folders].map((row) => ({
      row,
      name: openName(lease, 'folder-name', row.id, row.sealedName),
    }));
  }

  #subscribedNames(lease: Lease): Map<number, string> {
    const names = new Map<number, string>();
    for (const [id, sealed] of this.#owner.subscriptions) {
      names.set(id, openName(lease, 'subscription-name', id, sealed));
    }
    return names;
  }

  async #createFolders(
    lease: Lease,
    wanted: readonly { readonly path: readonly string[]; readonly role: FolderRole | null }[],
  ): Promise<void> {
    if ([...this.#owner.folders].length + wanted.length > FOLDERS_PER_MAILBOX) {
      throw new RefusedError('too-many', 'There are too many mailboxes');
    }
    const blobs: Buffer[] = [];
    const folders = wanted.map(({ path, role }, name): NewFolder => {
      const id = this.#owner.takeFolderId();
      blobs.push(sealName(lease, 'folder-name', id, joinPath(path)));
      return { id, role, uidValidity: this.#owner.takeUidValidity() as UidValidity, name };
    });
    const { organization, epoch } = this.#handle;
    const modSeq = this.#owner.takeModSeq();
    await this.#services.commit(
      { op: 'create-folders', mailbox: this.id, modSeq, organization, epoch, folders },
      blobs,
    );
  }

  async #subscribe(lease: Lease, names: readonly string[]): Promise<void> {
    const ids = names.map(() => this.#owner.takeSubscriptionId());
    const blobs = names.map((name, index) => sealName(lease, 'subscription-name', ids[index]!, name));
    const subscriptions = ids.map((id, name) => ({ id, name }));
    const modSeq = this.#owner.takeModSeq();
    await this.#services.commit({ op: 'subscribe', mailbox: this.id, modSeq, subscriptions }, blobs);
  }

  /** RFC 9051 §6.3.6: INBOX stays, its messages move to the new mailbox. */
  async #renameInbox(target: readonly string[]): Promise<void> {
    const inbox = this.#owner.folderWithRole('inbox')!;
    const { id } = await this.createFolder(target);
    const uids = [...this.#owner.state(inbox.id).uids] as Uid[];
    if (uids.length > 0) await this.move(inbox.id, uids, id);
  }

  #copy(
    op: 'copy' | 'move',
    folder: FolderId,
    uids: readonly Uid[],
    target: FolderId,
    portion: number,
    origin: unknown,
  ): Promise<CopyResult> {
    return this.#owner.exclusively(async () => {
      this.#owner.folder(folder);
      const to = this.#owner.folder(target);
      const state = this.#owner.state(folder);
      const source = ascending(uids).filter((uid) => state.indexOf(uid) >= 0);
      const targets: Uid[] = [];
      const saved = Date.now();
      for (const portionUids of inPortions(source, portion)) {
        const some = portionUids as Uid[];
        const octets = this.#octetsOf(folder, some);
        if (op === 'copy') this.#assertQuota(octets);
        this.#owner.takeOctets(octets);
        const firstUid = this.#owner.takeUids(to, some.length);
        const set = toUidSet(some, state.uids, (uid) => state.indexOf(uid));
        const modSeq = this.#owner.takeModSeq();
        const operation = {
          op,
          mailbox: this.id,
          modSeq,
          folder,
          uids: set,
          target,
          firstUid,
          saved,
        } as const;
        await this.#services.commit(operation, [], origin);
        for (let index = 0; index < some.length; index++) targets.push((firstUid + index) as Uid);
      }
      return { uidValidity: to.uidValidity as UidValidity, source, target: targets };
    });
  }

  #octetsOf(folder: FolderId, uids: readonly Uid[]): number {
    let octets = 0;
    for (const some of inPortions(uids, LOOK_AHEAD_MESSAGES)) {
      for (const row of this.#entries(folder, some as Uid[])) octets += row.octets;
    }
    return octets;
  }

  /** @throws RefusedError 'over-quota'. */
  #assertQuota(more: number): void {
    const { quotaOctets } = this.#handle;
    if (quotaOctets !== null && this.#owner.plannedOctets + more > quotaOctets) {
      throw new RefusedError('over-quota', 'The mailbox is over its quota');
    }
  }

  #summary(row: EntryRow): MessageSummary {
    return {
      uid: row.uid as Uid,
      systemFlags: row.flags,
      keywords: this.#owner.keywordNames(keywordNumbers(row.keywords)),
      modSeq: row.modSeq as ModSeq,
      sizeOctets: row.octets,
      internalDate: new Date(row.internalDate),
      saveDate: new Date(row.saveDate),
      emailId: row.id,
    };
  }

  /** Keywords compare case-insensitively and keep the first spelling. @throws RefusedError 'too-many', 'invalid'. */
  #numberKeywords(lease: Lease, names: readonly string[], mayCreate: boolean): NumberedKeywords {
    const owner = this.#owner;
    const numbers = new Map<string, number>();
    for (const [number, sealed] of names.length === 0 ? [] : owner.keywords) {
      numbers.set(openName(lease, 'keyword-name', number, sealed).toLowerCase(), number);
    }
    const created: NewKeyword[] = [];
    const blobs: Buffer[] = [];
    for (const name of mayCreate ? names : []) {
      if (numbers.has(name.toLowerCase())) continue;
      if (Buffer.byteLength(name) > KEYWORD_OCTETS)
        throw new RefusedError('invalid', 'The keyword is too long');
      if (numbers.size >= KEYWORDS_PER_MAILBOX)
        throw new RefusedError('too-many', 'There are too many keywords');
      const number = owner.takeKeyword();
      numbers.set(name.toLowerCase(), number);
      created.push({ mailbox: this.id, number, name: blobs.length });
      blobs.push(sealName(lease, 'keyword-name', number, name));
      owner.learnKeywordName(number, name);
    }
    const numbersOf = (wanted: readonly string[]): number[] =>
      wanted.map((name) => numbers.get(name.toLowerCase())).filter((number) => number !== undefined);
    return { numbersOf, created, blobs };
  }

  #keywordNames(lease: Lease, text: string | null): string[] {
    return keywordNumbers(text).map((number) =>
      openName(lease, 'keyword-name', number, this.#owner.keywords.get(number)!),
    );
  }
}

/** Looked at in one go: 2 ms. */
const TERM_ENTRIES = 2_048;

const NO_KEYWORDS: readonly string[] = [];

function* inPortions(numbers: Iterable<number>, size: number): Generator<number[]> {
  let portion: number[] = [];
  for (const number of numbers) {
    portion.push(number);
    if (portion.length < size) continue;
    yield portion;
    portion = [];
  }
  if (portion.length > 0) yield portion;
}

/** Each UID once: the journal records ascending ranges. */
const ascending = (uids: readonly Uid[]): Uid[] => [...new Set(uids)].sort((a, b) => a - b);

/** What an append adds to the journal, but for its entries' fields. */
function appendedOctets(
  items: readonly AppendItem[],
  addressed: readonly { readonly header: Buffer; readonly digest: Buffer }[],
): number {
  let octets = 0;
  for (const { message } of items) octets += message.body.kind === 'memory' ? message.body.octets.length : 0;
  for (const { header, digest } of addressed) octets += header.length + digest.length;
  return octets;
}

/** INBOX compares case-insensitively (RFC 9051 §5.1), as a first component too. */
function canonicalPath(path: readonly string[]): readonly string[] {
  return path[0]?.toUpperCase() === 'INBOX' ? ['INBOX', ...path.slice(1)] : path;
}

/** @throws RefusedError 'invalid' for a path that no folder may have. */
function checkedPath(path: readonly string[]): readonly string[] {
  const wanted = canonicalPath(path);
  const isSound = wanted.length > 0 && wanted.length <= FOLDER_DEPTH && wanted.every(isSoundComponent);
  if (!isSound || Buffer.byteLength(wanted.join('/')) > FOLDER_PATH_OCTETS) {
    throw new RefusedError('invalid', 'The mailbox name is not allowed');
  }
  return wanted;
}

const isSoundComponent = (name: string): boolean =>
  name !== '' && !/[\0-\x1f\x7f/]/.test(name) && name.isWellFormed();
