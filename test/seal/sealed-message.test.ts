import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'mocha';
import { newMailboxId, newMessageId } from '../../src/ids.ts';
import { INLINE_BODY_OCTETS, KIB } from '../../src/limits.ts';
import { openBodyRange } from '../../src/seal/body.ts';
import { openHeader } from '../../src/seal/header.ts';
import {
  type BodySpool,
  MessageSealer,
  openDigest,
  type SealedMessage,
} from '../../src/seal/sealed-message.ts';
import { broken, collect, memorySource, newIdentity, TYPES } from './support.ts';

/** A spool in memory, which tells what was written and when. */
class MemorySpool implements BodySpool {
  readonly path = '/spool/body';
  readonly written: Buffer[] = [];
  isWriting = false;

  async write(octets: Buffer): Promise<void> {
    assert.equal(this.isWriting, false, 'writes overlap');
    this.isWriting = true;
    await new Promise((resolve) => setImmediate(resolve));
    this.isWriting = false;
    this.written.push(octets);
  }
}

async function sealMessage(message: Buffer, pushOctets = 64 * KIB) {
  const spool = new MemorySpool();
  const sealer = new MessageSealer({ id: newMessageId(), spool });
  for (let at = 0; at < message.length; at += pushOctets) {
    await sealer.push(message.subarray(at, at + pushOctets));
  }
  const frames = await sealer.end();
  const digest = Buffer.from(JSON.stringify(frames));
  return { sealed: sealer.finish(Buffer.from(digest)), spool, frames, digest, sealer };
}

const bodyOf = (sealed: SealedMessage, spool: MemorySpool): Buffer =>
  sealed.body.kind === 'memory' ? sealed.body.octets : Buffer.concat(spool.written);

describe('MessageSealer', () => {
  for (const type of TYPES) {
    it(`${type}: one body opens for each mailbox by its own header and digest`, async () => {
      const message = randomBytes(3000);
      const { sealed, spool, frames, digest } = await sealMessage(message);
      for (const epoch of [1, 2, 3]) {
        const identity = newIdentity(type);
        const mailbox = newMailboxId();
        const addressed = sealed.addressTo({ mailbox, epoch, recipient: identity.recipient });
        const fileKey = openHeader(addressed.header, identity);
        const place = { mailbox, message: sealed.id, epoch };
        assert.deepEqual(openDigest(fileKey, place, addressed.digest), digest);
        for (const foreign of [
          { ...place, mailbox: newMailboxId() },
          { ...place, message: newMessageId() },
          { ...place, epoch: epoch + 1 },
        ]) {
          assert.throws(() => openDigest(fileKey, foreign, addressed.digest), broken('seal-broken'));
        }
        const source = memorySource(bodyOf(sealed, spool));
        assert.ok((await collect(openBodyRange(fileKey, frames, sealed.sizeOctets, source))).equals(message));
      }
    });
  }

  // Sealed, 1 MiB of random octets is a little more than 1 MiB.
  for (const [size, kind] of [
    [0, 'memory'],
    [64 * KIB + 1, 'memory'],
    [INLINE_BODY_OCTETS - 2 * KIB, 'memory'],
    [INLINE_BODY_OCTETS, 'file'],
    [3 * INLINE_BODY_OCTETS + 1, 'file'],
  ] as const) {
    it(`keeps a body of ${size} random octets in a ${kind}, whole`, async () => {
      const message = randomBytes(size);
      const { sealed, spool, frames } = await sealMessage(message);
      assert.equal(sealed.body.kind, kind);
      assert.equal(sealed.sizeOctets, size);
      const body = bodyOf(sealed, spool);
      if (sealed.body.kind === 'file') {
        assert.equal(sealed.body.path, spool.path);
        assert.equal(sealed.body.sizeOctets, body.length);
      } else {
        assert.equal(spool.written.length, 0);
      }
      const identity = newIdentity('x25519');
      const { header } = sealed.addressTo({
        mailbox: newMailboxId(),
        epoch: 1,
        recipient: identity.recipient,
      });
      const opened = await collect(
        openBodyRange(openHeader(header, identity), frames, size, memorySource(body)),
      );
      assert.ok(opened.equals(message));
    });
  }

  it('keeps neither the pushed octets nor a view of them', async () => {
    const message = randomBytes(1000);
    const sealer = new MessageSealer({ id: newMessageId(), spool: new MemorySpool() });
    const buffer = Buffer.from(message);
    await sealer.push(buffer);
    buffer.fill(0);
    const frames = await sealer.end();
    const sealed = sealer.finish(Buffer.from('[]'));
    const identity = newIdentity('x25519');
    const { header } = sealed.addressTo({ mailbox: newMailboxId(), epoch: 1, recipient: identity.recipient });
    const source = memorySource(bodyOf(sealed, new MemorySpool()));
    const opened = await collect(openBodyRange(openHeader(header, identity), frames, 1000, source));
    assert.ok(opened.equals(message));
  });

  for (const who of ['message', 'sealer'] as const) {
    it(`addresses nothing under a key that the ${who} forgot`, async () => {
      const { sealed, sealer } = await sealMessage(randomBytes(100));
      (who === 'message' ? sealed : sealer).forget();
      const { recipient } = newIdentity('x25519');
      assert.throws(() => sealed.addressTo({ mailbox: newMailboxId(), epoch: 1, recipient }), /forgotten/);
    });
  }

  it('passes on what the spool throws', async () => {
    const full = new Error('disk full');
    const spool = { path: '/spool/body', write: () => Promise.reject(full) };
    const sealer = new MessageSealer({ id: newMessageId(), spool });
    await assert.rejects(sealer.push(randomBytes(2 * INLINE_BODY_OCTETS)), full);
  });
});
