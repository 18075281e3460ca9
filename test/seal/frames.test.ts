import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { describe, it } from 'mocha';
import { FRAME_OCTETS, KIB } from '../../src/limits.ts';
import {
  FRAME_SEALED_OCTETS,
  measureFrame,
  packFrame,
  packRawFrame,
  unpackFrame,
  unpackFrameSync,
} from '../../src/seal/frames.ts';
import { broken, text } from './support.ts';

const SIZES = [
  0,
  1,
  255,
  256,
  64 * KIB,
  128 * KIB - 1,
  128 * KIB,
  128 * KIB + 1,
  FRAME_OCTETS - 1,
  FRAME_OCTETS,
];

/** By the zstd command, which shares no code with ours. */
const inflateByCommand = (frame: Buffer): Buffer =>
  execFileSync('zstd', ['-dc'], { input: frame, maxBuffer: 8 * FRAME_OCTETS });

async function assertRefused(frame: Buffer, clearOctets: number): Promise<void> {
  assert.throws(() => unpackFrameSync(frame, clearOctets), broken('seal-broken'));
  await assert.rejects(unpackFrame(frame, clearOctets), broken('seal-broken'));
}

describe('zstd frames', () => {
  for (const size of SIZES) {
    it(`${size} octets in raw blocks open here and by zstd -d`, async () => {
      const clear = randomBytes(size);
      const frame = packRawFrame(clear);
      assert.ok(unpackFrameSync(frame, size).equals(clear));
      assert.ok((await unpackFrame(frame, size)).equals(clear));
      assert.ok(inflateByCommand(frame).equals(clear));
      assert.deepEqual(measureFrame(Buffer.concat([frame, frame])), {
        frameOctets: frame.length,
        clearOctets: size,
      });
    });

    it(`${size} octets of text, packed, open here and by zstd -d`, async () => {
      const clear = text(size);
      const frame = await packFrame(clear);
      assert.ok(size < 64 * KIB || frame.length < size / 4);
      assert.ok((await unpackFrame(frame, size)).equals(clear));
      assert.ok(unpackFrameSync(frame, size).equals(clear));
      assert.ok(inflateByCommand(frame).equals(clear));
      assert.equal(measureFrame(frame)!.frameOctets, frame.length);
    });
  }

  it('packs octets that do not shrink by a sixteenth into raw blocks', async () => {
    const clear = randomBytes(FRAME_OCTETS);
    assert.equal((await packFrame(clear)).length, FRAME_SEALED_OCTETS);
    // A sixteenth of zeros is just not enough of them, since the rest costs a little more than itself.
    const shrinksLittle = Buffer.concat([randomBytes(15 * 16 * KIB), Buffer.alloc(16 * KIB)]);
    assert.equal((await packFrame(shrinksLittle)).length, FRAME_SEALED_OCTETS);
    const shrinksMore = Buffer.concat([randomBytes(14 * 16 * KIB), Buffer.alloc(32 * KIB)]);
    assert.ok((await packFrame(shrinksMore)).length < FRAME_OCTETS);
  });

  it('finds the end of a frame in every prefix that holds it, and asks for more in every one that does not', async () => {
    for (const frame of [
      packRawFrame(text(500)),
      await packFrame(text(500)),
      await packFrame(Buffer.alloc(200)),
    ]) {
      for (let octets = 0; octets < frame.length; octets++) {
        assert.equal(measureFrame(frame.subarray(0, octets)), null);
      }
      assert.equal(measureFrame(frame)!.frameOctets, frame.length);
    }
  });

  describe('refuses', () => {
    it('another number of octets than the digest says', async () => {
      for (const frame of [packRawFrame(text(100_000)), await packFrame(text(100_000))]) {
        for (const octets of [0, 99_999, 100_001, FRAME_OCTETS]) await assertRefused(frame, octets);
      }
    });

    it('a bomb, whatever it says of itself', async () => {
      const bomb = zstdCompressSync(Buffer.alloc(50_000_000), { pledgedSrcSize: 50_000_000 });
      await assertRefused(bomb, FRAME_OCTETS);
      // The same blocks behind a head that says 256 KiB.
      const head = packRawFrame(Buffer.alloc(0)).subarray(0, 9);
      head.writeUInt32LE(FRAME_OCTETS, 5);
      const size = bomb.indexOf(Buffer.of(0x80, 0xf0, 0xfa, 0x02)); // 50,000,000
      assert.ok(size > 0);
      const blocks = bomb.subarray(size + 4);
      await assertRefused(Buffer.concat([head, blocks]), FRAME_OCTETS);
    });

    it('blocks of one repeated octet that say more than a block may', async () => {
      const head = packRawFrame(Buffer.alloc(0)).subarray(0, 9);
      head.writeUInt32LE(100, 5);
      const block = Buffer.alloc(4);
      block.writeUIntLE((0x1fffff << 3) | (1 << 1) | 1, 0, 3);
      await assertRefused(Buffer.concat([head, block]), 100);
    });

    it('blocks that hold more or less than their frame says', async () => {
      for (const size of [50, 100_000]) {
        for (const frame of [packRawFrame(text(size)), await packFrame(text(size))]) {
          for (const change of [-1, 1]) {
            const changed = Buffer.from(frame);
            if (changed[4] === 0x20) changed[5]! += change;
            else changed.writeUInt32LE(size + change, 5);
            if (changed[4]! >>> 6 !== 1) await assertRefused(changed, size + change);
          }
        }
      }
    });

    it('two frames for one, a frame and a rest, a cut frame', async () => {
      const frame = await packFrame(text(1000));
      await assertRefused(Buffer.concat([frame, frame]), 2000);
      await assertRefused(Buffer.concat([frame, frame]), 1000);
      await assertRefused(Buffer.concat([frame, Buffer.of(0)]), 1000);
      for (const octets of [0, 3, 5, 8, 9, frame.length - 1])
        await assertRefused(frame.subarray(0, octets), 1000);
    });

    it('skippable frames, checksums, dictionaries, windows and frames without their size', async () => {
      const clear = text(1000);
      const skippable = Buffer.concat([Buffer.from('502a4d1800000000', 'hex'), packRawFrame(clear)]);
      await assertRefused(skippable, 1000);
      for (const args of [['--check'], ['--no-content-size', '--no-check'], ['--no-check']]) {
        const frame = execFileSync('zstd', ['-c', ...args], { input: clear });
        await assertRefused(frame, 1000); // read from a pipe, so a window and no size
      }
    });
  });
});
