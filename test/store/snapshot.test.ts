import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError } from '../../src/errors.ts';
import { openIndexDatabase } from '../../src/store/embedded/schema.ts';
import { readSnapshot, type SnapshotRow, writeSnapshot } from '../../src/store/embedded/snapshot.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('a snapshot', () => {
  let scratch: string;
  let path: string;
  let database: DatabaseSync;

  beforeEach(async () => {
    scratch = await makeScratch('snapshot');
    path = join(scratch, 'snapshot');
    database = openIndexDatabase(join(scratch, 'index.db'));
  });

  afterEach(async () => {
    database.close();
    await removeScratch(scratch);
  });

  function fill(entries: number): void {
    database.exec('BEGIN');
    database.prepare("INSERT INTO mailbox VALUES ('ab', 'm-cd', 1, 7, 3, 2, 1700000000)").run();
    database
      .prepare("INSERT INTO folder VALUES (1, 'inbox', ?, 1700000000, ?, 1, 7, ?, 0, 0, 0, 0)")
      .run(Buffer.from([0, 1, 0xff]), entries + 1, entries);
    database
      .prepare('INSERT INTO folder VALUES (2, NULL, ?, 1700000001, 1, 1, 7, 0, 0, 0, 0, 0)')
      .run(randomBytes(100));
    database.prepare('INSERT INTO subscription VALUES (1, ?)').run(Buffer.alloc(0));
    database.prepare('INSERT INTO keyword VALUES (1, ?)').run(randomBytes(70));
    const message = database.prepare(
      'INSERT INTO message VALUES (NULL, ?, NULL, 1, 5, 50, 1, 1, 1, 0, 100, 60)',
    );
    const entry = database.prepare('INSERT INTO entry VALUES (1, ?, ?, ?, ?, 7, 1000, 2000)');
    for (let uid = 1; uid <= entries; uid++) {
      message.run(randomBytes(16));
      entry.run(uid, uid, uid % 32, uid % 3 === 0 ? '1,5' : null);
    }
    database.exec('COMMIT');
  }

  const table = (name: string): unknown[][] => {
    const sql =
      name === 'entry'
        ? 'SELECT folder_id, uid, lower(hex(message_id)), flags, keywords, modseq, internal_date, save_date FROM entry JOIN message USING (message_key)'
        : `SELECT * FROM ${name}`;
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    return (statement.all() as unknown as unknown[][]).map((row) =>
      row.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)),
    );
  };

  it('gives back every row as it was, of tens of thousands too', () => {
    fill(30_000);
    writeSnapshot(database, path);
    const rows = new Map<string, unknown[][]>();
    for (const row of readSnapshot(path)) {
      const known = rows.get(row.table);
      if (known === undefined) rows.set(row.table, [[...row.values]]);
      else known.push([...row.values]);
    }
    for (const name of ['mailbox', 'folder', 'subscription', 'keyword', 'entry']) {
      assert.deepEqual(rows.get(name), table(name), name);
    }
  });

  it('of an empty index is empty', () => {
    writeSnapshot(database, path);
    assert.deepEqual([...readSnapshot(path)], []);
  });

  it('replaces the last one in one step, and leaves nothing beside it', () => {
    fill(3);
    writeSnapshot(database, path);
    writeSnapshot(database, path);
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith('snapshot')),
      ['snapshot'],
    );
  });

  it('shows one moment, while another connection goes on writing', () => {
    fill(3);
    const other = openIndexDatabase(join(scratch, 'index.db'));
    database.exec('BEGIN; SELECT * FROM mailbox;');
    database.exec('COMMIT');
    other.exec('DELETE FROM entry WHERE uid = 1');
    writeSnapshot(database, path);
    assert.equal([...readSnapshot(path)].filter(({ table }) => table === 'entry').length, 2);
    other.exec('BEGIN IMMEDIATE; COMMIT;');
    other.close();
  });

  it('that is damaged, cut, or newer than this program is refused by name', () => {
    fill(100);
    writeSnapshot(database, path);
    const read = (octets: Buffer): SnapshotRow[] => {
      writeFileSync(path, octets);
      return [...readSnapshot(path)];
    };
    const octets = readFileSync(path);
    const isFormat = (error: unknown): boolean => error instanceof IntegrityError && error.code === 'format';
    assert.throws(() => read(octets.subarray(0, octets.length - 10)), isFormat);
    assert.throws(() => read(randomBytes(1000)), isFormat);
    assert.throws(() => read(Buffer.alloc(0)), isFormat);
    assert.throws(() => read(zstdCompressSync('{"letterlock":"snapshot","version":2}\n')), isFormat);
    assert.throws(() => read(zstdCompressSync('no JSON\n')), isFormat);
    assert.throws(
      () => read(zstdCompressSync('{"letterlock":"snapshot","version":1}\n["entry", 1')),
      isFormat,
    );
  });
});
