import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { IntegrityError, RefusedError, UnavailableError } from '../../src/errors.ts';
import { newMailboxId } from '../../src/ids.ts';
import { JOURNAL_SEGMENTS, MIB } from '../../src/limits.ts';
import {
  AcceptJournal,
  type AcceptJournalOptions,
  type CommittedRecord,
  type Segment,
} from '../../src/store/embedded/accept-journal.ts';
import { readRecords, SEGMENT_HEADER_OCTETS } from '../../src/store/embedded/segment.ts';
import type { Operation } from '../../src/store/operation.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const SEGMENT_OCTETS = 4096;
const operation: Operation = { op: 'remove-mailbox', mailbox: newMailboxId() };
const blob = (text: string): Buffer => Buffer.from(text.padEnd(100, '.'));
const unavailable = (code: string) => (error: unknown) =>
  error instanceof UnavailableError && error.code === code;

describe('the accept journal', () => {
  let scratch: string;
  let directories = 0;
  const opened: AcceptJournal[] = [];
  const releases: Promise<void>[] = [];

  beforeEach(async () => {
    scratch = await makeScratch('journal');
  });

  afterEach(async () => {
    for (const journal of opened.splice(0)) {
      await journal.close();
      await Promise.all(releases.splice(0));
      await journal.closeFiles().catch(() => undefined);
    }
    await removeScratch(scratch);
  });

  const newDirectory = (): string => join(scratch, `${directories++}`);

  /** A journal that frees each full segment at once, unless told otherwise. */
  async function open(
    directory: string,
    options: Partial<AcceptJournalOptions> = {},
  ): Promise<{ journal: AcceptJournal; found: string[]; fatal: unknown[] }> {
    const fatal: unknown[] = [];
    const [journal, surviving] = await AcceptJournal.open({
      directory,
      segmentOctets: SEGMENT_OCTETS,
      apply: async () => undefined,
      full: (segment) => void releases.push(journal.release(segment)),
      fatal: (error) => fatal.push(error),
      ...options,
    });
    opened.push(journal);
    const found: string[] = [];
    for (const { segment } of surviving) {
      const { file, seed, offset } = segment;
      for (const { blobs } of readRecords(file.fd, seed, SEGMENT_HEADER_OCTETS, offset)) {
        found.push(blobs[0]!.toString().replace(/\.*$/, ''));
      }
    }
    return { journal, found, fatal };
  }

  const keep = { full: () => undefined };

  /** What a start finds of a directory with these segments. */
  async function recovered(segments: ReadonlyMap<string, Buffer>): Promise<string[]> {
    const directory = newDirectory();
    mkdirSync(directory);
    for (const [name, octets] of segments) await writeFile(join(directory, name), octets);
    const { journal, found } = await open(directory);
    await journal.closeFiles();
    opened.pop();
    return found;
  }

  function image(directory: string): Map<string, Buffer> {
    return new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]));
  }

  describe('committing', () => {
    it('knows for how long the disk has not answered, how many records share a sync, and which segments it uses', async () => {
      const { journal } = await open(newDirectory());
      assert.equal(journal.segmentsInUse, 0);
      await journal.append(operation, [blob('first')]);
      const { file } = journal.current!;
      const { promise: answer, resolve } = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      const datasync = file.datasync.bind(file);
      file.datasync = async () => {
        begun.resolve();
        await answer;
        await datasync();
      };
      assert.equal(journal.syncingMs, 0);
      const appends = ['second', 'third', 'fourth'].map((text) => journal.append(operation, [blob(text)]));
      await begun.promise;
      const waited = performance.now();
      while (performance.now() - waited < 20);
      assert.ok(journal.syncingMs >= 20 && journal.syncingMs < 10_000, `${journal.syncingMs} ms`);
      assert.deepEqual([journal.syncs.count, journal.records], [1, 1]);
      resolve();
      await Promise.all(appends);
      assert.equal(journal.syncingMs, 0);
      assert.equal(journal.records, 4);
      assert.ok(journal.syncs.count <= 4 && journal.syncs.sumMs >= 20);
      assert.deepEqual([journal.segmentsInUse, journal.hasRoom], [1, true]);
      await journal.close();
      assert.ok(!journal.hasRoom);
    });

    it('syncs operations that arrive together once, and applies them in the order they came', async () => {
      const groups: CommittedRecord[][] = [];
      const { journal } = await open(newDirectory(), {
        segmentOctets: MIB,
        apply: async (records) => void groups.push([...records]),
      });
      const origins = Array.from({ length: 300 }, (_, index) => index);
      const resolved: number[] = [];
      await Promise.all(
        origins.map(async (origin) => {
          await journal.append(operation, [blob('x')], origin);
          resolved.push(origin);
          assert.ok(groups.flat().some((record) => record.origin === origin));
        }),
      );
      assert.deepEqual(
        groups.flat().map(({ origin }) => origin),
        origins,
      );
      assert.deepEqual(resolved, origins);
      assert.ok(groups.length <= 3, `${groups.length} syncs`);
    });

    it('says where each blob lies in its segment', async () => {
      const directory = newDirectory();
      const records: CommittedRecord[] = [];
      const { journal } = await open(directory, {
        ...keep,
        apply: async (committed) => void records.push(...committed),
      });
      await Promise.all(
        ['one', 'two', 'three'].map((text) => journal.append(operation, [blob(text), blob('b')])),
      );
      for (const { segment, blobOffsets, blobs } of records) {
        const octets = await readFile(segment.path);
        for (const [index, offset] of blobOffsets.entries()) {
          assert.deepEqual(octets.subarray(offset, offset + 100), blobs[index]);
        }
      }
    });

    it('refuses what fits no record before anything was assigned', async () => {
      const { journal } = await open(newDirectory());
      journal.assertFits(1000, 1);
      assert.throws(
        () => journal.assertFits(SEGMENT_OCTETS, 1),
        (error) => error instanceof RefusedError && error.code === 'too-big',
      );
    });

    it('refuses new operations as busy while too many octets wait for the disk', async () => {
      const { journal } = await open(newDirectory(), { segmentOctets: 64 * MIB });
      const large = Buffer.alloc(MIB);
      const waiting = Array.from({ length: 66 }, () => journal.append(operation, [large]));
      assert.throws(() => journal.assertRoom(), unavailable('busy'));
      await Promise.all(waiting);
      journal.assertRoom();
    });

    it('takes nothing more once it is closed', async () => {
      const { journal } = await open(newDirectory(), keep);
      await journal.append(operation, [blob('a')]);
      await journal.close();
      assert.throws(() => journal.assertRoom(), unavailable('shutting-down'));
      await assert.rejects(journal.append(operation, []), unavailable('shutting-down'));
    });
  });

  describe('segments', () => {
    it('go round: thousands of records use a few files, and a start finds the unfinished ones only', async () => {
      const directory = newDirectory();
      const kept: Segment[] = [];
      const { journal, fatal } = await open(directory, {
        full: (segment) => {
          kept.push(segment);
          if (kept.length > 2) releases.push(journal.release(kept.shift()!));
        },
      });
      for (let i = 0; i < 1000; i++) await journal.append(operation, [blob(`${i}`)]);
      assert.ok(readdirSync(directory).length <= 5);
      const found = await recovered(image(directory));
      const firstKept = Number(found[0]);
      assert.deepEqual(
        found,
        Array.from({ length: 1000 - firstKept }, (_, i) => `${firstKept + i}`),
      );
      assert.ok(firstKept > 900 && firstKept < 970, `${firstKept}`);
      assert.deepEqual(fatal, []);
    });

    it('hold nothing of an earlier life, even where records of both begin at the same octets', async () => {
      const directory = newDirectory();
      const { journal } = await open(directory);
      for (let i = 0; i < 100; i++) await journal.append(operation, [blob(`old ${i}`)]);
      await journal.close();
      const second = await open(directory, keep);
      assert.deepEqual(second.found, []);
      for (let i = 0; i < 3; i++) await second.journal.append(operation, [blob(`new ${i}`)]);
      assert.deepEqual(await recovered(image(directory)), ['new 0', 'new 1', 'new 2']);
    });

    it('make operations wait when the checkpoint lags by all of them, and lose none', async () => {
      const full: Segment[] = [];
      const allFull = Promise.withResolvers<void>();
      const applied: unknown[] = [];
      const { journal } = await open(newDirectory(), {
        full: (segment) => {
          full.push(segment);
          if (full.length === JOURNAL_SEGMENTS) allFull.resolve();
        },
        apply: async (records) => void applied.push(...records.map(({ origin }) => origin)),
      });
      const appends = Array.from({ length: 300 }, (_, i) => journal.append(operation, [blob(`${i}`)], i));
      await allFull.promise;
      const inAll = applied.length;
      assert.ok(inAll < 300);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(applied.length, inAll);
      const release = setInterval(() => full.length > 0 && journal.release(full.shift()!), 1);
      await Promise.all(appends);
      clearInterval(release);
      assert.deepEqual(
        applied,
        Array.from({ length: 300 }, (_, i) => i),
      );
    });

    it('that cannot be made (a full disk) are done without: those there are go round', async () => {
      const directory = newDirectory();
      const { journal, fatal } = await open(directory);
      await journal.append(operation, [blob('first')]);
      for (let i = 0; i < JOURNAL_SEGMENTS; i++) {
        const path = join(directory, `accept-0${i}.log`);
        if (!readdirSync(directory).includes(`accept-0${i}.log`)) mkdirSync(path);
      }
      for (let i = 0; i < 100; i++) await journal.append(operation, [blob(`${i}`)]);
      await journal.close();
      assert.deepEqual(fatal, []);
    });

    it('of another size are made anew, once they are free', async () => {
      const directory = newDirectory();
      const { journal } = await open(directory);
      await journal.append(operation, [blob('a')]);
      await journal.close();
      const larger = await open(directory, { ...keep, segmentOctets: 2 * SEGMENT_OCTETS });
      await larger.journal.append(operation, [blob('b'.padEnd(6000))]);
      assert.equal((await recovered(image(directory)))[0]?.[0], 'b');
    });

    it('of an unknown format are refused', async () => {
      await assert.rejects(
        recovered(new Map([['accept-00.log', Buffer.alloc(SEGMENT_OCTETS, 1)]])),
        (error) => error instanceof IntegrityError && error.code === 'format',
      );
    });
  });

  describe('after a crash', () => {
    /** Three records in one segment, and where each begins. */
    async function three(): Promise<{ name: string; octets: Buffer; starts: number[]; end: number }> {
      const directory = newDirectory();
      const records: CommittedRecord[] = [];
      const { journal } = await open(directory, {
        ...keep,
        apply: async (committed) => void records.push(...committed),
      });
      for (const text of ['one', 'two', 'three']) await journal.append(operation, [blob(text)]);
      const { segment } = records[0]!;
      const octets = await readFile(segment.path);
      const starts = records.map(({ offset }) => offset);
      return { name: 'accept-00.log', octets, starts, end: segment.offset };
    }

    it('a record torn at any octet is gone, and those before it are there', async () => {
      const { name, octets, starts, end } = await three();
      for (let at = starts[2]!; at < end; at++) {
        const torn = Buffer.from(octets);
        torn.fill(0, at, end);
        // Octets of the record that are zero anyway: nothing was lost.
        const expected = torn.equals(octets) ? ['one', 'two', 'three'] : ['one', 'two'];
        assert.deepEqual(await recovered(new Map([[name, torn]])), expected, `at ${at}`);
      }
    });

    it('a flipped bit in any octet costs its record and what follows, and brings back nothing false', async () => {
      const { name, octets, starts, end } = await three();
      for (let at = starts[0]!; at < end; at++) {
        const flipped = Buffer.from(octets);
        flipped[at]! ^= 1 << (at % 8);
        const intact = ['one', 'two', 'three'].filter((_, index) => (starts[index + 1] ?? end) <= at);
        assert.deepEqual(await recovered(new Map([[name, flipped]])), intact, `at ${at}`);
      }
    });

    it('a header that names another seed or number lets no record through that was not written under it', async () => {
      const { name, octets } = await three();
      for (let at = 16; at < 20; at++) {
        const flipped = Buffer.from(octets);
        flipped[at]! ^= 1;
        assert.deepEqual(await recovered(new Map([[name, flipped]])), []);
      }
    });

    it('a missing segment between others is noticed: to go on would lose acknowledged mail', async () => {
      const directory = newDirectory();
      const { journal } = await open(directory, keep);
      for (let i = 0; i < 60; i++) await journal.append(operation, [blob(`${i}`)]);
      const segments = image(directory);
      const whole = await recovered(segments);
      assert.deepEqual(
        whole,
        Array.from({ length: 60 }, (_, i) => `${i}`),
      );
      const [middle] = [...segments.keys()].sort().slice(1);
      const octets = segments.get(middle!)!;
      segments.delete(middle!);
      const isGap = (error: unknown): boolean => error instanceof IntegrityError && error.code === 'format';
      await assert.rejects(recovered(segments), isGap);
      const headless = Buffer.from(octets);
      headless.fill(0, 0, SEGMENT_HEADER_OCTETS);
      await assert.rejects(recovered(segments.set(middle!, headless)), isGap);
      const shortened = Buffer.from(octets);
      shortened[SEGMENT_OCTETS / 2]! ^= 1;
      await assert.rejects(recovered(segments.set(middle!, shortened)), isGap);
    });

    it('sequence numbers go on where the last process ended, over segments of both', async () => {
      const directory = newDirectory();
      const first = await open(directory, keep);
      for (const text of ['a', 'b']) await first.journal.append(operation, [blob(text)]);
      const second = await open(directory, keep);
      assert.deepEqual(second.found, ['a', 'b']);
      for (const text of ['c', 'd']) await second.journal.append(operation, [blob(text)]);
      const segments = image(directory);
      assert.deepEqual(await recovered(segments), ['a', 'b', 'c', 'd']);
    });

    it('takes any name for a new segment but one that is taken', async () => {
      const directory = newDirectory();
      const { journal } = await open(directory);
      for (let i = 0; i < 60; i++) await journal.append(operation, [blob(`${i}`)]);
      await journal.close();
      unlinkSync(join(directory, 'accept-00.log'));
      const second = await open(directory, keep);
      const appends = Array.from({ length: 80 }, (_, i) => second.journal.append(operation, [blob(`${i}`)]));
      await Promise.all(appends);
      assert.equal((await recovered(image(directory))).length, 80);
    });
  });

  describe('when the disk fails', () => {
    it('ends: what waits is rejected, what comes later is not recorded', async () => {
      const directory = newDirectory();
      const { journal, fatal } = await open(directory, keep);
      await journal.append(operation, [blob('kept')]);
      await journal.closeFiles();
      const waiting = ['x', 'y'].map((text) => journal.append(operation, [blob(text)]));
      for (const { status } of await Promise.allSettled(waiting)) assert.equal(status, 'rejected');
      assert.equal(fatal.length, 1);
      await assert.rejects(journal.append(operation, [blob('z')]), unavailable('shutting-down'));
      assert.throws(() => journal.assertRoom(), unavailable('shutting-down'));
      assert.deepEqual(await recovered(image(directory)), ['kept']);
    });

    it('or an index does, what was applied stays acknowledged and nothing after it is', async () => {
      const { journal, fatal } = await open(newDirectory(), {
        ...keep,
        apply: async ([record]) => {
          if (record!.origin === 'bad') throw new Error('no room');
        },
      });
      await journal.append(operation, [blob('a')], 'good');
      await assert.rejects(journal.append(operation, [blob('b')], 'bad'), /no room/);
      await assert.rejects(journal.append(operation, [blob('c')], 'good'), unavailable('shutting-down'));
      assert.equal(fatal.length, 1);
    });
  });
});
