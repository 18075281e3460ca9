/** What every SQLite file of ours rests on: a version without known losses, settings that hold, one schema at a time. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { IntegrityError, UnavailableError } from './errors.ts';

/** The first version with the fix for corruption when a WAL is reset while another connection writes. */
const OLDEST_SQLITE = [3, 51, 3] as const;

/** @throws UnavailableError when `version` is older than the first whose WAL we trust. */
export function refuseOldSqlite(version = process.versions.sqlite ?? '0'): void {
  const parts = version.split('.').map(Number);
  for (const [index, oldest] of OLDEST_SQLITE.entries()) {
    const part = parts[index] ?? 0;
    if (part > oldest) return;
    if (part < oldest) {
      throw new UnavailableError('busy', `SQLite ${OLDEST_SQLITE.join('.')} or later is needed.`);
    }
  }
}

/** A pragma, what it is set to, and what SQLite answers once it is set. */
export type Setting = readonly [name: string, value: string, answer: string | number];

/**
 * Sets each and reads it back: SQLite ignores a pragma that it does not know.
 * @throws UnavailableError when one does not hold.
 */
export function configure(database: DatabaseSync, settings: readonly Setting[]): void {
  for (const [name, value, expected] of settings) {
    database.exec(`PRAGMA ${name} = ${value}`);
    const row = database.prepare(`PRAGMA ${name}`).get();
    // Built without memory mapping, SQLite answers mmap_size with no row.
    const actual = row === undefined && name === 'mmap_size' ? 0 : Object.values(row ?? {})[0];
    if (actual !== expected) throw new UnavailableError('busy', `SQLite does not set ${name}.`);
  }
}

/**
 * Brings a file to the last schema version, each step in one transaction.
 * @param migrations `migrations[n]` leads from schema version n to n + 1.
 * @throws IntegrityError 'format' when a later version of the program wrote the file.
 */
export function migrate(database: DatabaseSync, migrations: readonly string[]): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version > migrations.length) {
    throw new IntegrityError(
      'format',
      `A database has schema version ${version}; this program knows ${migrations.length}.`,
    );
  }
  for (let next = version; next < migrations.length; next++) {
    database.exec(`BEGIN IMMEDIATE; ${migrations[next]} PRAGMA user_version = ${next + 1}; COMMIT;`);
  }
}

/** Statements that are prepared once and kept. The texts must be constants: none is forgotten before the end. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #asArrays: boolean;
  readonly #bySql = new Map<string, StatementSync>();

  /** @param rows What a row is read as: an object by column name, or an array of its columns. */
  constructor(database: DatabaseSync, rows: 'objects' | 'arrays') {
    this.#database = database;
    this.#asArrays = rows === 'arrays';
  }

  get(sql: string): StatementSync {
    const known = this.#bySql.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    statement.setReturnArrays(this.#asArrays);
    this.#bySql.set(sql, statement);
    return statement;
  }

  clear(): void {
    this.#bySql.clear();
  }
}
