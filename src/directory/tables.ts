/** The tables of directory.db as the directory uses them: statements kept, constraints told in the directory's words. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { RefusedError, UnavailableError } from '../errors.ts';
import { Statements } from '../sqlite.ts';

const SQLITE_FULL = 13;

export class Tables {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#statements = new Statements(database, 'objects');
  }

  /** Every row, by column name. */
  all<T>(sql: string, ...parameters: SQLInputValue[]): T[] {
    return this.#statements.get(sql).all(...parameters) as T[];
  }

  /** The first row, by column name. */
  get<T>(sql: string, ...parameters: SQLInputValue[]): T | undefined {
    return this.#statements.get(sql).get(...parameters) as T | undefined;
  }

  /**
   * Every row as an array of its columns, which is several times faster with many rows. For statements that `all` and
   * `get` are not used with.
   */
  arrays<T extends readonly unknown[]>(sql: string, ...parameters: SQLInputValue[]): T[] {
    const statement = this.#statements.get(sql);
    statement.setReturnArrays(true);
    return statement.all(...parameters) as unknown as T[];
  }

  /** Changes rows. Durable when it returns, or with the transaction around it. @throws UnavailableError 'disk-full'. */
  run(sql: string, ...parameters: SQLInputValue[]): { readonly changes: number; readonly id: number } {
    try {
      const { changes, lastInsertRowid } = this.#statements.get(sql).run(...parameters);
      return { changes: Number(changes), id: Number(lastInsertRowid) };
    } catch (error) {
      throw told(error);
    }
  }

  /** @throws RefusedError 'already-exists' with `sentence` when the row is there; as run does. */
  insert(sentence: string, sql: string, ...parameters: SQLInputValue[]): number {
    try {
      return this.run(sql, ...parameters).id;
    } catch (error) {
      throw isConstraint(error, 'UNIQUE') ? new RefusedError('already-exists', sentence, error) : error;
    }
  }

  /** @throws RefusedError 'in-use' with `sentence` when other rows need the row; as run does. */
  remove(sentence: string, sql: string, ...parameters: SQLInputValue[]): void {
    try {
      this.run(sql, ...parameters);
    } catch (error) {
      throw isConstraint(error, 'FOREIGN KEY') ? new RefusedError('in-use', sentence, error) : error;
    }
  }

  /** All that `work` changes, or nothing when it throws. */
  transaction<T>(work: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw told(error);
    }
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }
}

const told = (error: unknown): unknown =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_FULL
    ? new UnavailableError('disk-full', 'There is no space for the directory', error)
    : error;

const isConstraint = (error: unknown, kind: string): boolean =>
  error instanceof Error && error.message.includes(`${kind} constraint failed`);
