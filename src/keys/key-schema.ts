/** The tables of keys.db, how one version becomes the next, and the settings of SQLite that the key store rests on. */
import type { DatabaseSync } from 'node:sqlite';
import { configure, migrate, type Setting } from '../sqlite.ts';

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
  `CREATE TABLE organization_lock (
     organization TEXT NOT NULL PRIMARY KEY REFERENCES organization_key ON DELETE CASCADE,
     locked_at    INTEGER NOT NULL,
     reason       TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE mailbox_lock (
     mailbox   TEXT NOT NULL PRIMARY KEY REFERENCES mailbox ON DELETE CASCADE,
     locked_at INTEGER NOT NULL,
     reason    TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE cache_key (
     organization TEXT NOT NULL PRIMARY KEY REFERENCES organization_key ON DELETE CASCADE,
     key_id       TEXT NOT NULL,
     context      TEXT NOT NULL,
     wrapped      BLOB NOT NULL,
     created_at   INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE dkim_key (
     domain       TEXT NOT NULL,
     selector     TEXT NOT NULL,
     organization TEXT NOT NULL REFERENCES organization_key,
     algorithm    TEXT NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
     public_key   BLOB NOT NULL,
     key_id       TEXT NOT NULL,
     context      TEXT NOT NULL,
     wrapped      BLOB NOT NULL,
     state        TEXT NOT NULL CHECK (state IN ('waiting', 'active', 'retired')),
     created_at   INTEGER NOT NULL,
     PRIMARY KEY (domain, selector)
   ) STRICT;
   CREATE INDEX dkim_key_organization ON dkim_key (organization);`,
];

/** What durability and secrecy rest on. */
const SETTINGS: readonly Setting[] = [
  ['journal_mode', 'WAL', 'wal'],
  ['synchronous', 'FULL', 2],
  ['secure_delete', 'ON', 1],
  ['temp_store', 'MEMORY', 2],
  ['mmap_size', '0', 0],
  ['foreign_keys', 'ON', 1],
];

/** @throws UnavailableError when a setting does not hold; IntegrityError 'format' when a later version wrote the file. */
export function prepareKeyDatabase(database: DatabaseSync): void {
  configure(database, SETTINGS);
  migrate(database, MIGRATIONS);
}
