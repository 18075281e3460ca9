import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MemoryBudget, Spool } from '../../src/delivery/spool.ts';
import { UnavailableError } from '../../src/errors.ts';
import { KIB, MIB, SPOOL_BLOCK_OCTETS, SPOOL_MESSAGE_OCTETS } from '../../src/limits.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

async function fill(spool: Spool, octets: Buffer, size: number): Promise<void> {
  for (let at = 0; at < octets.length; at += size) await spool.take(octets.subarray(at, at + size));
  await spool.end();
}

async function readAll(spool: Spool): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Files that this process has open without a name, by their content. */
async function namelessFiles(directory: string): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const descriptor of await readdir('/proc/self/fd')) {
    const target = await import('node:fs/promises').then(({ readlink }) =>
      readlink(`/proc/self/fd/${descriptor}`).catch(() => ''),
    );
    if (target.startsWith(directory)) found.push(await readFile(`/proc/self/fd/${descriptor}`));
  }
  return found;
}

describe('spool', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await makeScratch('spool');
  });
  afterEach(() => removeScratch(directory));

  const none = new MemoryBudget(0);

  for (const size of [
    0,
    1,
    SPOOL_BLOCK_OCTETS - 1,
    SPOOL_BLOCK_OCTETS,
    SPOOL_BLOCK_OCTETS + 1,
    3 * SPOOL_BLOCK_OCTETS,
  ]) {
    it(`gives ${size} octets back as they came, from memory and from a file, as often as asked`, async () => {
      const octets = randomBytes(size);
      for (const budget of [new MemoryBudget(), none]) {
        for (const chunk of [7 * KIB, 100_000]) {
          const spool = new Spool({ directory, budget });
          await fill(spool, octets, chunk);
          assert.equal(spool.sizeOctets, size);
          assert.deepEqual(await readAll(spool), octets);
          assert.deepEqual(await readAll(spool), octets);
          if (spool.whole() !== null) assert.deepEqual(spool.whole(), octets);
          await spool.close();
        }
      }
    });
  }

  it('goes on in a file when a message outgrows its share of memory', async () => {
    const octets = randomBytes(SPOOL_MESSAGE_OCTETS + MIB);
    const budget = new MemoryBudget();
    const spool = new Spool({ directory, budget });
    await fill(spool, octets, 64 * KIB);
    assert.equal(spool.whole(), null);
    assert.equal(budget.usedOctets, SPOOL_MESSAGE_OCTETS);
    assert.ok((await readAll(spool)).equals(octets));
    await spool.close();
    assert.equal(budget.usedOctets, 0);
  });

  it('holds a message that arrives octet by octet in little more than its size', async () => {
    const budget = new MemoryBudget();
    const spool = new Spool({ directory, budget });
    const octets = randomBytes(200_000);
    for (const octet of octets) await spool.take(Buffer.of(octet));
    await spool.end();
    assert.ok(budget.usedOctets < 300_000, `${budget.usedOctets}`);
    assert.ok(spool.whole()!.equals(octets));
    await spool.close();
  });

  it('leaves no name and no clear octet on the disk', async () => {
    const spool = new Spool({ directory, budget: none });
    await fill(spool, Buffer.alloc(200_000, 'canary '), 10_000);
    assert.deepEqual(await readdir(directory), []);
    if (process.platform === 'linux') {
      const files = await namelessFiles(directory);
      assert.equal(files.length, 1);
      assert.ok(files[0]!.length > 200_000);
      assert.equal(files[0]!.includes('canary'), false);
    }
    await spool.close();
    if (process.platform === 'linux') assert.deepEqual(await namelessFiles(directory), []);
  });

  it('throws disk-full when its directory cannot be written', async () => {
    const spool = new Spool({ directory, budget: none });
    await rm(directory, { recursive: true });
    await assert.rejects(
      fill(spool, randomBytes(200_000), 50_000),
      (error) => error instanceof UnavailableError && error.code === 'disk-full',
    );
    await spool.close();
  });

  it('can be closed at any time, and twice', async () => {
    const budget = new MemoryBudget();
    const spool = new Spool({ directory, budget });
    await spool.take(randomBytes(5_000));
    await spool.close();
    await spool.close();
    assert.equal(budget.usedOctets, 0);
  });
});
