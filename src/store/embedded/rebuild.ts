/**
 * A new index for a mailbox that lost its own: from its packs, its bodies, and its last snapshot. docs/format.md,
 * "Snapshot and rebuild". Nothing else may use the mailbox meanwhile.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { FolderId, MailboxId, MessageId } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { DIGEST_VERSION } from '../../message/digest.ts';
import type { OwnerHandle } from '../handles.ts';
import { Flag, type FolderRole } from '../types.ts';
import { indexFile, mailboxDirectory, snapshotFile } from './layout.ts';
import { type FolderRow, MailboxIndex, type MailboxRow } from './mailbox-index.ts';
import { listPacks, type PackPlace, packFile, readPack } from './pack.ts';
import { joinPath, openName, sealName } from './sealed-names.ts';
import { readSnapshot, type SnapshotRow } from './snapshot.ts';
import { syncPathSync } from './sync.ts';

export interface RebuildReport {
  readonly mailbox: MailboxId;
  /** Entries that the snapshot placed, folders and flags as they were. */
  readonly placed: number;
  /** Messages that no snapshot places; in the folder Recovered. */
  readonly recovered: number;
  /** Body files without a pack record: they cannot be opened. Left where they are. */
  readonly unopenable: number;
}

const RECOVERED = 'Recovered';

/** A pack record without its body: that stays where it is. */
interface FoundRecord {
  readonly id: MessageId;
  readonly epoch: number;
  readonly octets: number;
  readonly internalDate: number;
  readonly header: Buffer;
  readonly digest: Buffer;
  readonly envelope: Buffer | null;
  readonly bodyOctets: number;
  readonly place: PackPlace;
}

/** @throws RefusedError 'key-denied', UnavailableError: a folder's name cannot be sealed without the mailbox's key. */
export async function rebuildIndex(data: string, owner: OwnerHandle): Promise<RebuildReport> {
  const lease = await owner.lease();
  const directory = mailboxDirectory(data, owner.mailbox);
  const bodies = listBodies(join(directory, 'cur'));
  const beside = join(directory, 'index.rebuilt');
  for (const suffix of ['', '-wal', '-shm']) rmSync(beside + suffix, { force: true });
  const index = new MailboxIndex(beside);
  let report: RebuildReport;
  try {
    index.begin();
    report = new Rebuild(index, owner, lease, bodies, data).run();
    index.commit();
  } finally {
    index.close();
  }
  syncPathSync(beside);
  const target = indexFile(data, owner.mailbox);
  for (const suffix of ['-wal', '-shm']) rmSync(target + suffix, { force: true });
  renameSync(beside, target);
  syncPathSync(directory);
  return report;
}

/** Sealed octets of each body file. */
export function listBodies(cur: string): Map<MessageId, number> {
  const bodies = new Map<MessageId, number>();
  if (!existsSync(cur)) return bodies;
  for (const part of readdirSync(cur)) {
    for (const name of readdirSync(join(cur, part))) {
      if (/^[0-9a-f]{32}$/.test(name)) bodies.set(name as MessageId, statSync(join(cur, part, name)).size);
    }
  }
  return bodies;
}

class Rebuild {
  readonly #index: MailboxIndex;
  readonly #owner: OwnerHandle;
  readonly #lease: Lease;
  readonly #bodies: Map<MessageId, number>;
  readonly #data: string;
  readonly #records = new Map<MessageId, FoundRecord>();
  readonly #folders = new Map<FolderId, FolderRow>();
  readonly #placed = new Set<MessageId>();
  readonly #notes = new Map<MessageId, readonly [generation: number, note: Buffer | null]>();
  #nextUidValidity = Math.floor(Date.now() / 1000);
  #nextSubscription = 1;
  #modSeq = 1;

  constructor(
    index: MailboxIndex,
    owner: OwnerHandle,
    lease: Lease,
    bodies: Map<MessageId, number>,
    data: string,
  ) {
    this.#index = index;
    this.#owner = owner;
    this.#lease = lease;
    this.#bodies = bodies;
    this.#data = data;
  }

