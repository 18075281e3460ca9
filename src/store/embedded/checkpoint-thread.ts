/**
 * The thread behind the accept journal: carries what its records hold to where it stays, and syncs it, so that their
 * segment can be reused. docs/format.md, "Order of writes", steps 5 to 8. It may wait for the disk; the event loop that
 * serves connections may not.
 *
 * Every step may be done twice: after a crash the same records come again.
 */
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import { copyFile, link, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { MailboxId, MessageId } from '../../ids.ts';
import { CHECKPOINT_BATCH_OCTETS, CHECKPOINT_CONCURRENCY, CHECKPOINT_INDEXES } from '../../limits.ts';
import type { AddedMessage } from '../operation.ts';
import { mailboxesOf } from '../operation.ts';
import type {
  CheckpointRange,
  CheckpointReply,
  CheckpointRequest,
  CheckpointThreadData,
} from './checkpoint-protocol.ts';
import { appendHeaderRecords, encodeHeaderRecord } from './header-log.ts';
import { bodyFile, headerLogFile, indexFile, mailboxDirectory, snapshotFile, spoolFile } from './layout.ts';
import { openIndexDatabase } from './schema.ts';
import { readRecords } from './segment.ts';
import { writeSnapshot } from './snapshot.ts';
import { syncPathSync } from './sync.ts';

const { dataDirectory, snapshotIntervalMs } = workerData as CheckpointThreadData;

/** Connections of this thread, the least recently used first. */
const databases = new Map<MailboxId, DatabaseSync>();
/** Where each log's intact records end; known after this thread's first append. */
const logEnds = new Map<MailboxId, number>();
const knownDirectories = new Set<string>();
const KNOWN_DIRECTORIES = 50_000;

parentPort?.on('message', async (request: CheckpointRequest) => {
  let reply: CheckpointReply;
  try {
    await checkpoint(request);
    reply = { ok: true };
  } catch (error) {
    reply = { ok: false, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  parentPort?.postMessage(reply);
});

async function checkpoint({ ranges, garbage }: CheckpointRequest): Promise<void> {
  const touched = new Set<MailboxId>();
  for (const range of ranges) await carryOver(range, touched);
  for (const { mailbox } of garbage) touched.add(mailbox);
  for (const mailbox of touched) checkpointIndex(mailbox);
  for (const { mailbox, ids } of garbage) {
    for (const id of ids) await unlinkIfThere(bodyFile(dataDirectory, mailbox, id));
  }
  closeSurplusDatabases();
}

/** Bodies and headers of a range, in batches that bound the memory they take. */
async function carryOver(range: CheckpointRange, touched: Set<MailboxId>): Promise<void> {
  const file = openSync(range.path, 'r');
  try {
    let batch = new Batch();
    for (const { operation, blobs } of readRecords(file, range.seed, range.from, range.to)) {
      for (const mailbox of mailboxesOf(operation)) touched.add(mailbox);
      if (operation.op === 'remove-mailbox') {
        databases.get(operation.mailbox)?.close();
        databases.delete(operation.mailbox);
        await rm(mailboxDirectory(dataDirectory, operation.mailbox), { recursive: true, force: true });
      }
      if (operation.op !== 'add') continue;
      for (const message of operation.messages) batch.add(message, blobs);
      if (batch.octets >= CHECKPOINT_BATCH_OCTETS) {
        await batch.write();
        batch = new Batch();
      }
    }
    await batch.write();
  } finally {
    closeSync(file);
  }
}

/** Messages whose files are written side by side, then synced, then their directories. */
class Batch {
  octets = 0;
  readonly #writes: (() => Promise<void>)[] = [];
  readonly #headers = new Map<MailboxId, Buffer[]>();
  readonly #directories = new Set<string>();
  readonly #spooled: string[] = [];

  add(message: AddedMessage, blobs: readonly Buffer[]): void {
    const kept = message.to.filter(({ mailbox }) => isWanted(mailbox, message.id));
    const paths = [...new Set(kept.map(({ mailbox }) => bodyFile(dataDirectory, mailbox, message.id)))];
    for (const entry of kept) {
      const record = encodeHeaderRecord({
        id: message.id,
        epoch: entry.epoch,
        octets: message.size,
        internalDate: message.date,
        header: blobs[entry.header]!,
        digest: blobs[entry.digest]!,
      });
      const records = this.#headers.get(entry.mailbox);
      if (records === undefined) this.#headers.set(entry.mailbox, [record]);
      else records.push(record);
    }
    if ('spool' in message.body) {
      const spooled = spoolFile(dataDirectory, message.id);
      this.#spooled.push(spooled);
      this.#writes.push(async () => {
        if (existsSync(spooled)) for (const path of paths) await this.#link(spooled, path);
      });
    } else if (paths.length > 0) {
      const body = blobs[message.body.blob]!;
      this.octets += body.length;
      this.#writes.push(() => this.#writeBody(body, paths));
    }
  }

  async write(): Promise<void> {
    const writes = this.#writes.values();
    const work = async (): Promise<void> => {
      for (const write of writes) await write();
    };
    await Promise.all(Array.from({ length: CHECKPOINT_CONCURRENCY }, work));
    for (const [mailbox, records] of this.#headers) {
      const path = headerLogFile(dataDirectory, mailbox);
      if (!existsSync(path)) this.#directories.add(dirname(path));
      logEnds.set(mailbox, appendHeaderRecords(path, records, logEnds.get(mailbox) ?? null));
    }
    for (const directory of this.#directories) syncPathSync(directory);
    for (const spooled of this.#spooled) await unlinkIfThere(spooled);
  }

  async #writeBody(body: Buffer, [first, ...others]: readonly string[]): Promise<void> {
    await this.#prepareDirectory(first!);
    if ((await sizeOf(first!)) !== body.length) {
      const beside = `${first}.new`;
      const file = await open(beside, 'w', 0o600);
      try {
        await file.writeFile(body);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, first!);
    }
    for (const other of others) await this.#link(first!, other);
  }

  async #link(from: string, to: string): Promise<void> {
    await this.#prepareDirectory(to);
    try {
      await link(from, to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return;
      if (code !== 'EMLINK' && code !== 'EXDEV' && code !== 'EPERM') throw error;
      await copyFile(from, `${to}.new`);
      syncPathSync(`${to}.new`);
      await rename(`${to}.new`, to);
    }
  }

  async #prepareDirectory(path: string): Promise<void> {
    const directory = dirname(path);
    this.#directories.add(directory);
    if (knownDirectories.has(directory)) return;
    if (knownDirectories.size > KNOWN_DIRECTORIES) knownDirectories.clear();
    if ((await mkdir(directory, { recursive: true, mode: 0o700 })) !== undefined) {
      this.#directories.add(dirname(directory));
      this.#directories.add(dirname(dirname(directory)));
    }
    knownDirectories.add(directory);
  }
}

function database(mailbox: MailboxId): DatabaseSync | null {
  const known = databases.get(mailbox);
  if (known !== undefined) {
    databases.delete(mailbox);
    databases.set(mailbox, known);
    return known;
  }
  const path = indexFile(dataDirectory, mailbox);
  if (!existsSync(path)) return null;
  const opened = openIndexDatabase(path, { forCheckpoint: true });
  databases.set(mailbox, opened);
  if (databases.size > CHECKPOINT_INDEXES) closeOldest();
  return opened;
}

/**
 * A message that was expunged meanwhile, or whose mailbox is gone, needs no file. One whose mailbox only lost its index
 * does: that can be rebuilt.
 */
function isWanted(mailbox: MailboxId, id: MessageId): boolean {
  const opened = database(mailbox);
  if (opened === null) return existsSync(mailboxDirectory(dataDirectory, mailbox));
  const statement = opened.prepare('SELECT 1 FROM message WHERE message_id = ?');
  return statement.get(Buffer.from(id, 'hex')) !== undefined;
}

/** Syncs the WAL (which holds all that the journal's records did) and carries its frames over to the database. */
function checkpointIndex(mailbox: MailboxId): void {
  const opened = database(mailbox);
  if (opened === null) return;
  const wal = `${indexFile(dataDirectory, mailbox)}-wal`;
  if (existsSync(wal)) syncPathSync(wal);
  syncPathSync(mailboxDirectory(dataDirectory, mailbox));
  opened.exec('PRAGMA wal_checkpoint(PASSIVE)');
  const snapshot = snapshotFile(dataDirectory, mailbox);
  const age = existsSync(snapshot) ? Date.now() - statSync(snapshot).mtimeMs : Number.POSITIVE_INFINITY;
  if (age >= snapshotIntervalMs) writeSnapshot(opened, snapshot);
}

function closeSurplusDatabases(): void {
  while (databases.size > CHECKPOINT_INDEXES / 2) closeOldest();
}

function closeOldest(): void {
  const [mailbox, opened] = databases.entries().next().value!;
  opened.close();
  databases.delete(mailbox);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return -1;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
