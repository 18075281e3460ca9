/** Whoever can write the disk changes what lies there; nothing of it may open to other octets than were sealed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'mocha';
import { FRAME_OCTETS } from '../../src/limits.ts';
import { openBodyRange, openBodySequential, openSmallBody } from '../../src/seal/body.ts';
import { openHeader } from '../../src/seal/header.ts';
import { openObject, sealObject } from '../../src/seal/object.ts';
import { broken, collect, memorySource, newIdentity, sealFile, TYPES, text } from './support.ts';

/** Calls with each of `bits` bits flipped in turn, and puts it back. */
function* flipped(octets: Buffer, step = 1): Generator<number> {
  for (let bit = 0; bit < 8 * octets.length; bit += step) {
    octets[bit >>> 3]! ^= 1 << (bit & 7);
    yield bit;
    octets[bit >>> 3]! ^= 1 << (bit & 7);
  }
}

describe('a changed message is refused', () => {
  for (const type of TYPES) {
    it(`${type}: any one bit of the header flipped`, async () => {
      const identity = newIdentity(type);
      const { header } = await sealFile(text(50), identity);
      for (const bit of flipped(header)) {
        assert.throws(() => openHeader(header, identity), broken('seal-broken', 'format'), `bit ${bit}`);
      }
    });
  }

  it('any one bit of a small body flipped, and any tail of it dropped', async () => {
    const message = text(50);
    const { fileKey, body, frames } = await sealFile(message, newIdentity('x25519'));
    for (const bit of flipped(body)) {
      assert.throws(() => openSmallBody(fileKey, body, frames, 50), broken('seal-broken'), `bit ${bit}`);
    }
    for (let octets = 0; octets < body.length; octets++) {
      const cut = body.subarray(0, octets);
      assert.throws(() => openSmallBody(fileKey, cut, frames, 50), broken('seal-broken'));
      await assert.rejects(
        collect(openBodyRange(fileKey, frames, 50, memorySource(cut))),
        broken('seal-broken'),
      );
      await assert.rejects(openBodySequential(fileKey, memorySource(cut)).next(), broken('seal-broken'));
    }
  });

  it('bits of a large body flipped, in every chunk', async () => {
    const message = Buffer.concat([text(FRAME_OCTETS), randomBytes(FRAME_OCTETS + 1000)]);
    const { fileKey, body, frames } = await sealFile(message, newIdentity('x25519'));
    for (const bit of flipped(body, 99_991)) {
      const opened = collect(openBodyRange(fileKey, frames, message.length, memorySource(body)));
      await assert.rejects(opened, broken('seal-broken'), `bit ${bit}`);
    }
  });

  it('any one bit of a sealed digest flipped', () => {
    const key = randomBytes(16);
    const sealed = sealObject(key, 'digest', ['mailbox', 'message', 1], text(50));
    for (const bit of flipped(sealed)) {
      const open = (): Buffer => openObject(key, 'digest', ['mailbox', 'message', 1], sealed);
      assert.throws(open, broken('seal-broken', 'format'), `bit ${bit}`);
    }
  });

  for (const type of TYPES) {
    it(`${type}: header and body of different messages do not fit`, async () => {
      const identity = newIdentity(type);
      const [a, b] = [await sealFile(text(500), identity), await sealFile(text(500), identity)];
      const fileKey = openHeader(a.header, identity);
      assert.throws(() => openSmallBody(fileKey, b.body, b.frames, 500), broken('seal-broken'));
    });

    it(`${type}: a header for another recipient does not open`, async () => {
      const { header } = await sealFile(text(500), newIdentity(type));
      assert.throws(() => openHeader(header, newIdentity(type)), broken('seal-broken'));
    });
  }
});
