import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError, UnavailableError } from '../../src/errors.ts';
import {
  assertSqliteVersion,
  isDamage,
  MIGRATIONS,
  openIndexDatabase,
  SCHEMA_VERSION,
} from '../../src/store/embedded/schema.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('the schema of an index', () => {
  let scratch: string;
  let path: string;

  beforeEach(async () => {
    scratch = await makeScratch('schema');
    path = join(scratch, 'index.db');
  });

  afterEach(() => removeScratch(scratch));

  it('is made once, and found by the next opening', () => {
    openIndexDatabase(path).close();
    const again = openIndexDatabase(path);
    assert.deepEqual({ ...again.prepare('PRAGMA user_version').get() }, { user_version: SCHEMA_VERSION });
    assert.deepEqual({ ...again.prepare('SELECT count(*) AS n FROM mailbox').get() }, { n: 0 });
    again.close();
  });

  it('of version 1 is brought up to date, headers and digests moved out of the messages’ rows', () => {
    const old = new DatabaseSync(path);
    old.exec(`BEGIN; ${MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT`);
    const insert = old.prepare(
      'INSERT INTO message VALUES (NULL, ?, NULL, 1, 5, 50, 1, 1, 1, 0, 9, 6, ?, ?)',
    );
    for (let n = 1; n <= 3; n++)
      insert.run(Buffer.of(n), Buffer.from(`header ${n}`), Buffer.from(`digest ${n}`));
    old.close();
    const now = openIndexDatabase(path);
    const rows = now.prepare(
      `SELECT message_key AS key, hex(message_id) AS id, CAST(header AS TEXT) AS header, CAST(digest AS TEXT) AS digest
      FROM message JOIN message_parts USING (message_key)`,
    );
    assert.deepEqual(
      rows.all().map((row) => ({ ...row })),
      [1, 2, 3].map((n) => ({ key: n, id: `0${n}`, header: `header ${n}`, digest: `digest ${n}` })),
    );
    const columns = now.prepare("SELECT name FROM pragma_table_info('message')").all();
    assert.ok(!columns.some(({ name }) => name === 'header' || name === 'digest'));
    assert.deepEqual({ ...now.prepare('SELECT count(*) AS n FROM queued').get() }, { n: 0 });
    assert.deepEqual({ ...now.prepare('PRAGMA user_version').get() }, { user_version: SCHEMA_VERSION });
    now.close();
  });

  it('of a newer version is refused by its number, and left as it is', () => {
    openIndexDatabase(path).close();
    const newer = new DatabaseSync(path);
    newer.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    newer.close();
    const octets = readFileSync(path);
    assert.throws(
      () => openIndexDatabase(path),
      (error) =>
        error instanceof IntegrityError &&
        error.code === 'format' &&
        error.message.includes(`version ${SCHEMA_VERSION + 1}`),
    );
    assert.deepEqual(readFileSync(path), octets);
    assert.deepEqual(readdirSync(scratch), ['index.db']);
  });

  it('of the first version is taken over, with what had vanished', () => {
    const old = new DatabaseSync(path);
    old.exec(MIGRATIONS[0]!);
    old.exec(`INSERT INTO tombstone VALUES (1, 7, 30), (1, 8, 20), (2, 7, 10);
      PRAGMA user_version = 1;`);
    old.close();
    const now = openIndexDatabase(path);
    const rows = now.prepare('SELECT * FROM vanished').all() as Record<string, number>[];
    assert.deepEqual(
      rows.map((row) => Object.values(row)),
      [
        [1, 20, 8, 8],
        [1, 30, 7, 7],
        [2, 10, 7, 7],
      ],
    );
    assert.equal(now.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'tombstone'").get(), undefined);
    now.close();
  });

  it('is not looked for in a file that is no database: that is damage, a newer version is not', () => {
    writeFileSync(path, Buffer.alloc(8192, 7));
    assert.throws(() => openIndexDatabase(path), isDamage);
    assert.equal(isDamage(new IntegrityError('format', 'newer')), false);
    assert.equal(isDamage(Object.assign(new Error('busy'), { errcode: 5 })), false);
    assert.equal(isDamage(Object.assign(new Error('SQLITE_CORRUPT_INDEX'), { errcode: 779 })), true);
  });

  it('needs an SQLite that does not lose data', () => {
    assertSqliteVersion();
    assertSqliteVersion('3.51.3');
    assertSqliteVersion('3.52.0');
    assertSqliteVersion('4.0.0');
    for (const version of ['3.51.2', '3.50.9', '2.99.99', '0']) {
      assert.throws(() => assertSqliteVersion(version), UnavailableError);
    }
  });
});
