/**
 * The index's schema and how its file is opened. docs/format.md, "Index". One SQLite database a mailbox.
 */
import { DatabaseSync } from 'node:sqlite';
import { IntegrityError, UnavailableError } from '../../errors.ts';
import { PAGE_SCHEMA } from './page-table.ts';

/** Below it, a WAL reset under concurrent checkpoints may corrupt a database. */
const LEAST_SQLITE_VERSION = [3, 51, 3] as const;

/** `MIGRATIONS[n]` leads from schema version n to n + 1. Never edited once released; only added to. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE mailbox (
    mailbox_id        TEXT    NOT NULL PRIMARY KEY,
    organization_id   TEXT    NOT NULL,
    epoch             INTEGER NOT NULL,
    modseq            INTEGER NOT NULL,
    next_folder_id    INTEGER NOT NULL,
    next_subscription INTEGER NOT NULL,
    next_uid_validity INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE folder (
    folder_id    INTEGER NOT NULL PRIMARY KEY,
    role         TEXT,
    sealed_name  BLOB    NOT NULL,
    uid_validity INTEGER NOT NULL,
    uid_next     INTEGER NOT NULL,
    recent_from  INTEGER NOT NULL,
    modseq       INTEGER NOT NULL,
    messages     INTEGER NOT NULL,
    unseen       INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    octets       INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE subscription (
    subscription_id INTEGER NOT NULL PRIMARY KEY,
    sealed_name     BLOB    NOT NULL
  ) STRICT;

  CREATE TABLE keyword (
    number      INTEGER NOT NULL PRIMARY KEY,
    sealed_name BLOB    NOT NULL
  ) STRICT;

  -- Header and digest lie here until they are folded into pages; the pack has them for good. Until the checkpoint
  -- there is no place: the accept journal has the record. Keys are never reused.
  CREATE TABLE message (
    message_key    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    message_id     BLOB    NOT NULL UNIQUE,
    thread_id      BLOB,
    epoch          INTEGER NOT NULL,
    octets         INTEGER NOT NULL,
    body_octets    INTEGER NOT NULL,
    refs           INTEGER NOT NULL,
    digest_version INTEGER NOT NULL,
    pack           INTEGER,
    record_offset  INTEGER,
    record_octets  INTEGER,
    body_offset    INTEGER,
    header         BLOB,
    digest         BLOB
  ) STRICT;

  CREATE INDEX message_pack ON message (pack, record_offset, record_octets);
  CREATE INDEX message_unreferenced ON message (message_key) WHERE refs = 0;

  CREATE TABLE entry (
    folder_id     INTEGER NOT NULL,
    uid           INTEGER NOT NULL,
    message_key   INTEGER NOT NULL,
    flags         INTEGER NOT NULL,
    keywords      TEXT,
    modseq        INTEGER NOT NULL,
    internal_date INTEGER NOT NULL,
    save_date     INTEGER NOT NULL,
    PRIMARY KEY (folder_id, uid)
  ) STRICT, WITHOUT ROWID;

  -- What QRESYNC (RFC 7162) answers VANISHED from.
  CREATE TABLE tombstone (
    folder_id INTEGER NOT NULL,
    uid       INTEGER NOT NULL,
    modseq    INTEGER NOT NULL,
    PRIMARY KEY (folder_id, uid)
  ) STRICT, WITHOUT ROWID;

  -- Messages that no entry names any more and whose bodies are still to be removed.
  CREATE TABLE garbage (
    message_id BLOB NOT NULL PRIMARY KEY
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- What QRESYNC (RFC 7162) answers VANISHED from: ranges, so that emptying a folder is one row, and by modseq, so that
  -- only what is new to a client is read. A range may span UIDs that were gone before.
  CREATE TABLE vanished (
    folder_id INTEGER NOT NULL,
    modseq    INTEGER NOT NULL,
    first_uid INTEGER NOT NULL,
    last_uid  INTEGER NOT NULL,
    PRIMARY KEY (folder_id, modseq, first_uid)
  ) STRICT, WITHOUT ROWID;

  INSERT INTO vanished SELECT folder_id, modseq, uid, uid FROM tombstone;
  DROP TABLE tombstone;

  -- Ranges up to this modseq were forgotten.
  ALTER TABLE folder ADD COLUMN vanished_low INTEGER NOT NULL DEFAULT 0;
  `,
  PAGE_SCHEMA,
  `
  -- Messages of a queue: to whom they go on, and what became of that so far. docs/format.md, "Outbound queue".
  CREATE TABLE queued (
    message_id BLOB    NOT NULL PRIMARY KEY,
    envelope   BLOB    NOT NULL,
    generation INTEGER NOT NULL,
    note       BLOB
  ) STRICT, WITHOUT ROWID;
  `,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** @throws UnavailableError when the process runs on an SQLite that is known to lose data. */
export function assertSqliteVersion(version = process.versions.sqlite ?? '0'): void {
  const parts = version.split('.').map(Number);
  for (const [index, least] of LEAST_SQLITE_VERSION.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return;
    if (part < least) {
      throw new UnavailableError(
        'busy',
        `SQLite ${LEAST_SQLITE_VERSION.join('.')} or later is needed, not ${version}`,
      );
    }
  }
}

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** Whether SQLite found an index damaged, or no index at all. */
export function isDamage(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  // The low octet; above it are SQLite's extended codes.
  return errcode !== undefined && [SQLITE_CORRUPT, SQLITE_NOTADB].includes(errcode & 0xff);
}

export interface OpenIndexOptions {
  /** The connection of the checkpoint thread: reads, and carries WAL frames over with syncs. */
  readonly forCheckpoint?: boolean;
}

/**
 * Opens (or makes) an index. Its writes reach the page cache only: what makes them durable is the accept journal
 * before and the checkpoint thread behind, so that no statement on the event loop waits for the disk.
 * @throws IntegrityError when the file has a newer schema than this program.
 */
export function openIndexDatabase(path: string, options: OpenIndexOptions = {}): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: options.forCheckpoint ? 2_000 : 250 });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;');
    database.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF;');
    assertPragma(database, 'synchronous', 1);
    assertPragma(database, 'temp_store', 2);
    migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function assertPragma(database: DatabaseSync, name: string, expected: number): void {
  const value = Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  if (value !== expected)
    throw new UnavailableError('busy', `SQLite did not take PRAGMA ${name} = ${expected}`);
}

function migrate(database: DatabaseSync): void {
  const version = Number(Object.values(database.prepare('PRAGMA user_version').get() ?? {})[0]);
  if (version > SCHEMA_VERSION) {
    throw new IntegrityError(
      'format',
      `An index has schema version ${version}; this program knows ${SCHEMA_VERSION}`,
    );
  }
  for (let next = version; next < SCHEMA_VERSION; next++) {
    database.exec(`BEGIN; ${MIGRATIONS[next]} PRAGMA user_version = ${next + 1}; COMMIT;`);
  }
}
