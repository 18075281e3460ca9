import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type Block, blocksOf } from './page.ts';

describe('the commands of a page', () => {
  let scratch: string;
  beforeEach(async () => {
    scratch = await makeScratch('page');
  });
  afterEach(() => removeScratch(scratch));

  async function blocksIn(section: string): Promise<Block[]> {
    const file = join(scratch, 'page.md');
    await writeFile(file, `# Page\n\n    before\n\n## Walk\n\n${section}\n\n## Next\n\n    after\n`);
    return blocksOf(file, 'Walk');
  }

  it('are the blocks of the section, with their marks, empty lines included', async () => {
    const blocks = await blocksIn(
      'Words.\n\n<!-- walk -->\n\n    a\n\n      b\n\n<!-- walk: shows c -->\n\n    d',
    );
    assert.deepEqual(blocks, [
      { mark: '', text: 'a\n\n  b', line: 11 },
      { mark: 'shows c', text: 'd', line: 17 },
    ]);
  });

  it('have none that no test runs', async () => {
    await assert.rejects(blocksIn('Words.\n\n    docker ps'), /no test runs this block/);
    await assert.rejects(blocksIn('<!-- walk -->\n\n    a\n\nWords.\n\n    b'), /no test runs this block/);
    await assert.rejects(blocksIn('```\ndocker ps\n```'), /not fenced/);
    await assert.rejects(blocksIn('<!-- walk -->\n\nWords.'), /has no block/);
  });
});
