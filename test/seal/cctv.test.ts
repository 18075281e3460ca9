/** The C2SP age test vectors (cctv/README.md). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { describe, it } from 'mocha';
import { openHeader, parseHeader } from '../../src/seal/header.ts';
import { identityFromSeed, parseIdentity } from '../../src/seal/recipient.ts';
import { StreamReader } from '../../src/seal/stream-reader.ts';
import { broken, memorySource } from './support.ts';

const FOLDER = new URL('./cctv/', import.meta.url);

/** We refuse what the specification lets an implementation refuse: "SHOULD NOT be encrypted to both". */
const REFUSED_BY_US = new Set(['hybrid_and_x25519']);

describe('the C2SP age test vectors', () => {
  for (const name of readdirSync(FOLDER)) {
    if (name === 'README.md') continue;
    const { keys, file } = readVector(name);
    const expected = keys.get('expect')![0]!;
    if (expected === 'success' && !REFUSED_BY_US.has(name)) {
      it(`${name} opens to the octets that its hash names`, async () => {
        const clear = await openFile(file, keys.get('identity')!);
        assert.equal(createHash('sha256').update(clear).digest('hex'), keys.get('payload')![0]);
      });
    } else {
      it(`${name} is refused (${expected === 'success' ? 'mixed recipients' : expected})`, async () => {
        await assert.rejects(() => openFile(file, keys.get('identity') ?? []), broken());
      });
    }
  }
});

function readVector(name: string): { keys: Map<string, string[]>; file: Buffer } {
  const octets = readFileSync(new URL(name, FOLDER));
  const end = octets.indexOf('\n\n');
  const keys = new Map<string, string[]>();
  for (const line of octets.toString('latin1', 0, end).split('\n')) {
    const [key, value] = line.split(': ') as [string, string];
    keys.set(key, [...(keys.get(key) ?? []), value]);
  }
  const rest = octets.subarray(end + 2);
  return { keys, file: keys.has('compressed') ? inflateSync(rest) : rest };
}

async function openFile(file: Buffer, identities: readonly string[]): Promise<Buffer> {
  const { sizeOctets } = parseHeader(file);
  let failure: unknown = null;
  for (const encoded of identities) {
    const { type, seed } = parseIdentity(encoded);
    let fileKey: Buffer;
    try {
      fileKey = openHeader(file.subarray(0, sizeOctets), identityFromSeed(type, seed));
    } catch (error) {
      failure = error;
      continue;
    }
    const reader = await StreamReader.open(fileKey, memorySource(file.subarray(sizeOctets)));
    return reader.read(0, reader.sizeOctets);
  }
  throw failure;
}
