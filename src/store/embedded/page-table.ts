/**
 * The rows of pages in a mailbox's index (page.ts), and which messages are still to be folded into them. Knows no key.
 * Every method is synchronous and touches the page cache only.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { MessageId } from '../../ids.ts';
import { Statements } from '../../sqlite.ts';
import type { PackPlace } from './pack.ts';
import { type ColumnName, columnNumber } from './page.ts';

export const PAGE_SCHEMA = `
  -- Header and digest of messages that are not absorbed yet. Beside the message table, whose rows stay small and many
  -- a leaf, so that a folder's are read in a few of them.
  CREATE TABLE message_parts (
    message_key INTEGER NOT NULL PRIMARY KEY,
    header      BLOB    NOT NULL,
    digest      BLOB    NOT NULL
  ) STRICT;
  INSERT INTO message_parts SELECT message_key, header, digest FROM message;
  ALTER TABLE message DROP COLUMN header;
  ALTER TABLE message DROP COLUMN digest;

  -- Sealed pages, docs/format.md, "Pages": derived data, which packs have too. A message without parts is in one.
  CREATE TABLE page_column (
    page_id     BLOB    NOT NULL,
    page_column INTEGER NOT NULL,
    sealed      BLOB    NOT NULL,
    PRIMARY KEY (page_id, page_column)
  ) STRICT;

  CREATE TABLE page_root (
    only_row   INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    epoch      INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
  ) STRICT;
`;

export interface SealedRoot {
  readonly epoch: number;
  readonly generation: number;
  readonly sealed: Buffer;
}

/** A message that is to be folded into a page. */
export interface AbsorbableRow {
  readonly key: number;
  readonly id: MessageId;
  readonly epoch: number;
  readonly octets: number;
  readonly bodyOctets: number;
  readonly place: PackPlace;
  /** null when only its pack has them: it was in a page that is no more. */
  readonly sealed: { readonly header: Buffer; readonly digest: Buffer } | null;
}

const ROW = `message.message_key, lower(hex(message_id)), epoch, octets, body_octets, pack, record_offset, record_octets,
  body_offset, header, digest`;

/** Columns that are deleted in one go. */
const COLUMNS_AT_ONCE = 16;

const SQL = {
  root: 'SELECT epoch, generation, sealed FROM page_root',
  setRoot: 'INSERT OR REPLACE INTO page_root VALUES (1, ?, ?, ?)',
  column: 'SELECT sealed FROM page_column WHERE page_id = ? AND page_column = ?',
  insertColumn: 'INSERT INTO page_column VALUES (?, ?, ?)',
  deleteColumns: `DELETE FROM page_column WHERE rowid IN
    (SELECT rowid FROM page_column WHERE page_id = ? LIMIT ${COLUMNS_AT_ONCE})`,
  nextPage: 'SELECT min(page_id) FROM page_column WHERE page_id > ?',
  // Without a place the pack does not have the message yet: the row is its only copy but for the accept journal's.
  unabsorbed: `SELECT ${ROW} FROM message_parts CROSS JOIN message USING (message_key)
    WHERE message_key > ? AND pack IS NOT NULL ORDER BY message_key LIMIT ?`,
  absorbed: `SELECT ${ROW} FROM message LEFT JOIN message_parts USING (message_key)
    WHERE message.message_key > ? AND pack IS NOT NULL AND header IS NULL ORDER BY message.message_key LIMIT ?`,
  strip: 'DELETE FROM message_parts WHERE message_key = ?',
  keys: 'SELECT message_key FROM message WHERE message_key BETWEEN ? AND ?',
  countKeys: 'SELECT count(*) FROM message WHERE message_key BETWEEN ? AND ?',
  place: 'SELECT pack, record_offset, record_octets, body_offset, epoch FROM message WHERE message_key = ?',
} as const;

const idOctets = (page: string): Buffer => Buffer.from(page, 'hex');

