import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { parse } from 'yaml';
import { outline } from '../../src/config/outline.ts';
import { settingsSchema } from '../../src/config/schema.ts';

const FILE = join(import.meta.dirname, '../../config/letterlock.yaml');

describe('config/letterlock.yaml', () => {
  it('holds every key with its default', async () => {
    const values: unknown = parse(await readFile(FILE, 'utf8'));
    assert.deepEqual(values, settingsSchema.parse({}));
    for (const { path } of outline()) {
      let holder: unknown = values;
      for (const name of path.slice(0, -1)) holder = (holder as Record<string, unknown>)[name];
      assert.ok(Object.hasOwn(holder as object, path.at(-1)!), path.join('.'));
    }
  });
});
