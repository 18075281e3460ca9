/**
 * The snapshot of an index: everything in it but headers and digests, so that folders and flags survive its loss.
 * docs/format.md, "Snapshot and rebuild". Names stay sealed. For threads that may wait for the disk.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { IntegrityError } from '../../errors.ts';
import { MIB } from '../../limits.ts';
import { syncPathSync } from './sync.ts';

const VERSION = 1;

/** Tables whose rows are kept as they are, and what is read of the entries. */
const TABLES = {
  mailbox: 'SELECT * FROM mailbox',
  folder: 'SELECT * FROM folder',
  subscription: 'SELECT * FROM subscription',
  keyword: 'SELECT * FROM keyword',
  entry: `SELECT folder_id, uid, lower(hex(message_id)), flags, keywords, modseq, internal_date, save_date
    FROM entry JOIN message USING (message_key)`,
  queued: 'SELECT lower(hex(message_id)), generation, note FROM queued',
} as const;

export type SnapshotTable = keyof typeof TABLES;
type Value = string | number | null | { readonly base64: string };

export interface SnapshotRow {
  readonly table: SnapshotTable;
  readonly values: readonly (string | number | null | Buffer)[];
}

/** Written beside and renamed, so that there is always a whole one. */
export function writeSnapshot(database: DatabaseSync, path: string): void {
  const beside = `${path}.new`;
  const file = openSync(beside, 'w', 0o600);
  // One moment for all tables, while the owner goes on writing.
  database.exec('BEGIN');
  try {
    let text = `${JSON.stringify({ letterlock: 'snapshot', version: VERSION })}\n`;
    for (const [table, sql] of Object.entries(TABLES)) {
      const statement = database.prepare(sql);
      statement.setReturnArrays(true);
      for (const row of statement.iterate() as unknown as Iterable<SQLOutputValue[]>) {
        text += `${JSON.stringify([table, ...row.map(toJson)])}\n`;
        if (text.length < MIB) continue;
        writeFileSync(file, zstdCompressSync(text));
        text = '';
      }
    }
    writeFileSync(file, zstdCompressSync(text));
    fsyncSync(file);
  } finally {
    database.exec('COMMIT');
    closeSync(file);
  }
  renameSync(beside, path);
  syncPathSync(dirname(path));
}

/** @throws IntegrityError 'format'; ENOENT when there is none. */
export function* readSnapshot(path: string): Generator<SnapshotRow> {
  let lines: string[];
  try {
    lines = zstdDecompressSync(readFileSync(path)).toString('utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    throw new IntegrityError('format', 'A snapshot cannot be read', error);
  }
  const head = parsed(lines.shift() ?? '') as { letterlock?: string; version?: number };
  if (head.letterlock !== 'snapshot' || head.version !== VERSION) {
    throw new IntegrityError(
      'format',
      `A snapshot has version ${head.version}; this program knows ${VERSION}`,
    );
  }
  for (const line of lines) {
    if (line === '') continue;
    const [table, ...values] = parsed(line) as [SnapshotTable, ...Value[]];
    yield { table, values: values.map(fromJson) };
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new IntegrityError('format', 'A snapshot cannot be read', error);
  }
}

function toJson(value: SQLOutputValue): Value {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') };
  return typeof value === 'bigint' ? Number(value) : value;
}

function fromJson(value: Value): string | number | null | Buffer {
  return typeof value === 'object' && value !== null ? Buffer.from(value.base64, 'base64') : value;
}
