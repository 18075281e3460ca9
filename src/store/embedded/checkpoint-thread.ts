/**
 * The thread behind the accept journal: carries what its records hold to where it stays, and syncs it, so that their
 * segment can be reused. docs/format.md, "Order of writes", steps 5 to 8. It may wait for the disk; the event loop that
 * serves connections may not.
 *
 * Every step may be done twice: after a crash the same records come again.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { MailboxId, MessageId } from '../../ids.ts';
import { CHECKPOINT_BATCH_OCTETS, CHECKPOINT_INDEXES, PACK_DEAD_OCTETS, WAL_FRAMES } from '../../limits.ts';
import { type AddedMessage, isBirth, mailboxesOf } from '../operation.ts';
import type {
  CheckpointRange,
  CheckpointReply,
  CheckpointRequest,
  CheckpointThreadData,
  MailboxGarbage,
  MailboxPlaces,
} from './checkpoint-protocol.ts';
import {
  bodyFile,
  indexFile,
  mailboxDirectory,
  mailboxesDirectory,
  removedDirectory,
  snapshotFile,
  spoolFile,
} from './layout.ts';
import { type PackPlace, type PackRecord, packFile, readPack } from './pack.ts';
import { PackWriter } from './pack-writer.ts';
import { openIndexDatabase } from './schema.ts';
import { readRecords } from './segment.ts';
import { writeSnapshot } from './snapshot.ts';
import { syncPathSync } from './sync.ts';

const { dataDirectory, snapshotIntervalMs } = workerData as CheckpointThreadData;

/** Indexes that are open, the least recently used first. */
const databases = new Map<MailboxId, DatabaseSync>();
/** Kept from one run to the next: a writer made anew looks for the end of its last pack. */
const writers = new Map<MailboxId, PackWriter>();
/** Mailboxes that the first half changed, for the second. */
let touched = new Set<MailboxId>();
/** Those of them that are new: their files and directories were never synced. */
let born = new Set<MailboxId>();
/** Directories that mailboxes were removed from. */
let bereft = new Set<string>();

