import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { FRAME_OCTETS, KIB, RAW_MESSAGE_OCTETS } from '../../src/limits.ts';
import {
  BodySealer,
  openBodyRange,
  openBodySequential,
  openSmallBody,
  sealSmallBody,
} from '../../src/seal/body.ts';
import { packFrame, packRawFrame } from '../../src/seal/frames.ts';
import { CHUNK_OCTETS, PayloadCipher, StreamSealer } from '../../src/seal/stream.ts';
import { broken, collect, memorySource, sealBody, text } from './support.ts';

/** What a message in one raw block may have for its frame to fill one chunk. */
const ONE_CHUNK = CHUNK_OCTETS - 12;
const SIZES = [
  0,
  1,
  ONE_CHUNK - 1,
  ONE_CHUNK,
  ONE_CHUNK + 1,
  RAW_MESSAGE_OCTETS - 1,
  RAW_MESSAGE_OCTETS,
  RAW_MESSAGE_OCTETS + 1,
  FRAME_OCTETS - 1,
  FRAME_OCTETS,
  FRAME_OCTETS + 1,
  2 * FRAME_OCTETS,
  3 * FRAME_OCTETS + 777,
];

/** A body of frames of one's own making, under a payload that opens. */
function bodyOfFrames(fileKey: Uint8Array, frames: readonly Buffer[]): Buffer {
  const sealer = new StreamSealer(new PayloadCipher(fileKey));
  const parts = frames.flatMap((frame) => sealer.push(frame));
  return Buffer.concat([...parts, ...sealer.end()]);
}

async function sequence(fileKey: Uint8Array, body: Buffer) {
  const frames: number[] = [];
  const clear: Buffer[] = [];
  for await (const frame of openBodySequential(fileKey, memorySource(body))) {
    frames.push(frame.frameOctets);
    clear.push(frame.clear);
  }
  return { frames, clear: Buffer.concat(clear) };
}

