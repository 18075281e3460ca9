/**
 * The SQL of one mailbox's index: what is read from it and how operations change its rows. Knows no journal, no key and
 * no session. Every method is synchronous and touches the page cache only.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { FolderId, MailboxId, MessageId, OrganizationId } from '../../ids.ts';
import { Statements } from '../../sqlite.ts';
import { Flag, type FlagOperation, type FolderRole } from '../types.ts';
import type { EntryWord } from './folder-state.ts';
import { changedFlags, changedKeywords } from './keyword-sets.ts';
import type { PackPlace } from './pack.ts';
import { bufferOf, PageTable } from './page-table.ts';
import { openIndexDatabase } from './schema.ts';
import type { UidRange } from './uid-ranges.ts';

export interface MailboxRow {
  readonly mailbox: MailboxId;
  readonly organization: OrganizationId;
  epoch: number;
  modSeq: number;
  nextFolderId: number;
  nextSubscription: number;
  nextUidValidity: number;
}

export interface FolderRow {
  readonly id: FolderId;
  readonly role: FolderRole | null;
  sealedName: Buffer;
  readonly uidValidity: number;
  uidNext: number;
  recentFrom: number;
  modSeq: number;
  messages: number;
  unseen: number;
  deleted: number;
  octets: number;
  /** What vanished up to this modseq is not known any more. */
  vanishedLow: number;
}

export interface SealedName {
  readonly id: number;
  readonly sealedName: Buffer;
}

/** One entry joined with its message, without the sealed parts. */
export interface EntryRow {
  readonly uid: number;
  readonly flags: number;
  readonly keywords: string | null;
  readonly modSeq: number;
  readonly internalDate: number;
  readonly saveDate: number;
  readonly messageKey: number;
  readonly id: MessageId;
  readonly octets: number;
  readonly bodyOctets: number;
  /** null until the checkpoint. */
  readonly pack: number | null;
  /** 0: the body is a file of its own. */
  readonly bodyOffset: number;
}

export interface SealedParts {
  readonly header: Buffer;
  readonly digest: Buffer;
  readonly epoch: number;
}

export interface NewMessageRow {
  readonly id: MessageId;
  readonly epoch: number;
  readonly octets: number;
  readonly bodyOctets: number;
  readonly digestVersion: number;
  readonly header: Buffer;
  readonly digest: Buffer;
}

/** A message of a queue, without its sealed parts. */
export interface QueuedRow {
  readonly folder: FolderId;
  readonly uid: number;
  readonly id: MessageId;
  readonly octets: number;
  readonly internalDate: number;
}

export interface QueuedParts {
  readonly envelope: Buffer;
  /** Of the note; 0 while there is none. */
  readonly generation: number;
  readonly note: Buffer | null;
}

/** Sums over entries: how a folder's counters change. */
export interface EntryTotals {
  readonly messages: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly octets: number;
}

const IN_RANGE = 'folder_id = ? AND uid BETWEEN ? AND ?';