  run(): RebuildReport {
    const { mailbox } = this.#owner;
    for (const pack of listPacks(this.#data, mailbox)) {
      for (const { body, ...record } of readPack(packFile(this.#data, mailbox, pack), pack)) {
        const bodyOctets = body?.length ?? this.#bodies.get(record.id);
        // Without its body file the message was expunged.
        if (bodyOctets !== undefined) this.#records.set(record.id, { ...record, bodyOctets });
      }
    }
    let placed = 0;
    if (existsSync(snapshotFile(this.#data, mailbox))) {
      for (const row of readSnapshot(snapshotFile(this.#data, mailbox))) placed += this.#take(row);
    }
    if (![...this.#folders.values()].some(({ role }) => role === 'inbox')) this.#addFolder('INBOX', 'inbox');
    const unplaced = [...this.#records.values()].filter(({ id }) => !this.#placed.has(id));
    if (unplaced.length > 0) {
      const recovered = this.#addFolder(this.#freeName(), null);
      for (const record of unplaced) {
        const { internalDate } = record;
        this.#addEntry(recovered, record, {
          uid: recovered.uidNext,
          flags: 0,
          keywords: null,
          internalDate,
          saved: Date.now(),
        });
      }
    }
    for (const folder of this.#folders.values()) this.#index.upsertFolder(folder);
    this.#index.insertMailbox(this.#mailboxRow());
    const unopenable = [...this.#bodies.keys()].filter((id) => !this.#records.has(id)).length;
    return { mailbox, placed, recovered: unplaced.length, unopenable };
  }

  /** @returns the number of entries that the row placed. */
  #take({ table, values }: SnapshotRow): number {
    switch (table) {
      case 'mailbox':
        this.#modSeq = (values[3] as number) + 1;
        this.#nextSubscription = values[5] as number;
        this.#nextUidValidity = Math.max(this.#nextUidValidity, values[6] as number);
        return 0;
      case 'folder':
        this.#insertFolder(
          values[0] as FolderId,
          values[1] as FolderRole | null,
          values[2] as Buffer,
          values[4] as number,
        );
        return 0;
      case 'subscription':
        this.#index.insertSubscription(values[0] as number, values[1] as Buffer);
        return 0;
      case 'keyword':
        this.#index.insertKeyword(values[0] as number, values[1] as Buffer);
        return 0;
      case 'entry': {
        const [folderId, uid, id, flags, keywords, , internalDate, saved] = values as [
          FolderId,
          number,
          MessageId,
          number,
          string | null,
          number,
          number,
          number,
        ];
        const record = this.#records.get(id);
        const folder = this.#folders.get(folderId);
        if (record === undefined || folder === undefined) return 0;
        // What a queue sent since the snapshot would be sent again: an administrator decides.
        if (record.envelope !== null) return 0;
        this.#addEntry(folder, record, { uid, flags, keywords, internalDate, saved });
        return 1;
      }
      case 'queued':
        this.#notes.set(values[0] as MessageId, [values[1] as number, values[2] as Buffer | null]);
        return 0;
      default:
        return table satisfies never;
    }
  }

  #addEntry(
    folder: FolderRow,
    record: FoundRecord,
    entry: { uid: number; flags: number; keywords: string | null; internalDate: number; saved: number },
  ): void {
    const { uid, flags, keywords, internalDate: internal, saved } = entry;
    const { id, octets, place } = record;
    const key = this.#index.addMessage({ ...record, digestVersion: DIGEST_VERSION });
    this.#index.setPlace(id, place);
    if (record.envelope !== null) this.#index.insertQueued(id, record.envelope);
    const note = this.#notes.get(id);
    if (note !== undefined) this.#index.setNote(id, ...note);
    this.#index.addEntry(folder.id, [uid, flags, keywords, this.#modSeq], key, { internal, saved });
    this.#placed.add(id);
    folder.uidNext = Math.max(folder.uidNext, uid + 1);
    folder.messages += 1;
    folder.unseen += (flags & Flag.Seen) === 0 ? 1 : 0;
    folder.deleted += (flags & Flag.Deleted) === 0 ? 0 : 1;
    folder.octets += octets;
  }

  #addFolder(name: string, role: FolderRole | null): FolderRow {
    const id = (Math.max(0, ...this.#folders.keys()) + 1) as FolderId;
    return this.#insertFolder(id, role, sealName(this.#lease, 'folder-name', id, joinPath([name])), 1);
  }

  /** Whatever UIDs were given out before, under this UIDVALIDITY none was. */
  #insertFolder(id: FolderId, role: FolderRole | null, sealedName: Buffer, uidNext: number): FolderRow {
    const uidValidity = this.#nextUidValidity++;
    const counts = { messages: 0, unseen: 0, deleted: 0, octets: 0 };
    const folder: FolderRow = {
      id,
      role,
      sealedName,
      uidValidity,
      uidNext,
      recentFrom: 1,
      modSeq: this.#modSeq,
      vanishedLow: this.#modSeq,
      ...counts,
    };
    this.#folders.set(id, folder);
    return folder;
  }

  /** A name that no folder of the snapshot has; names that do not open are not ours to collide with. */
  #freeName(): string {
    const taken = new Set([...this.#folders.values()].map((folder) => this.#nameOf(folder)));
    let name = RECOVERED;
    for (let number = 2; taken.has(name); number++) name = `${RECOVERED} ${number}`;
    return name;
  }

  #nameOf({ id, sealedName }: FolderRow): string | null {
    try {
      return openName(this.#lease, 'folder-name', id, sealedName);
    } catch {
      return null;
    }
  }

  #mailboxRow(): MailboxRow {
    const { mailbox, organization, epoch } = this.#owner;
    return {
      mailbox,
      organization,
      epoch,
      modSeq: this.#modSeq,
      nextFolderId: Math.max(0, ...this.#folders.keys()) + 1,
      nextSubscription: this.#nextSubscription,
      nextUidValidity: this.#nextUidValidity,
    };
  }
}