describe('a body', () => {
  for (const size of SIZES) {
    for (const [kind, make] of [
      ['random octets', randomBytes],
      ['octets of text', text],
    ] as const) {
      it(`gives back ${size} ${kind} with its digest and without`, async () => {
        const fileKey = randomBytes(16);
        const message = make(size);
        const { body, frames } = await sealBody(fileKey, message);
        const source = memorySource(body);
        assert.ok((await collect(openBodyRange(fileKey, frames, size, source))).equals(message));
        const sequential = await sequence(fileKey, body);
        assert.deepEqual(sequential.frames, frames);
        assert.ok(sequential.clear.equals(message));
        if (size <= RAW_MESSAGE_OCTETS) {
          assert.ok(openSmallBody(fileKey, body, frames, size).equals(message));
          const small = sealSmallBody(fileKey, message);
          assert.deepEqual(small.frames, frames);
          assert.ok(openSmallBody(fileKey, small.body, frames, size).equals(message));
        }
      });
    }
  }

  it('does not depend on how the message was pushed', async () => {
    const fileKey = randomBytes(16);
    const message = Buffer.concat([text(FRAME_OCTETS + 1000), randomBytes(FRAME_OCTETS)]);
    const expected = (await sealBody(fileKey, message)).frames;
    for (const pushes of [[1, 2, 3, 50_000], [FRAME_OCTETS - 1, 1, 1, 4096], [70_000]]) {
      const { body, frames } = await sealBody(fileKey, message, pushes);
      assert.deepEqual(frames, expected);
      assert.ok((await sequence(fileKey, body)).clear.equals(message));
    }
  });

  it('yields any range of itself, and no empty buffer', async () => {
    const fileKey = randomBytes(16);
    const message = Buffer.concat([text(FRAME_OCTETS + 1000), randomBytes(FRAME_OCTETS)]);
    const { body, frames } = await sealBody(fileKey, message);
    const edges = [
      0,
      1,
      FRAME_OCTETS - 1,
      FRAME_OCTETS,
      FRAME_OCTETS + 1,
      message.length - 1,
      message.length,
    ];
    const place = fc.oneof(fc.constantFrom(...edges), fc.nat(message.length + 10));
    await fc.assert(
      fc.asyncProperty(place, place, async (start, end) => {
        const parts: Buffer[] = [];
        for await (const part of openBodyRange(
          fileKey,
          frames,
          message.length,
          memorySource(body),
          start,
          end,
        )) {
          assert.ok(part.length > 0);
          parts.push(part);
        }
        assert.ok(Buffer.concat(parts).equals(message.subarray(start, end)));
      }),
      { numRuns: 60 },
    );
  });

  it('reads for a range little beyond the frames that hold it', async () => {
    const fileKey = randomBytes(16);
    const message = randomBytes(10 * FRAME_OCTETS);
    const { body, frames } = await sealBody(fileKey, message);
    let octetsRead = 0;
    const source = {
      sizeOctets: body.length,
      read: async (offset: number, length: number) => {
        octetsRead += length;
        return body.subarray(offset, offset + length);
      },
    };
    await collect(
      openBodyRange(fileKey, frames, message.length, source, 5 * FRAME_OCTETS, 5 * FRAME_OCTETS + 1),
    );
    assert.ok(octetsRead < FRAME_OCTETS + 3 * CHUNK_OCTETS + KIB, `${octetsRead} octets`);
    octetsRead = 0;
    await collect(openBodyRange(fileKey, frames, message.length, source));
    assert.ok(octetsRead <= body.length, `${octetsRead} octets`);
  });

  it('has its emitter wait, and holds no more than a frame for it', async () => {
    let emitted = 0;
    const sealer = new BodySealer(randomBytes(16), async (octets) => {
      await new Promise((resolve) => setImmediate(resolve));
      emitted += octets.length;
    });
    for (let pushed = 100_000; pushed < 3_000_000; pushed += 100_000) {
      await sealer.push(randomBytes(100_000));
      assert.ok(pushed - emitted <= FRAME_OCTETS + CHUNK_OCTETS, `${pushed - emitted} octets held`);
    }
    await sealer.end();
  });

  describe('is refused before anything is yielded', () => {
    it('when it is shorter or longer than the digest says', async () => {
      const fileKey = randomBytes(16);
      const message = randomBytes(2 * FRAME_OCTETS);
      const { body, frames } = await sealBody(fileKey, message);
      for (const changed of [
        body.subarray(0, -1),
        body.subarray(0, 16 + 65552),
        Buffer.concat([body, Buffer.of(0)]),
        Buffer.alloc(0),
      ]) {
        const opened = openBodyRange(fileKey, frames, message.length, memorySource(changed), 0, 10);
        await assert.rejects(opened.next(), broken('seal-broken'));
      }
    });

    it('when it is another message of the same length', async () => {
      const [first, second] = [randomBytes(16), randomBytes(16)];
      for (const size of [100, FRAME_OCTETS + 100]) {
        const a = await sealBody(first, randomBytes(size));
        const b = await sealBody(second, randomBytes(size));
        assert.equal(a.body.length, b.body.length);
        const opened = openBodyRange(first, a.frames, size, memorySource(b.body));
        await assert.rejects(opened.next(), broken('seal-broken'));
      }
    });

    it('when the frame table cannot be', async () => {
      const fileKey = randomBytes(16);
      const { body, frames } = await sealBody(fileKey, text(FRAME_OCTETS + 5));
      const [a, b] = frames as [number, number];
      for (const table of [[], [a], [a + b], [a, b, 0], [a + b, 0], [a + b + 5, -5], [a - 0.5, b + 0.5]]) {
        const opened = collect(openBodyRange(fileKey, table, FRAME_OCTETS + 5, memorySource(body)));
        await assert.rejects(opened, broken('seal-broken'), String(table));
      }
      await assert.rejects(
        collect(openBodyRange(fileKey, [a + 1, b - 1], FRAME_OCTETS + 5, memorySource(body))),
        broken('seal-broken'),
      );
    });
  });

  it('whose frames are not what we write is refused, although its payload opens', async () => {
    const fileKey = randomBytes(16);
    const full = await packFrame(text(FRAME_OCTETS));
    const bodies: [string, Buffer[]][] = [
      ['a short frame before the last', [packRawFrame(text(100)), full]],
      ['an empty frame after others', [full, packRawFrame(Buffer.alloc(0))]],
      ['a rest that is no frame', [full, Buffer.from('rest of it')]],
      ['half a frame', [full, full.subarray(0, full.length / 2)]],
      ['no frame at all', []],
    ];
    for (const [why, frames] of bodies) {
      await assert.rejects(sequence(fileKey, bodyOfFrames(fileKey, frames)), broken('seal-broken'), why);
    }
  });

  it('is sealed under the key it began with, even when that is zeroed meanwhile', async () => {
    const fileKey = randomBytes(16);
    const held = Buffer.from(fileKey);
    const parts: Buffer[] = [];
    const sealer = new BodySealer(held, (octets) => void parts.push(octets));
    held.fill(0);
    await sealer.push(text(300_000));
    await sealer.end();
    assert.equal((await sequence(fileKey, Buffer.concat(parts))).clear.length, 300_000);
  });
});