parentPort?.on('message', (request: CheckpointRequest) => {
  let reply: CheckpointReply;
  try {
    reply = { ok: true, places: request.kind === 'carry-over' ? carryOver(request) : settle(request) };
  } catch (error) {
    reply = { ok: false, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  parentPort?.postMessage(reply);
});

function carryOver({ range, garbage }: Extract<CheckpointRequest, { kind: 'carry-over' }>): MailboxPlaces[] {
  const places = new Map<MailboxId, (readonly [MessageId, PackPlace])[]>();
  const batch = new Batch(places);
  if (range !== null) carryRange(range, batch);
  for (const { mailbox } of garbage) {
    touched.add(mailbox);
    compactPacks(mailbox, batch);
  }
  batch.write();
  batch.sync();
  return [...places].map(([mailbox, placed]) => ({ mailbox, places: placed }));
}

function carryRange(range: CheckpointRange, batch: Batch): void {
  const file = openSync(range.path, 'r');
  let at = range.from;
  try {
    for (const { operation, blobs, end } of readRecords(file, range.seed, range.from, range.to)) {
      at = end;
      for (const mailbox of mailboxesOf(operation)) touched.add(mailbox);
      if (isBirth(operation)) for (const mailbox of mailboxesOf(operation)) born.add(mailbox);
      if (operation.op === 'remove-mailbox') {
        batch.write();
        batch.sync();
        removeMailbox(operation.mailbox);
      }
      if (operation.op === 'add') for (const message of operation.messages) batch.add(message, blobs);
    }
  } finally {
    closeSync(file);
  }
  // All of it was written, synced and applied: to free the segment now would lose what cannot be read.
  if (at !== range.to)
    throw new Error(`A record of the accept journal cannot be read any more, at octet ${at}`);
}

/** Only now, when the indexes know the new places, is anything removed. */
function settle({ garbage, written }: Extract<CheckpointRequest, { kind: 'settle' }>): MailboxPlaces[] {
  for (const mailbox of written) touched.add(mailbox);
  for (const mailbox of touched) checkpointIndex(mailbox);
  syncBirths();
  for (const directory of bereft) syncPathSync(directory);
  touched = new Set();
  born = new Set();
  bereft = new Set();
  for (const { mailbox, ids } of garbage) removeGarbage(mailbox, ids);
  while (databases.size > CHECKPOINT_INDEXES / 2) closeOldest();
  if (writers.size > CHECKPOINT_INDEXES) writers.clear();
  return [];
}

/** Records on their way to packs, and bodies to files of their own. */
class Batch {
  readonly #places: Map<MailboxId, (readonly [MessageId, PackPlace])[]>;
  readonly #records = new Map<MailboxId, PackRecord[]>();
  readonly #written = new Set<MailboxId>();
  readonly #directories = new Set<string>();
  #octets = 0;

  constructor(places: Map<MailboxId, (readonly [MessageId, PackPlace])[]>) {
    this.#places = places;
  }

  add(message: AddedMessage, blobs: readonly Buffer[]): void {
    const kept = message.to.filter(({ mailbox }) => isWanted(mailbox, message.id));
    const mailboxes = [...new Set(kept.map(({ mailbox }) => mailbox))];
    const isAlone = message.to.length === 1 && 'blob' in message.body;
    if (!isAlone) this.#writeFile(message, blobs, mailboxes);
    for (const entry of kept) {
      this.addRecord(entry.mailbox, {
        id: message.id,
        epoch: entry.epoch,
        octets: message.size,
        internalDate: message.date,
        header: blobs[entry.header]!,
        digest: blobs[entry.digest]!,
        envelope: entry.envelope === undefined ? null : blobs[entry.envelope]!,
        body: 'blob' in message.body && isAlone ? blobs[message.body.blob]! : null,
      });
    }
  }

  addRecord(mailbox: MailboxId, record: PackRecord): void {
    const records = this.#records.get(mailbox);
    if (records === undefined) this.#records.set(mailbox, [record]);
    else records.push(record);
    this.#octets += record.header.length + record.digest.length + (record.body?.length ?? 0);
    if (this.#octets >= CHECKPOINT_BATCH_OCTETS) this.write();
  }

  write(): void {
    for (const [mailbox, records] of this.#records) {
      const written = packsOf(mailbox).append(records);
      const places = this.#places.get(mailbox) ?? [];
      for (const [index, { id }] of records.entries()) places.push([id, written[index]!]);
      this.#places.set(mailbox, places);
      this.#written.add(mailbox);
      // Each unsynced mailbox holds a descriptor.
      if (this.#written.size > CHECKPOINT_INDEXES / 2) this.sync();
    }
    this.#records.clear();
    this.#octets = 0;
  }

  sync(): void {
    for (const mailbox of this.#written) packsOf(mailbox).sync();
    this.#written.clear();
    for (const directory of this.#directories) syncPathSync(directory);
    this.#directories.clear();
  }

  /** A body that several mailboxes share, or that is large: one file, linked into each. */
  #writeFile(message: AddedMessage, blobs: readonly Buffer[], mailboxes: readonly MailboxId[]): void {
    const paths = mailboxes.map((mailbox) => bodyFile(dataDirectory, mailbox, message.id));
    if ('spool' in message.body) {
      const spooled = spoolFile(dataDirectory, message.id);
      if (!existsSync(spooled)) return;
      for (const path of paths) this.#link(spooled, path);
      this.sync();
      unlinkSync(spooled);
      return;
    }
    const [first, ...others] = paths;
    if (first === undefined) return;
    this.#makeDirectory(first);
    if (!existsSync(first)) writeWhole(first, blobs[message.body.blob]!);
    for (const other of others) this.#link(first, other);
  }

  #link(from: string, to: string): void {
    this.#makeDirectory(to);
    try {
      linkSync(from, to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return;
      if (code !== 'EMLINK' && code !== 'EXDEV' && code !== 'EPERM') throw error;
      copyFileSync(from, `${to}.new`);
      syncPathSync(`${to}.new`);
      renameSync(`${to}.new`, to);
    }
  }

  #makeDirectory(path: string): void {
    const directory = dirname(path);
    this.#directories.add(directory);
    if (mkdirSync(directory, { recursive: true, mode: 0o700 }) === undefined) return;
    this.#directories.add(dirname(directory));
    this.#directories.add(dirname(dirname(directory)));
  }
}

/** Written beside, synced and renamed: a body that is there is whole. */
function writeWhole(path: string, octets: Buffer): void {
  const file = openSync(`${path}.new`, 'w', 0o600);
  try {
    // A disk that fills up takes a part, and says no more than how much.
    for (let at = 0; at < octets.length; ) at += writeSync(file, octets, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}

/** Appends again what is still live of packs that are mostly dead; they are removed once nothing of them is. */
function compactPacks(mailbox: MailboxId, batch: Batch): void {
  const database = databaseOf(mailbox);
  if (database === null) return;
  const live = livePacks(database);
  for (const pack of packsOf(mailbox).closedPacks) {
    const path = packFile(dataDirectory, mailbox, pack);
    const dead = statSync(path).size - (live.get(pack) ?? 0);
    if (!live.has(pack) || dead < PACK_DEAD_OCTETS || dead * 2 < statSync(path).size) continue;
    const isLive = database.prepare(
      'SELECT 1 FROM message WHERE message_id = ? AND pack = ? AND record_offset = ?',
    );
    for (const { place, ...record } of readPack(path, pack)) {
      if (isLive.get(Buffer.from(record.id, 'hex'), pack, place.recordOffset) !== undefined) {
        batch.addRecord(mailbox, record);
      }
    }
  }
}

/** Live octets of each pack that has any. */
function livePacks(database: DatabaseSync): Map<number, number> {
  const sql = 'SELECT pack, total(record_octets) AS octets FROM message WHERE pack IS NOT NULL GROUP BY pack';
  const rows = database.prepare(sql).all() as unknown as { pack: number; octets: number }[];
  return new Map(rows.map(({ pack, octets }) => [pack, octets]));
}

function removeGarbage(mailbox: MailboxId, ids: MailboxGarbage['ids']): void {
  for (const id of ids) rmSync(bodyFile(dataDirectory, mailbox, id), { force: true });
  const database = databaseOf(mailbox);
  if (database === null) return;
  const live = livePacks(database);
  const packs = packsOf(mailbox);
  for (const pack of packs.closedPacks) if (!live.has(pack)) packs.remove(pack);
}

/**
 * A message that was expunged meanwhile, or whose mailbox is gone, needs no file. One whose mailbox only lost its index
 * does: that can be rebuilt.
 */
function isWanted(mailbox: MailboxId, id: MessageId): boolean {
  if (!existsSync(mailboxDirectory(dataDirectory, mailbox))) return false;
  const database = databaseOf(mailbox);
  if (database === null) return true;
  const statement = database.prepare('SELECT 1 FROM message WHERE message_id = ?');
  return statement.get(Buffer.from(id, 'hex')) !== undefined;
}

/** Syncs the WAL, which holds all that the journal's records did, and carries its frames over when they are many. */
function checkpointIndex(mailbox: MailboxId): void {
  const directory = mailboxDirectory(dataDirectory, mailbox);
  if (!existsSync(directory)) return;
  const database = databaseOf(mailbox);
  if (database === null) return;
  const wal = `${indexFile(dataDirectory, mailbox)}-wal`;
  if (existsSync(wal)) syncPathSync(wal);
  syncPathSync(directory);
  // The first write after a WAL was carried over syncs the WAL's new header, on the event loop.
  const { log, checkpointed } = database.prepare('PRAGMA wal_checkpoint(NOOP)').get() as Record<
    string,
    number
  >;
  if (log! - checkpointed! >= WAL_FRAMES) database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  const snapshot = snapshotFile(dataDirectory, mailbox);
  const age = existsSync(snapshot) ? Date.now() - statSync(snapshot).mtimeMs : Number.POSITIVE_INFINITY;
  if (age >= snapshotIntervalMs) writeSnapshot(database, snapshot);
}

function syncBirths(): void {
  const directories = new Set<string>();
  for (const mailbox of born) {
    const index = indexFile(dataDirectory, mailbox);
    if (!existsSync(index)) continue;
    syncPathSync(index);
    directories.add(dirname(dirname(index))).add(mailboxesDirectory(dataDirectory));
  }
  for (const directory of directories) syncPathSync(directory);
}

function removeMailbox(mailbox: MailboxId): void {
  databases.get(mailbox)?.close();
  databases.delete(mailbox);
  writers.get(mailbox)?.sync();
  writers.delete(mailbox);
  const directory = mailboxDirectory(dataDirectory, mailbox);
  const removed = removedDirectory(dataDirectory, mailbox);
  rmSync(removed, { recursive: true, force: true });
  if (!existsSync(directory)) return;
  renameSync(directory, removed);
  rmSync(removed, { recursive: true });
  bereft.add(dirname(directory));
}

/** @returns null when the mailbox lost its index. */
function databaseOf(mailbox: MailboxId): DatabaseSync | null {
  const known = databases.get(mailbox);
  if (known !== undefined) {
    databases.delete(mailbox);
    databases.set(mailbox, known);
    return known;
  }
  const path = indexFile(dataDirectory, mailbox);
  if (!existsSync(path)) return null;
  const database = openIndexDatabase(path, { forCheckpoint: true });
  databases.set(mailbox, database);
  if (databases.size > CHECKPOINT_INDEXES) closeOldest();
  return database;
}

function packsOf(mailbox: MailboxId): PackWriter {
  const known = writers.get(mailbox);
  if (known !== undefined) return known;
  const writer = new PackWriter({
    dataDirectory,
    mailbox,
    knownEnd: (pack) => {
      const database = databaseOf(mailbox);
      return database === null ? 0 : knownEnd(database, pack);
    },
  });
  writers.set(mailbox, writer);
  return writer;
}

function knownEnd(database: DatabaseSync, pack: number): number {
  const sql = 'SELECT max(record_offset + record_octets) AS end FROM message WHERE pack = ?';
  return (database.prepare(sql).get(pack) as { end: number | null }).end ?? 0;
}

function closeOldest(): void {
  const [mailbox, database] = databases.entries().next().value!;
  database.close();
  databases.delete(mailbox);
}