export class PageTable {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#statements = new Statements(database, 'arrays');
  }

  close(): void {
    this.#statements.clear();
  }

  root(): SealedRoot | null {
    const row = this.#statement('root').get() as unknown as [number, number, Uint8Array] | undefined;
    return row === undefined ? null : { epoch: row[0], generation: row[1], sealed: bufferOf(row[2]) };
  }

  column(page: string, column: ColumnName): Buffer | null {
    const row = this.#statement('column').get(idOctets(page), columnNumber(column)) as unknown as
      | [Uint8Array]
      | undefined;
    return row === undefined ? null : bufferOf(row[0]);
  }

  /** Of all pages that have rows, listed or not. */
  *pages(): Generator<string> {
    // Step by step through the index: each page has hundreds of rows.
    for (let page: Buffer = Buffer.alloc(0); ; ) {
      const [next] = this.#statement('nextPage').get(page) as unknown as [Uint8Array | null];
      if (next === null) return;
      page = bufferOf(next);
      yield page.toString('hex');
    }
  }

  /** Messages with a header and a digest of their own, in order. */
  unabsorbed(after: number, limit: number): AbsorbableRow[] {
    return this.#rows('unabsorbed', after, limit);
  }

  /** Messages without, in order. */
  absorbed(after: number, limit: number): AbsorbableRow[] {
    return this.#rows('absorbed', after, limit);
  }

  /** Of the messages that are there, between two keys. */
  keys(first: number, last: number): Set<number> {
    const rows = this.#statement('keys').all(first, last) as unknown as [number][];
    return new Set(rows.map(([key]) => key));
  }

  countKeys(first: number, last: number): number {
    return (this.#statement('countKeys').get(first, last) as unknown as [number])[0];
  }

  /** Where a message's record is, and the epoch of its header; null when it is gone, or not in a pack yet. */
  place(key: number): { readonly place: PackPlace; readonly epoch: number } | null {
    const row = this.#statement('place').get(key) as unknown as (number | null)[] | undefined;
    if (row === undefined || row[0] === null) return null;
    const [pack, recordOffset, recordOctets, bodyOffset, epoch] = row as number[];
    return {
      place: {
        pack: pack!,
        recordOffset: recordOffset!,
        recordOctets: recordOctets!,
        bodyOffset: bodyOffset!,
      },
      epoch: epoch!,
    };
  }

  // --- Writing ---

  insertColumn(page: string, column: ColumnName, sealed: Buffer): void {
    this.#statement('insertColumn').run(idOctets(page), columnNumber(column), sealed);
  }

  /** Some of the page's columns: each is some hundred KB at most, but for the largest pages'. */
  deleteColumns(page: string): void {
    this.#statement('deleteColumns').run(idOctets(page));
  }

  /** In one step: the pages that are live from now on, and the messages that need no header and digest of their own. */
  commit(root: SealedRoot, absorbed: Iterable<number>): void {
    this.#database.exec('BEGIN');
    try {
      this.#statement('setRoot').run(root.epoch, root.generation, root.sealed);
      for (const key of absorbed) this.#statement('strip').run(key);
      this.#database.exec('COMMIT');
    } catch (error) {
      // The connection is the mailbox's own: its next change would find this transaction open, and end the process.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #rows(name: 'unabsorbed' | 'absorbed', after: number, limit: number): AbsorbableRow[] {
    const rows = this.#statement(name).all(after, limit) as unknown as unknown[][];
    return rows.map(([key, id, ...others]) => {
      const [epoch, octets, bodyOctets, pack, recordOffset, recordOctets, bodyOffset] = others as number[];
      const [header, digest] = others.slice(7) as (Uint8Array | null)[];
      return {
        key: key as number,
        id: id as MessageId,
        epoch: epoch!,
        octets: octets!,
        bodyOctets: bodyOctets!,
        place: {
          pack: pack!,
          recordOffset: recordOffset!,
          recordOctets: recordOctets!,
          bodyOffset: bodyOffset!,
        },
        sealed: header && digest ? { header: bufferOf(header), digest: bufferOf(digest) } : null,
      };
    });
  }

  #statement(name: keyof typeof SQL): StatementSync {
    return this.#statements.get(SQL[name]);
  }
}

export const bufferOf = (octets: Uint8Array): Buffer =>
  Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
