/** The schema of directory.db, and how it is opened. Few writes, each durable before it is answered. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { IntegrityError } from '../errors.ts';
import { DIRECTORY_READ_MS } from '../limits.ts';
import { configure, migrate, refuseOldSqlite, type Setting } from '../sqlite.ts';

/** `MIGRATIONS[n]` leads from schema version n to n + 1. Never edited once released; only added to. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE organization (
    organization_id TEXT NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    key_id          TEXT,
    -- The raw Ed25519 public key that its recipients are signed with, a second time, apart from the key store: who
    -- rewrites that one alone redirects no mail. NULL until the organization has keys.
    directory_key   BLOB
  ) STRICT;

  CREATE TABLE domain (
    name            TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organization,
    UNIQUE (name, organization_id)
  ) STRICT;

  CREATE TABLE user (
    user_id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT    NOT NULL REFERENCES organization,
    display_name    TEXT    NOT NULL,
    mailbox_id      TEXT    NOT NULL UNIQUE,
    quota_octets    INTEGER,
    state           TEXT    NOT NULL CHECK (state IN ('creating', 'active', 'disabled', 'removing')),
    UNIQUE (user_id, organization_id)
  ) STRICT;
  CREATE INDEX user_active ON user (organization_id) WHERE state = 'active';

  CREATE TABLE credential (
    user_id       INTEGER NOT NULL PRIMARY KEY REFERENCES user ON DELETE CASCADE,
    password_hash TEXT,
    version       INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE "group" (
    group_id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT    NOT NULL REFERENCES organization,
    display_name    TEXT    NOT NULL,
    UNIQUE (group_id, organization_id)
  ) STRICT;

  -- Every address that receives: one owner each, of the organization that owns the domain. A primary address names its
  -- owner; the others are aliases.
  CREATE TABLE address (
    address         TEXT    NOT NULL PRIMARY KEY,
    domain          TEXT    NOT NULL,
    organization_id TEXT    NOT NULL,
    user_id         INTEGER,
    group_id        INTEGER,
    is_primary      INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (group_id IS NULL)),
    FOREIGN KEY (domain, organization_id) REFERENCES domain (name, organization_id),
    FOREIGN KEY (user_id, organization_id) REFERENCES user (user_id, organization_id) ON DELETE CASCADE,
    FOREIGN KEY (group_id, organization_id) REFERENCES "group" (group_id, organization_id) ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX address_user ON address (user_id);
  CREATE INDEX address_group ON address (group_id);
  CREATE INDEX address_domain ON address (domain);

  CREATE TABLE member (
    group_id        INTEGER NOT NULL,
    organization_id TEXT    NOT NULL,
    user_id         INTEGER,
    child_group_id  INTEGER,
    CHECK ((user_id IS NULL) <> (child_group_id IS NULL)),
    UNIQUE (group_id, user_id),
    UNIQUE (group_id, child_group_id),
    FOREIGN KEY (group_id, organization_id) REFERENCES "group" (group_id, organization_id) ON DELETE CASCADE,
    FOREIGN KEY (user_id, organization_id) REFERENCES user (user_id, organization_id) ON DELETE CASCADE,
    FOREIGN KEY (child_group_id, organization_id) REFERENCES "group" (group_id, organization_id) ON DELETE CASCADE
  ) STRICT;
  CREATE INDEX member_user ON member (user_id);
  CREATE INDEX member_child ON member (child_group_id);
  `,
  `
  -- The mailbox of an organization's outgoing mail: named before its keys are made, ready once it takes mail.
  ALTER TABLE organization ADD COLUMN queue_mailbox_id TEXT;
  ALTER TABLE organization ADD COLUMN queue_is_ready INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- Members of groups who are elsewhere; \`canonical\` is for comparing, \`address\` for sending.
  CREATE TABLE outside_member (
    group_id        INTEGER NOT NULL,
    organization_id TEXT    NOT NULL,
    canonical       TEXT    NOT NULL,
    address         TEXT    NOT NULL,
    PRIMARY KEY (group_id, canonical),
    FOREIGN KEY (group_id, organization_id) REFERENCES "group" (group_id, organization_id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  `,
];

const SETTINGS: readonly Setting[] = [
  ['journal_mode', 'WAL', 'wal'],
  ['synchronous', 'FULL', 2],
  ['foreign_keys', 'ON', 1],
  ['temp_store', 'MEMORY', 2],
  ['mmap_size', '0', 0],
];

/**
 * Readable for its owner only: it holds password hashes.
 * @throws IntegrityError 'format' when the file has a newer schema than this program; UnavailableError when this SQLite
 *   is too old or does not keep its promises.
 */
export function openDirectoryDatabase(file: string): DatabaseSync {
  refuseOldSqlite();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // SQLite makes its files readable for all; the WAL takes over the database's mode.
  closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    configure(database, SETTINGS);
    migrate(database, MIGRATIONS);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** To look things up beside a server that runs. @throws the system's or SQLite's error; IntegrityError as above. */
export function openDirectoryToRead(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { readOnly: true, timeout: DIRECTORY_READ_MS });
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version !== MIGRATIONS.length) {
      throw new IntegrityError('format', `The directory has schema version ${version}.`);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
