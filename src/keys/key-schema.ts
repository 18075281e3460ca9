/** The tables of keys.db, how one version becomes the next, and the settings of SQLite that the key store rests on. */
import type { DatabaseSync } from 'node:sqlite';
import { IntegrityError, UnavailableError } from '../errors.ts';

/** The first version with the fix for corruption when a WAL is reset while another connection writes. */
const OLDEST_SQLITE = [3, 51, 3] as const;

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE organization_key (
     organization      TEXT NOT NULL PRIMARY KEY,
     key_id            TEXT NOT NULL,
     directory_key     BLOB NOT NULL,
     directory_key_id  TEXT NOT NULL,
     directory_context TEXT NOT NULL,
     directory_wrapped BLOB NOT NULL,
     created_at        INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE mailbox (
     mailbox      TEXT NOT NULL PRIMARY KEY,
     organization TEXT NOT NULL REFERENCES organization_key,
     cache_salt   BLOB NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX mailbox_organization ON mailbox (organization);
   CREATE TABLE mailbox_key (
     mailbox          TEXT NOT NULL REFERENCES mailbox,
     epoch            INTEGER NOT NULL CHECK (epoch >= 1),
     recipient_type   TEXT NOT NULL CHECK (recipient_type IN ('x25519', 'mlkem768x25519')),
     recipient        TEXT NOT NULL,
     signature        BLOB NOT NULL,
     key_id           TEXT NOT NULL,
     context          TEXT NOT NULL,
     wrapped          BLOB NOT NULL,
     sealed_index_key BLOB NOT NULL,
     state            TEXT NOT NULL CHECK (state IN ('pending', 'current')),
     created_at       INTEGER NOT NULL,
     PRIMARY KEY (mailbox, epoch)
   ) STRICT;
   CREATE UNIQUE INDEX mailbox_key_current ON mailbox_key (mailbox) WHERE state = 'current';`,
];

/** @throws UnavailableError when `version` is older than the first whose WAL we trust. */
export function refuseOldSqlite(version: string): void {
  const parts = version.split('.').map(Number);
  for (const [index, oldest] of OLDEST_SQLITE.entries()) {
    const part = parts[index] ?? 0;
    if (part > oldest) return;
    if (part < oldest) {
      throw new UnavailableError('busy', `SQLite ${OLDEST_SQLITE.join('.')} or later is needed.`);
    }
  }
}

/** Sets what durability and secrecy rest on, and reads each back: SQLite ignores a pragma that it does not know. */
export function configure(database: DatabaseSync): void {
  const settings = [
    ['journal_mode', 'WAL', 'wal'],
    ['synchronous', 'FULL', 2],
    ['secure_delete', 'ON', 1],
    ['temp_store', 'MEMORY', 2],
    ['mmap_size', '0', 0],
    ['foreign_keys', 'ON', 1],
  ] as const;
  for (const [name, value, expected] of settings) {
    database.exec(`PRAGMA ${name} = ${value}`);
    const row = database.prepare(`PRAGMA ${name}`).get();
    // Built without memory mapping, SQLite answers mmap_size with no row.
    const actual = row === undefined && name === 'mmap_size' ? 0 : row?.[name];
    if (actual !== expected)
      throw new UnavailableError('busy', `SQLite does not set ${name} for the key store.`);
  }
}

/** @throws IntegrityError 'format' when a later version wrote the file. */
export function migrate(database: DatabaseSync): void {
  const version = database.prepare('PRAGMA user_version').get()?.['user_version'] as number;
  if (version > MIGRATIONS.length) {
    throw new IntegrityError('format', 'The key store was written by a later version of Letterlock.');
  }
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
