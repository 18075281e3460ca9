import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError, UnavailableError } from '../../src/errors.ts';
import {
  assertSqliteVersion,
  isDamage,
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

  it('of the first version, which had no queues, is brought to the last', () => {
    const first = openIndexDatabase(path);
    first.exec('DROP TABLE queued; PRAGMA user_version = 1;');
    first.close();
    const now = openIndexDatabase(path);
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
