import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  CHUNK_OCTETS,
  clearStreamOctets,
  PayloadCipher,
  SEALED_CHUNK_OCTETS,
  StreamSealer,
  sealedStreamOctets,
} from '../../src/seal/stream.ts';
import { StreamReader } from '../../src/seal/stream-reader.ts';
import { broken, memorySource } from './support.ts';

const SIZES = [
  0,
  1,
  CHUNK_OCTETS - 1,
  CHUNK_OCTETS,
  CHUNK_OCTETS + 1,
  2 * CHUNK_OCTETS - 1,
  2 * CHUNK_OCTETS,
  2 * CHUNK_OCTETS + 1,
  3 * CHUNK_OCTETS,
];

function sealStream(fileKey: Uint8Array, clear: Uint8Array, pushOctets = clear.length): Buffer {
  const sealer = new StreamSealer(new PayloadCipher(fileKey));
  const parts: Buffer[] = [];
  for (let at = 0; at < clear.length; at += pushOctets) {
    parts.push(...sealer.push(clear.subarray(at, at + pushOctets)));
  }
  return Buffer.concat([...parts, ...sealer.end()]);
}

const openStream = async (fileKey: Uint8Array, sealed: Buffer): Promise<Buffer> => {
  const reader = await StreamReader.open(fileKey, memorySource(sealed));
  return reader.read(0, reader.sizeOctets);
};

describe("age's payload", () => {
  for (const size of SIZES) {
    it(`gives back ${size} octets, however they were pushed, and has the length foretold`, async () => {
      const fileKey = randomBytes(16);
      const clear = randomBytes(size);
      for (const pushOctets of [size || 1, 1000, CHUNK_OCTETS, CHUNK_OCTETS + 1]) {
        const sealed = sealStream(fileKey, clear, pushOctets);
        assert.equal(sealed.length, sealedStreamOctets(size));
        assert.equal(clearStreamOctets(sealed.length), size);
        assert.ok((await openStream(fileKey, sealed)).equals(clear));
      }
    });
  }

  it('reads any range', async () => {
    const fileKey = randomBytes(16);
    const clear = randomBytes(3 * CHUNK_OCTETS + 100);
    const reader = await StreamReader.open(fileKey, memorySource(sealStream(fileKey, clear)));
    await fc.assert(
      fc.asyncProperty(fc.nat(clear.length), fc.nat(clear.length), async (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        assert.ok((await reader.read(start, end)).equals(clear.subarray(start, end)));
      }),
      { numRuns: 60 },
    );
  });

  it('is refused when its tail is dropped at a chunk boundary or an octet beside one', async () => {
    const fileKey = randomBytes(16);
    const sealed = sealStream(fileKey, randomBytes(3 * CHUNK_OCTETS + 5));
    for (let chunk = 0; chunk <= 3; chunk++) {
      for (const beside of [-17, -16, -1, 0, 1, 16, 17]) {
        const length = Math.min(16 + chunk * SEALED_CHUNK_OCTETS + beside, sealed.length - 1);
        if (length < 0) continue;
        await assert.rejects(openStream(fileKey, sealed.subarray(0, length)), broken('seal-broken'));
      }
    }
  });

  it('is refused with two chunks swapped, one doubled, one left out or the last one early', async () => {
    const fileKey = randomBytes(16);
    const sealed = sealStream(fileKey, randomBytes(4 * CHUNK_OCTETS));
    const nonce = sealed.subarray(0, 16);
    const [a, b, c, d] = [0, 1, 2, 3].map((i) =>
      sealed.subarray(16 + i * SEALED_CHUNK_OCTETS, 16 + (i + 1) * SEALED_CHUNK_OCTETS),
    ) as [Buffer, Buffer, Buffer, Buffer];
    assert.equal((await openStream(fileKey, Buffer.concat([nonce, a, b, c, d]))).length, 4 * CHUNK_OCTETS);
    for (const order of [[b, a, c, d], [a, b, b, d], [a, b, d], [b, c, d], [a, d], [d], [d, a, b, c]]) {
      await assert.rejects(openStream(fileKey, Buffer.concat([nonce, ...order])), broken('seal-broken'));
    }
  });

  it('verifies the final chunk before it yields the first', async () => {
    const fileKey = randomBytes(16);
    const sealed = sealStream(fileKey, randomBytes(2 * CHUNK_OCTETS));
    sealed[sealed.length - 1]! ^= 1;
    await assert.rejects(StreamReader.open(fileKey, memorySource(sealed)), broken('seal-broken'));
  });

  it('takes a source that yields fewer octets than it has for a broken body', async () => {
    const fileKey = randomBytes(16);
    const sealed = sealStream(fileKey, randomBytes(2 * CHUNK_OCTETS));
    const short = { sizeOctets: sealed.length, read: async () => sealed.subarray(0, 8) };
    await assert.rejects(StreamReader.open(fileKey, short), broken('seal-broken'));
  });

  it('refuses each length that no payload has', () => {
    for (let octets = 0; octets < 32; octets++) {
      assert.throws(() => clearStreamOctets(octets), broken('seal-broken'));
    }
    for (let octets = 1; octets <= 16; octets++) {
      assert.throws(() => clearStreamOctets(16 + SEALED_CHUNK_OCTETS + octets), broken('seal-broken'));
    }
  });
});
