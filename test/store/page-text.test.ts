import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { SIGNATURE_MESSAGES } from '../../src/limits.ts';
import { includesTerm, isOneTerm, joinSources, type SearchText } from '../../src/message/search-text.ts';
import {
  candidatesIn,
  encodeText,
  SignatureBuilder,
  TextPlaces,
  TRIGRAM,
  textIn,
} from '../../src/store/embedded/page-text.ts';
import { PageTextWriter } from '../../src/store/embedded/page-text-writer.ts';

/** Of any code units, surrogates that stand alone among them, and with letters that repeat. */
const TEXT = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(fc.constantFrom('A', 'B', 'AB', '😀', '\ud83d', '\0', ' '), { maxLength: 60 })
    .map((parts) => parts.join('')),
);

/** A piece of a text, or a text. */
const termOf = (texts: readonly string[], from: number, length: number): string => {
  const text = texts[from % Math.max(1, texts.length)] ?? '';
  const start = from % (text.length + 1);
  return text.slice(start, start + length);
};

describe('a message’s text', () => {
  it('has a term where one of its sources has it, and nowhere else', () => {
    fc.assert(
      fc.property(
        fc.array(TEXT, { minLength: 1, maxLength: 5 }),
        TEXT,
        fc.nat(),
        fc.nat(9),
        (all, other, from, length) => {
          const search = joinSources(all);
          for (const needle of [
            other,
            termOf(all, from, length),
            '',
            search.text.slice(from % 9, (from % 9) + length),
          ]) {
            if (!isOneTerm(needle)) continue;
            const isIn = (texts: readonly string[]): boolean => texts.some((text) => text.includes(needle));
            assert.equal(includesTerm(search, needle, 'TEXT'), isIn(all));
            assert.equal(includesTerm(search, needle, 'BODY'), isIn(all.slice(1)));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a search segment', () => {
  /** As a page's columns. */
  async function written(texts: readonly (SearchText | null)[]): Promise<Map<string, Buffer>> {
    const columns = new Map<string, Buffer>();
    const writer = new PageTextWriter(texts.length, async (column, clear) => {
      assert.ok(!columns.has(column));
      columns.set(column, Buffer.from(clear));
    });
    for (const text of texts) await writer.add(text);
    await writer.end();
    return columns;
  }

  it('gives back every text, in chunks that none crosses', async () => {
    const sizes = [0, 1, 30_000, 65_535, 65_536, 65_537, 200_000, 5];
    const texts = sizes.map((size) => joinSources(['H\ud800', 'ä'.repeat(size)]));
    const columns = await written([...texts, null]);
    const places = new TextPlaces(columns.get('text-places')!, texts.length + 1);
    for (const [slot, text] of texts.entries()) {
      const place = places.at(slot)!;
      assert.deepEqual(textIn(columns.get(`text-${place.chunk}`)!, place), text);
    }
    assert.equal(places.at(texts.length), null);
    assert.ok([...columns.keys()].filter((name) => /^text-\d/.test(name)).length > 3);
    assert.ok(
      ![...columns.keys()].some((name) => name.startsWith('signature')),
      'a small page has no signature',
    );
  });

  it('keeps well-formed text as UTF-8, and what is none as it is', () => {
    const encoded = (text: string): unknown => {
      const { isUtf16, pieces } = encodeText(text);
      return { octets: Buffer.concat([...pieces()]), isUtf16 };
    };
    assert.deepEqual(encoded('ä😀'), { octets: Buffer.from('ä😀'), isUtf16: false });
    assert.deepEqual(encoded('\ud83d'), { octets: Buffer.of(0x3d, 0xd8), isUtf16: true });
    // Over several pieces, wherever they part.
    for (const before of ['', 'x']) {
      const long = before + '😀'.repeat(100_000);
      assert.deepEqual(encoded(long), { octets: Buffer.from(long), isUtf16: false });
      const broken = `${long}\ud83d`;
      assert.deepEqual(encoded(broken), { octets: Buffer.from(broken, 'utf16le'), isUtf16: true });
    }
  });

  it('rules out no message that has the term', () => {
    const texts = fc.array(TEXT, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        texts,
        fc.integer({ min: 1, max: 4096 }),
        fc.nat(),
        fc.nat(9),
        (all, count, from, length) => {
          const builder = new SignatureBuilder(count);
          const slots = all.map((_, index) => (index * 97) % count);
          for (const [index, text] of all.entries()) builder.add(slots[index]!, text);
          const blocks = [...builder.blocks()];
          const needle = termOf(all, from, length + TRIGRAM);
          if (needle.length < TRIGRAM) return;
          const found = candidatesIn(count, needle, (block) => blocks[block]!)!;
          for (const [index, text] of all.entries()) {
            const slot = slots[index]!;
            if (text.includes(needle)) assert.ok((found[slot >>> 3]! & (1 << (slot & 7))) !== 0);
          }
          assert.equal(
            candidatesIn(count, needle, () => null),
            null,
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('has the trigrams of a long text wherever they are', async () => {
    const long = 'x'.repeat(256 * 1024 - 1);
    const texts = Array.from({ length: SIGNATURE_MESSAGES }, (_, n) =>
      joinSources([n === 3 ? `${long}NEEDLE${long}` : 'NEEDLESS']),
    );
    const columns = await written(texts);
    for (const needle of ['xxNEEDLE', 'xNEEDLEx', 'NEEDLE', 'EDLEx']) {
      const found = candidatesIn(texts.length, needle, (number) => columns.get(`signature-${number}`)!)!;
      assert.ok((found[0]! & 8) !== 0, needle);
    }
  });

  it('rules out nearly all that has not, and says the same of every page of one size', async () => {
    const word = (n: number): string => `WORD${(n * 7919).toString(36).toUpperCase()}X`;
    const textOf = (n: number): SearchText =>
      joinSources(['SUBJECT: X\n', Array.from({ length: 300 }, (_, i) => word(n * 300 + i)).join(' ')]);
    const texts = Array.from({ length: SIGNATURE_MESSAGES }, (_, n) => (n === 9 ? null : textOf(n)));
    const columns = await written(texts);
    const block = (number: number): Buffer => columns.get(`signature-${number}`)!;
    const found = candidatesIn(texts.length, word(5 * 300 + 7), block)!;
    const slots = texts
      .map((_, slot) => slot)
      .filter((slot) => (found[slot >>> 3]! & (1 << (slot & 7))) !== 0);
    assert.ok(slots.includes(5) && slots.includes(9), 'one that is not kept may have it');
    assert.ok(slots.length < 20, `${slots.length} in doubt`);
    const lengths = (all: Map<string, Buffer>): string[] =>
      [...all]
        .filter(([name]) => name.startsWith('signature'))
        .map(([name, octets]) => `${name} ${octets.length}`);
    assert.deepEqual(lengths(await written(texts.map(() => joinSources([''])))), lengths(columns));
  });
});
