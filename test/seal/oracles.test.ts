/** The age and zstd commands and the age-encryption library, which share no code with src/seal, read what we write and back. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { Decrypter, Encrypter } from 'age-encryption';
import { after, before, describe, it } from 'mocha';
import { FRAME_OCTETS, MIB } from '../../src/limits.ts';
import { openHeader, parseHeader } from '../../src/seal/header.ts';
import {
  encodeIdentity,
  generateIdentitySeed,
  type Identity,
  identityFromSeed,
} from '../../src/seal/recipient.ts';
import { CHUNK_OCTETS } from '../../src/seal/stream.ts';
import { StreamReader } from '../../src/seal/stream-reader.ts';
import { memorySource, sealFile, TYPES, text } from './support.ts';

const MESSAGES: readonly [string, Buffer][] = [
  ['an empty message', Buffer.alloc(0)],
  ['one octet', Buffer.from('x')],
  ['2 KB of text', text(2048)],
  ['a frame that fills a chunk', randomBytes(CHUNK_OCTETS - 12)],
  ['a frame one octet larger than a chunk', randomBytes(CHUNK_OCTETS - 11)],
  ['64 KiB, raw', text(64 * 1024)],
  ['64 KiB and one octet, compressed', text(64 * 1024 + 1)],
  ['a frame less one octet', text(FRAME_OCTETS - 1)],
  ['a frame', text(FRAME_OCTETS)],
  ['a frame and one octet', text(FRAME_OCTETS + 1)],
  ['frames compressed and raw', Buffer.concat([text(FRAME_OCTETS), randomBytes(2 * FRAME_OCTETS + 77)])],
];

async function openFile(file: Buffer, identity: Identity): Promise<Buffer> {
  const { sizeOctets } = parseHeader(file);
  const fileKey = openHeader(file.subarray(0, sizeOctets), identity);
  const reader = await StreamReader.open(fileKey, memorySource(file.subarray(sizeOctets)));
  return reader.read(0, reader.sizeOctets);
}

describe('the age command', () => {
  const seed = generateIdentitySeed();
  const identity = identityFromSeed('x25519', seed);
  let folder = '';
  let keyFile = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'letterlock-seal-'));
    keyFile = join(folder, 'key.txt');
    writeFileSync(keyFile, `${encodeIdentity('x25519', seed)}\n`);
  });

  after(() => rmSync(folder, { recursive: true }));

  for (const [what, message] of MESSAGES) {
    it(`opens what we sealed, and zstd -d inflates it: ${what}`, async () => {
      const { file } = await sealFile(message, identity);
      const script = 'set -o pipefail; age -d -i "$1" | zstd -dc';
      const opened = execFileSync('bash', ['-c', script, 'bash', keyFile], {
        input: file,
        maxBuffer: 4 * MIB,
      });
      assert.ok(opened.equals(message));
    });

    it(`seals what we open: ${what}`, async () => {
      const file = execFileSync('age', ['-r', identity.recipient.encoded], {
        input: message,
        maxBuffer: 4 * MIB,
      });
      assert.ok((await openFile(file, identity)).equals(message));
    });
  }
});

describe('the age-encryption library', () => {
  for (const type of TYPES) {
    const seed = generateIdentitySeed();
    const identity = identityFromSeed(type, seed);

    for (const [what, message] of MESSAGES) {
      it(`${type}: opens what we sealed: ${what}`, async () => {
        const { file } = await sealFile(message, identity);
        const decrypter = new Decrypter();
        decrypter.addIdentity(encodeIdentity(type, seed));
        const payload = await decrypter.decrypt(file);
        assert.ok(zstdDecompressSync(payload).equals(message));
      });
    }

    it(`${type}: seals what we open`, async () => {
      for (const octets of [0, 1, CHUNK_OCTETS - 1, CHUNK_OCTETS, CHUNK_OCTETS + 1]) {
        const message = randomBytes(octets);
        const encrypter = new Encrypter();
        encrypter.addRecipient(identity.recipient.encoded);
        encrypter.addRecipient(identityFromSeed(type, generateIdentitySeed()).recipient.encoded);
        const file = Buffer.from(await encrypter.encrypt(message));
        assert.ok((await openFile(file, identity)).equals(message));
      }
    });
  }
});
