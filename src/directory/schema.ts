/** The schema of directory.db, and how it is opened. Few writes, each durable before it is answered. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { IntegrityError } from '../errors.ts';

/** `MIGRATIONS[n]` leads from schema version n to n + 1. Never edited once released; only added to. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE organization (
    organization_id TEXT NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    key_id          TEXT
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
];

/** @throws IntegrityError 'format' when the file has a newer schema than this program. */
export function openDirectoryDatabase(file: string): DatabaseSync {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(file, { timeout: 5_000 });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    database.exec('PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;');
    migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

function migrate(database: DatabaseSync): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > MIGRATIONS.length) {
    throw new IntegrityError(
      'format',
      `The directory has schema version ${version}; this program knows ${MIGRATIONS.length}`,
    );
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    database.exec(`BEGIN; ${MIGRATIONS[next]} PRAGMA user_version = ${next + 1}; COMMIT;`);
  }
}
