import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'mocha';
import { configure, migrate, refuseOldSqlite } from '../src/sqlite.ts';

describe('SQLite', () => {
  it('older than 3.51.3 is refused', () => {
    for (const version of ['3.51.2', '3.50.9', '2.99.99', '3.51']) {
      assert.throws(() => refuseOldSqlite(version), { kind: 'unavailable' }, version);
    }
    for (const version of ['3.51.3', '3.52.0', '3.53.4', '4.0.0']) refuseOldSqlite(version);
    refuseOldSqlite();
  });

  it('that does not take a setting is refused', () => {
    const database = new DatabaseSync(':memory:');
    configure(database, [['foreign_keys', 'ON', 1]]);
    // A database in memory has no WAL.
    assert.throws(() => configure(database, [['journal_mode', 'WAL', 'wal']]), { kind: 'unavailable' });
    assert.throws(() => configure(database, [['no_such_pragma', '1', 1]]), { kind: 'unavailable' });
    database.close();
  });

  it('goes through the migrations that a file lacks, each once; a file from a later version is refused', () => {
    const database = new DatabaseSync(':memory:');
    const [first, second] = ['CREATE TABLE a (x ANY) STRICT', 'CREATE TABLE b (x ANY) STRICT'];
    migrate(database, [`${first};`]);
    migrate(database, [`${first};`, `${second};`]);
    migrate(database, [`${first};`, `${second};`]);
    assert.equal(database.prepare('PRAGMA user_version').get()?.['user_version'], 2);
    assert.throws(() => migrate(database, [`${first};`]), { kind: 'integrity', code: 'format' });
    database.close();
  });
});
