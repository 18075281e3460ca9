import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, it } from 'mocha';
import { Scanner } from './scanner.ts';

const STEM = 'qzj4canary7x';
const WORD = `${STEM}subject`;
const SENTENCE = Buffer.from(`Lunch with ${WORD} at noon.`);
const noise = (): Buffer => randomBytes(3000);

const quotedPrintable = (octets: Buffer): Buffer =>
  Buffer.from(
    [...octets]
      .map((octet) => `=${octet.toString(16).toUpperCase()}`)
      .join('')
      .replace(/.{60}/g, '$&=\r\n'),
  );
const percent = (octets: Buffer): Buffer =>
  Buffer.from([...octets].map((octet) => `%${octet.toString(16)}`).join(''));
const utf16be = (octets: Buffer): Buffer => Buffer.from(octets.toString(), 'utf16le').swap16();
const wrapped = (octets: Buffer): Buffer =>
  Buffer.from(octets.toString('base64').replace(/.{12}/g, '$&\r\n'));

const ENCODINGS: readonly (readonly [name: string, encode: (octets: Buffer) => Buffer])[] = [
  ['as it is', (octets) => octets],
  ['in capitals', (octets) => Buffer.from(octets.toString().toUpperCase())],
  ['in base64', (octets) => Buffer.from(octets.toString('base64'))],
  [
    'in base64, one octet on',
    (octets) => Buffer.from(Buffer.concat([Buffer.from('x'), octets]).toString('base64')),
  ],
  [
    'in base64, two octets on',
    (octets) => Buffer.from(Buffer.concat([Buffer.from('xy'), octets]).toString('base64')),
  ],
  ['in base64 after another letter', (octets) => Buffer.from(`Q${octets.toString('base64')}`)],
  ['in base64 for URLs', (octets) => Buffer.from(octets.toString('base64url'))],
  ['in wrapped base64', wrapped],
  [
    'in capitals in base64',
    (octets) => Buffer.from(Buffer.from(octets.toString().toUpperCase()).toString('base64')),
  ],
  ['in hexadecimal', (octets) => Buffer.from(octets.toString('hex'))],
  ['in hexadecimal capitals', (octets) => Buffer.from(octets.toString('hex').toUpperCase())],
  ['in quoted-printable', quotedPrintable],
  ['percent-encoded', percent],
  ['in UTF-16', (octets) => Buffer.from(octets.toString(), 'utf16le')],
  ['in UTF-16, the other way round', utf16be],
  ['in a zstd frame', (octets) => zstdCompressSync(octets)],
  [
    'in a zstd frame that is cut',
    (octets) => zstdCompressSync(Buffer.concat([octets, noise()])).subarray(0, 2000),
  ],
  ['in gzip', (octets) => gzipSync(octets)],
  ['in zlib', (octets) => deflateSync(octets)],
  ['in base64 of gzip', (octets) => wrapped(gzipSync(octets))],
  ['in gzip of base64', (octets) => gzipSync(octets.toString('base64'))],
  ['in zstd of quoted-printable', (octets) => zstdCompressSync(quotedPrintable(octets))],
  ['in base64 of base64 of hexadecimal', (octets) => wrapped(wrapped(Buffer.from(octets.toString('hex'))))],
];

describe('the scan for canaries', () => {
  const scanner = new Scanner(STEM, [WORD, `${STEM}body`]);

  for (const [name, encode] of ENCODINGS) {
    it(`finds a word ${name}, between random octets`, () => {
      const octets = Buffer.concat([noise(), encode(SENTENCE), noise()]);
      const words = new Set(scanner.scan(octets).map(({ word }) => word));
      assert.ok(words.has(WORD), JSON.stringify([...words]));
      assert.ok(!words.has(`${STEM}body`));
    });
  }

  it('finds a word that is cut short', () => {
    assert.deepEqual(scanner.scan(Buffer.from(`${STEM}bo`)), [{ word: STEM, path: '' }]);
  });

  it('finds nothing in random octets', () => {
    assert.deepEqual(scanner.scan(randomBytes(1_000_000)), []);
  });
});
