/**
 * One data directory, one server: an EXCLUSIVE SQLite lock on `lock.db` (Node has no flock). The kernel drops it with
 * the process, however the process ends.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { UnavailableError } from '../../errors.ts';

/** Held by this process. A lock that nobody refers to any more would be closed, and so released, by the collector. */
const held = new Set<DatabaseSync>();

export interface DataLock {
  release(): void;
}

/** @throws UnavailableError 'locked-data-directory' when another process holds the directory. */
export function lockDataDirectory(directory: string): DataLock {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(directory, 'lock.db'), { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE; COMMIT;');
    database.exec('CREATE TABLE IF NOT EXISTS lock (pid INTEGER) STRICT; BEGIN EXCLUSIVE;');
  } catch (error) {
    database.close();
    throw new UnavailableError(
      'locked-data-directory',
      'The data directory is in use by another Letterlock process',
      error,
    );
  }
  held.add(database);
  return {
    release: () => {
      held.delete(database);
      database.close();
    },
  };
}
