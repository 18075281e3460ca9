import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { PageTable } from '../../src/store/embedded/page-table.ts';
import { openIndexDatabase } from '../../src/store/embedded/schema.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('the rows of pages', () => {
  let scratch: string;

  beforeEach(async () => {
    scratch = await makeScratch('page-table');
  });

  afterEach(() => removeScratch(scratch));

  it('are as they were when a commit fails, and the index takes the next change', () => {
    const database = openIndexDatabase(join(scratch, 'index.db'));
    const table = new PageTable(database);
    const root = { epoch: 1, generation: 1, sealed: Buffer.of(1) };
    table.commit(root, []);
    const other = openIndexDatabase(join(scratch, 'index.db'));
    other.exec('BEGIN IMMEDIATE');
    const next = { ...root, generation: 2 };
    assert.throws(() => table.commit(next, [1]), /database is locked/);
    other.exec('ROLLBACK');
    other.close();
    assert.deepEqual(table.root(), root);
    database.exec('BEGIN; COMMIT');
    table.commit(next, [1]);
    assert.equal(table.root()?.generation, 2);
    table.close();
    database.close();
  });
});
