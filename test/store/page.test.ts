import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { IntegrityError } from '../../src/errors.ts';
import type { MailboxId } from '../../src/ids.ts';
import { PAGE_COLUMN_OCTETS } from '../../src/limits.ts';
import type { SearchText } from '../../src/message/search-text.ts';
import {
  type ColumnName,
  Directory,
  encodeDirectory,
  encodeTexts,
  FileKeys,
  fieldsOf,
  type ListedPage,
  openColumn,
  openRoot,
  PAGE_COLUMNS,
  type PagePlace,
  packColumn,
  paddedOctets,
  sealColumn,
  TEXT_COLUMNS,
  Texts,
} from '../../src/store/embedded/page.ts';
import { TextPlaces, textIn } from '../../src/store/embedded/page-text.ts';

/** A page and a root as version 1 wrote them; they must open for ever. docs/format.md, "Pages". */
interface Frozen {
  readonly indexKey: string;
  readonly place: PagePlace;
  readonly rootGeneration: number;
  readonly listed: ListedPage;
  readonly root: string;
  readonly columns: Readonly<Record<string, string>>;
  readonly messages: readonly {
    readonly key: number;
    readonly id: string;
    readonly sizeOctets: number;
    readonly fileKey: string;
    readonly texts: Readonly<Record<string, string>>;
    readonly search: SearchText | null;
  }[];
}

const frozen = JSON.parse(readFileSync(new URL('fixtures/page-1.json', import.meta.url), 'utf8')) as Frozen;
const indexKey = Buffer.from(frozen.indexKey, 'hex');
const { place } = frozen;
const sealedOf = (column: ColumnName): Buffer => Buffer.from(frozen.columns[column]!, 'base64');
const refused = (error: unknown): boolean => error instanceof IntegrityError;

describe('a page of version 1', () => {
  it('opens, column by column', () => {
    const count = frozen.messages.length;
    const directory = new Directory(openColumn(indexKey, place, 'directory', sealedOf('directory')));
    const keys = new FileKeys(openColumn(indexKey, place, 'file-keys', sealedOf('file-keys')), count);
    assert.equal(directory.count, count);
    for (const [slot, { key, id, sizeOctets, fileKey }] of frozen.messages.entries()) {
      assert.deepEqual(
        [directory.keyAt(slot), directory.idAt(slot), directory.sizeAt(slot), directory.find(key, 0)],
        [key, id, sizeOctets, slot],
      );
      assert.equal(keys.at(slot).toString('hex'), fileKey);
    }
    const places = new TextPlaces(openColumn(indexKey, place, 'text-places', sealedOf('text-places')), count);
    const chunk = openColumn(indexKey, place, 'text-0', sealedOf('text-0'));
    for (const [slot, { search }] of frozen.messages.entries()) {
      const at = places.at(slot);
      assert.deepEqual(at === null ? null : textIn(chunk, at), search);
    }
    for (const column of TEXT_COLUMNS) {
      const texts = new Texts(openColumn(indexKey, place, column, sealedOf(column)), count);
      for (const [slot, message] of frozen.messages.entries()) {
        assert.equal(texts.textAt(slot), message.texts[column]);
      }
    }
  });

  it('is listed by its root', () => {
    const { mailbox, epoch } = place;
    const at = { mailbox, epoch, generation: frozen.rootGeneration };
    assert.deepEqual(openRoot(indexKey, at, Buffer.from(frozen.root, 'base64')), [frozen.listed]);
    const elsewhere = { ...at, generation: at.generation + 1 };
    assert.throws(() => openRoot(indexKey, elsewhere, Buffer.from(frozen.root, 'base64')), refused);
  });

  it('opens in no other place, and as no other column', () => {
    const sealed = sealedOf('envelope');
    const others: PagePlace[] = [
      { ...place, mailbox: '0'.repeat(32) as MailboxId },
      { ...place, epoch: 2 },
      { ...place, page: '0'.repeat(32) },
      { ...place, generation: place.generation + 1 },
    ];
    for (const other of others) {
      assert.throws(() => openColumn(indexKey, other, 'envelope', sealed), refused);
    }
    assert.throws(() => openColumn(indexKey, place, 'fields', sealed), refused);
    assert.throws(() => openColumn(Buffer.alloc(32), place, 'envelope', sealed), refused);
  });

  it('does not open with any bit changed, or cut', () => {
    fc.assert(
      fc.property(fc.constantFrom(...PAGE_COLUMNS), fc.nat(), fc.nat(7), (column, at, bit) => {
        const sealed = sealedOf(column);
        sealed[at % sealed.length]! ^= 1 << bit;
        assert.throws(() => openColumn(indexKey, place, column, sealed), refused);
        const cut = sealedOf(column).subarray(0, at % sealed.length);
        assert.throws(() => openColumn(indexKey, place, column, cut), refused);
      }),
    );
  });
});

describe('a column of a page', () => {
  it('comes back as it was, whatever is in it', async () => {
    const values = fc.array(fc.uint8Array({ maxLength: 300 }).map(Buffer.from), { maxLength: 50 });
    await fc.assert(
      fc.asyncProperty(values, async (all) => {
        const packed = await packColumn(encodeTexts(all));
        const texts = new Texts(
          openColumn(indexKey, place, 'rest', sealColumn(indexKey, place, 'rest', packed)),
          all.length,
        );
        for (const [slot, value] of all.entries()) assert.deepEqual(texts.octetsAt(slot), value);
      }),
    );
  });

  it('is not packed when it is longer than what is opened', async () => {
    await assert.rejects(packColumn(Buffer.alloc(PAGE_COLUMN_OCTETS + 1)), RangeError);
  });

  it('is refused when it does not have the entries that it should', () => {
    const entries = encodeDirectory([{ key: 1, id: '0'.repeat(32) as never, sizeOctets: 2 }]);
    assert.throws(() => new Directory(entries.subarray(1)), refused);
    assert.throws(() => new FileKeys(Buffer.alloc(33), 2), refused);
    const texts = encodeTexts([Buffer.from('a'), Buffer.from('bc')]);
    for (const count of [0, 1, 3]) assert.throws(() => new Texts(texts, count), refused);
    assert.throws(() => new Texts(texts.subarray(0, -1), 2), refused);
    texts.writeUInt32BE(4, 0); // ends must not descend
    assert.throws(() => new Texts(texts, 2), refused);
  });

  it('is padded so that its length says a sixteenth', () => {
    for (const octets of [0, 1, 255, 256, 257, 5000, 100_000, 1_234_567]) {
      const padded = paddedOctets(octets);
      assert.ok(padded >= octets && padded <= Math.max(256, octets * 1.07 + 256), `${octets}: ${padded}`);
    }
    assert.equal(paddedOctets(100_001), paddedOctets(100_100));
  });

  it('tells kept fields that are empty from fields that were not kept', () => {
    assert.deepEqual([fieldsOf(''), fieldsOf('\0')], ['', null]);
  });
});