const SQL = {
  mailbox:
    'SELECT mailbox_id, organization_id, epoch, modseq, next_folder_id, next_subscription, next_uid_validity FROM mailbox',
  insertMailbox: 'INSERT INTO mailbox VALUES (?, ?, ?, ?, ?, ?, ?)',
  updateMailbox:
    'UPDATE mailbox SET epoch = ?, modseq = ?, next_folder_id = ?, next_subscription = ?, next_uid_validity = ?',
  folders: 'SELECT * FROM folder ORDER BY folder_id',
  upsertFolder: 'INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  deleteFolder: 'DELETE FROM folder WHERE folder_id = ?',
  bury: 'INSERT OR REPLACE INTO vanished VALUES (?, ?, ?, ?)',
  countVanished: 'SELECT count(*) FROM vanished WHERE folder_id = ?',
  vanishedSince: 'SELECT first_uid, last_uid FROM vanished WHERE folder_id = ? AND modseq > ?',
  vanishedModSeq: 'SELECT modseq FROM vanished WHERE folder_id = ? ORDER BY modseq LIMIT 1 OFFSET ?',
  forgetVanished: 'DELETE FROM vanished WHERE folder_id = ? AND modseq <= ?',
  subscriptions: 'SELECT subscription_id, sealed_name FROM subscription ORDER BY subscription_id',
  insertSubscription: 'INSERT OR REPLACE INTO subscription VALUES (?, ?)',
  deleteSubscription: 'DELETE FROM subscription WHERE subscription_id = ?',
  keywords: 'SELECT number, sealed_name FROM keyword ORDER BY number',
  insertKeyword: 'INSERT OR REPLACE INTO keyword VALUES (?, ?)',
  entryWords: 'SELECT uid, flags, keywords, modseq FROM entry WHERE folder_id = ? ORDER BY uid',
  entry: `SELECT uid, flags, keywords, entry.modseq, internal_date, save_date, message_key, lower(hex(message_id)), octets,
    body_octets, pack, body_offset FROM entry JOIN message USING (message_key) WHERE folder_id = ? AND uid = ?`,
  entries: `SELECT uid, flags, keywords, entry.modseq, internal_date, save_date, message_key, lower(hex(message_id)), octets,
    body_octets, pack, body_offset FROM entry JOIN message USING (message_key) WHERE ${IN_RANGE} ORDER BY uid`,
  entryKeys: 'SELECT uid, message_key FROM entry WHERE folder_id = ? AND uid > ? ORDER BY uid LIMIT ?',
  sealed:
    'SELECT header, digest, epoch FROM message LEFT JOIN message_parts USING (message_key) WHERE message_key = ?',
  messageKey: 'SELECT message_key FROM message WHERE message_id = ?',
  insertMessage: 'INSERT INTO message VALUES (NULL, ?, NULL, ?, ?, ?, 1, ?, NULL, NULL, NULL, NULL)',
  insertParts: 'INSERT INTO message_parts VALUES (?, ?, ?)',
  setPlace:
    'UPDATE message SET pack = ?, record_offset = ?, record_octets = ?, body_offset = ? WHERE message_id = ?',
  addReference: 'UPDATE message SET refs = refs + 1 WHERE message_key = ?',
  insertEntry: 'INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  totals: `SELECT count(*), total(flags & ${Flag.Seen} = 0), total(flags & ${Flag.Deleted} <> 0), total(octets)
    FROM entry JOIN message USING (message_key) WHERE ${IN_RANGE}`,
  flagTotals: `SELECT total(flags & ${Flag.Seen} = 0), total(flags & ${Flag.Deleted} <> 0) FROM entry WHERE ${IN_RANGE}`,
  entryFlags: `SELECT uid, flags, keywords FROM entry WHERE ${IN_RANGE}`,
  addFlags: `UPDATE entry SET flags = flags | ?, modseq = ? WHERE ${IN_RANGE}`,
  removeFlags: `UPDATE entry SET flags = flags & ~?, modseq = ? WHERE ${IN_RANGE}`,
  setFlags: `UPDATE entry SET flags = ?, keywords = ?, modseq = ? WHERE ${IN_RANGE}`,
  setEntryFlags: 'UPDATE entry SET flags = ?, keywords = ?, modseq = ? WHERE folder_id = ? AND uid = ?',
  copyEntries: `INSERT INTO entry SELECT ?, ? + row_number() OVER (ORDER BY uid) - 1, message_key, flags, keywords, ?,
    internal_date, ? FROM entry WHERE ${IN_RANGE}`,
  changeReferences: `UPDATE message SET refs = refs + ? * counted.entries FROM
    (SELECT message_key AS key, count(*) AS entries FROM entry WHERE ${IN_RANGE} GROUP BY message_key) AS counted
    WHERE message.message_key = counted.key`,
  deleteEntries: `DELETE FROM entry WHERE ${IN_RANGE}`,
  queuedAfter: `SELECT folder_id, uid, lower(hex(message_id)), octets, internal_date FROM entry
    JOIN message USING (message_key) JOIN queued USING (message_id)
    WHERE (folder_id, uid) > (?, ?) ORDER BY folder_id, uid LIMIT ?`,
  queued: 'SELECT envelope, generation, note FROM queued WHERE message_id = ?',
  insertQueued: 'INSERT OR IGNORE INTO queued VALUES (?, ?, 0, NULL)',
  setNote: 'UPDATE queued SET generation = ?, note = ? WHERE message_id = ?',
  deleteQueued: 'DELETE FROM queued WHERE message_id IN (SELECT message_id FROM message WHERE refs = 0)',
  collectGarbage: 'INSERT OR IGNORE INTO garbage SELECT message_id FROM message WHERE refs = 0',
  deleteUnreferencedParts:
    'DELETE FROM message_parts WHERE message_key IN (SELECT message_key FROM message WHERE refs = 0)',
  deleteUnreferenced: 'DELETE FROM message WHERE refs = 0',
  garbage: 'SELECT lower(hex(message_id)) FROM garbage LIMIT ?',
  deleteGarbage: 'DELETE FROM garbage WHERE message_id = ?',
} as const;

const ALL_UIDS: UidRange = [1, 0xffff_ffff];

const idOctets = (id: MessageId): Buffer => Buffer.from(id, 'hex');

export class MailboxIndex {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;

  /** Of sealed pages, which are written in transactions of their own. */
  readonly pages: PageTable;

  constructor(path: string) {
    this.#database = openIndexDatabase(path);
    this.#statements = new Statements(this.#database, 'arrays');
    this.pages = new PageTable(this.#database);
  }

  close(): void {
    this.pages.close();
    this.#statements.clear();
    this.#database.close();
  }

  begin(): void {
    this.#database.exec('BEGIN');
  }

  commit(): void {
    this.#database.exec('COMMIT');
  }

  // --- Reading ---

  mailbox(): MailboxRow | null {
    const row = this.#statement('mailbox').get() as unknown as (string | number)[] | undefined;
    if (row === undefined) return null;
    const [mailbox, organization, ...numbers] = row;
    const [epoch, modSeq, nextFolderId, nextSubscription, nextUidValidity] = numbers as number[];
    return {
      mailbox: mailbox as MailboxId,
      organization: organization as OrganizationId,
      epoch: epoch!,
      modSeq: modSeq!,
      nextFolderId: nextFolderId!,
      nextSubscription: nextSubscription!,
      nextUidValidity: nextUidValidity!,
    };
  }

  folders(): FolderRow[] {
    const rows = this.#statement('folders').all() as unknown as (number | string | null | Uint8Array)[][];
    return rows.map(([id, role, name, ...numbers]) => {
      const [uidValidity, uidNext, recentFrom, modSeq, messages, unseen, deleted, octets, vanishedLow] =
        numbers as number[];
      return {
        id: id as FolderId,
        role: role as FolderRole | null,
        sealedName: Buffer.from(name as Uint8Array),
        uidValidity: uidValidity!,
        uidNext: uidNext!,
        recentFrom: recentFrom!,
        modSeq: modSeq!,
        messages: messages!,
        unseen: unseen!,
        deleted: deleted!,
        octets: octets!,
        vanishedLow: vanishedLow!,
      };
    });
  }

  subscriptions(): SealedName[] {
    return sealedNames(this.#statement('subscriptions'));
  }

  keywords(): SealedName[] {
    return sealedNames(this.#statement('keywords'));
  }

  entryWords(folder: FolderId): Iterable<EntryWord> {
    return this.#statement('entryWords').iterate(folder) as unknown as Iterable<EntryWord>;
  }

  entry(folder: FolderId, uid: number): EntryRow | null {
    const row = this.#statement('entry').get(folder, uid) as unknown as
      | (number | string | null)[]
      | undefined;
    return row === undefined ? null : entryRow(row);
  }

  /** Of a range, ascending. */
  entries(folder: FolderId, [first, last]: UidRange): EntryRow[] {
    const rows = this.#statement('entries').all(folder, first, last) as unknown as (
      | number
      | string
      | null
    )[][];
    return rows.map(entryRow);
  }

  /** UIDs and their messages' keys, ascending. */
  entryKeys(folder: FolderId, after: number, limit: number): (readonly [uid: number, key: number])[] {
    return this.#statement('entryKeys').all(folder, after, limit) as unknown as [number, number][];
  }

  /** null when the message is gone, 'absorbed' when a page (or its pack) has what was here. */
  sealedParts(messageKey: number): SealedParts | 'absorbed' | null {
    const row = this.#statement('sealed').get(messageKey) as unknown as
      | [Uint8Array | null, Uint8Array | null, number]
      | undefined;
    if (row === undefined) return null;
    const [header, digest, epoch] = row;
    if (header === null || digest === null) return 'absorbed';
    return { header: bufferOf(header), digest: bufferOf(digest), epoch };
  }

  totals(folder: FolderId, [first, last]: UidRange = ALL_UIDS): EntryTotals {
    const row = this.#statement('totals').get(folder, first, last) as unknown as number[];
    return { messages: row[0]!, unseen: row[1]!, deleted: row[2]!, octets: row[3]! };
  }

  /** In the order of their modseqs. */
  vanishedSince(folder: FolderId, modSeq: number): UidRange[] {
    return this.#statement('vanishedSince').all(folder, modSeq) as unknown as UidRange[];
  }

  countVanished(folder: FolderId): number {
    return (this.#statement('countVanished').get(folder) as unknown as [number])[0];
  }

  /** The modseq of the range at this place in the order of modseqs, from 0. */
  vanishedModSeq(folder: FolderId, place: number): number {
    return (this.#statement('vanishedModSeq').get(folder, place) as unknown as [number])[0];
  }

  /** Messages of a queue in the order of folder and UID, behind the given place. */
  queuedAfter(folder: number, uid: number, limit: number): QueuedRow[] {
    const rows = this.#statement('queuedAfter').all(folder, uid, limit) as unknown as [
      FolderId,
      number,
      MessageId,
      number,
      number,
    ][];
    return rows.map(([folder, uid, id, octets, internalDate]) => ({ folder, uid, id, octets, internalDate }));
  }

  queued(id: MessageId): QueuedParts | null {
    const row = this.#statement('queued').get(idOctets(id)) as unknown as
      | [Uint8Array, number, Uint8Array | null]
      | undefined;
    if (row === undefined) return null;
    return {
      envelope: bufferOf(row[0]),
      generation: row[1],
      note: row[2] === null ? null : bufferOf(row[2]),
    };
  }

  /** Bodies still to be unlinked, at most `limit`. */
  garbage(limit: number): MessageId[] {
    return (this.#statement('garbage').all(limit) as unknown as [MessageId][]).map(([id]) => id);
  }

  // --- Writing, within begin and commit ---

  insertMailbox(row: MailboxRow): void {
    this.#statement('insertMailbox').run(
      row.mailbox,
      row.organization,
      row.epoch,
      row.modSeq,
      row.nextFolderId,
      row.nextSubscription,
      row.nextUidValidity,
    );
  }

  updateMailbox(row: MailboxRow): void {
    const { epoch, modSeq, nextFolderId, nextSubscription, nextUidValidity } = row;
    this.#statement('updateMailbox').run(epoch, modSeq, nextFolderId, nextSubscription, nextUidValidity);
  }

  upsertFolder(row: FolderRow): void {
    this.#statement('upsertFolder').run(
      row.id,
      row.role,
      row.sealedName,
      row.uidValidity,
      row.uidNext,
      row.recentFrom,
      row.modSeq,
      row.messages,
      row.unseen,
      row.deleted,
      row.octets,
      row.vanishedLow,
    );
  }

  /** The folder must be empty of entries. */
  deleteFolder(folder: FolderId): void {
    this.forgetVanished(folder, Number.MAX_SAFE_INTEGER);
    this.#statement('deleteFolder').run(folder);
  }

  insertSubscription(id: number, sealedName: Buffer): void {
    this.#statement('insertSubscription').run(id, sealedName);
  }

  deleteSubscription(id: number): void {
    this.#statement('deleteSubscription').run(id);
  }

  insertKeyword(number: number, sealedName: Buffer): void {
    this.#statement('insertKeyword').run(number, sealedName);
  }

  /** Adds the message, or one reference to it when it is there. @returns its key. */
  addMessage(message: NewMessageRow): number {
    const id = idOctets(message.id);
    const known = this.#statement('messageKey').get(id) as unknown as [number] | undefined;
    if (known !== undefined) {
      this.#statement('addReference').run(known[0]);
      return known[0];
    }
    const { epoch, octets, bodyOctets, digestVersion, header, digest } = message;
    const { lastInsertRowid } = this.#statement('insertMessage').run(
      id,
      epoch,
      octets,
      bodyOctets,
      digestVersion,
    );
    const key = Number(lastInsertRowid);
    this.#statement('insertParts').run(key, header, digest);
    return key;
  }

  insertQueued(id: MessageId, envelope: Buffer): void {
    this.#statement('insertQueued').run(idOctets(id), envelope);
  }

  /** The message may be gone already. */
  setNote(id: MessageId, generation: number, note: Buffer | null): void {
    this.#statement('setNote').run(generation, note, idOctets(id));
  }

  /** The message may be gone already. */
  setPlace(id: MessageId, { pack, recordOffset, recordOctets, bodyOffset }: PackPlace): void {
    this.#statement('setPlace').run(pack, recordOffset, recordOctets, bodyOffset, idOctets(id));
  }

  addEntry(
    folder: FolderId,
    [uid, flags, keywords, modSeq]: EntryWord,
    messageKey: number,
    dates: { readonly internal: number; readonly saved: number },
  ): void {
    this.#statement('insertEntry').run(
      folder,
      uid,
      messageKey,
      flags,
      keywords,
      modSeq,
      dates.internal,
      dates.saved,
    );
  }

  /** @returns how the folder's counters change. */
  changeFlags(
    folder: FolderId,
    [first, last]: UidRange,
    operation: FlagOperation,
    flags: number,
    keywords: readonly number[],
    modSeq: number,
  ): { unseen: number; deleted: number } {
    const before = this.#statement('flagTotals').get(folder, first, last) as unknown as number[];
    if (operation === 'replace') {
      const text = changedKeywords(null, 'replace', keywords);
      this.#statement('setFlags').run(flags, text, modSeq, folder, first, last);
    } else if (keywords.length === 0) {
      this.#statement(operation === 'add' ? 'addFlags' : 'removeFlags').run(
        flags,
        modSeq,
        folder,
        first,
        last,
      );
    } else {
      const rows = this.#statement('entryFlags').all(folder, first, last) as unknown as [
        number,
        number,
        string | null,
      ][];
      for (const [uid, system, text] of rows) {
        this.#statement('setEntryFlags').run(
          changedFlags(system, operation, flags),
          changedKeywords(text, operation, keywords),
          modSeq,
          folder,
          uid,
        );
      }
    }
    const after = this.#statement('flagTotals').get(folder, first, last) as unknown as number[];
    return { unseen: after[0]! - before[0]!, deleted: after[1]! - before[1]! };
  }

  /** Copies a range; target UIDs ascend by one from `firstUid`. @returns what the target gains. */
  copyEntries(
    folder: FolderId,
    range: UidRange,
    to: {
      readonly folder: FolderId;
      readonly firstUid: number;
      readonly modSeq: number;
      readonly saved: number;
    },
  ): EntryTotals {
    const totals = this.totals(folder, range);
    this.#statement('changeReferences').run(1, folder, ...range);
    this.#statement('copyEntries').run(to.folder, to.firstUid, to.modSeq, to.saved, folder, ...range);
    return totals;
  }

  /** Deletes a range; `collectGarbage` follows. @returns what the folder loses. */
  removeEntries(folder: FolderId, range: UidRange): EntryTotals {
    const totals = this.totals(folder, range);
    this.#statement('changeReferences').run(-1, folder, ...range);
    this.#statement('deleteEntries').run(folder, ...range);
    return totals;
  }

  bury(folder: FolderId, [first, last]: UidRange, modSeq: number): void {
    this.#statement('bury').run(folder, modSeq, first, last);
  }

  /** Forgets what vanished up to a modseq. */
  forgetVanished(folder: FolderId, modSeq: number): void {
    this.#statement('forgetVanished').run(folder, modSeq);
  }

  /** Messages that no entry names any more become garbage. */
  collectGarbage(): void {
    this.#statement('deleteQueued').run();
    this.#statement('collectGarbage').run();
    this.#statement('deleteUnreferencedParts').run();
    this.#statement('deleteUnreferenced').run();
  }

  deleteGarbage(ids: readonly MessageId[]): void {
    for (const id of ids) this.#statement('deleteGarbage').run(idOctets(id));
  }

  #statement(name: keyof typeof SQL): StatementSync {
    return this.#statements.get(SQL[name]);
  }
}

function entryRow(row: readonly (number | string | null)[]): EntryRow {
  return {
    uid: row[0] as number,
    flags: row[1] as number,
    keywords: row[2] as string | null,
    modSeq: row[3] as number,
    internalDate: row[4] as number,
    saveDate: row[5] as number,
    messageKey: row[6] as number,
    id: row[7] as MessageId,
    octets: row[8] as number,
    bodyOctets: row[9] as number,
    pack: row[10] as number | null,
    bodyOffset: (row[11] as number | null) ?? 0,
  };
}

function sealedNames(statement: StatementSync): SealedName[] {
  const rows = statement.all() as unknown as [number, Uint8Array][];
  return rows.map(([id, name]) => ({ id, sealedName: bufferOf(name) }));
}
