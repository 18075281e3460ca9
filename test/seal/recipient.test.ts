import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { identityToRecipient } from 'age-encryption';
import { describe, it } from 'mocha';
import { decodeBech32, encodeBech32 } from '../../src/seal/bech32.ts';
import {
  encodeIdentity,
  generateIdentitySeed,
  identityFromSeed,
  parseIdentity,
  parseRecipient,
} from '../../src/seal/recipient.ts';
import { broken, newIdentity, TYPES } from './support.ts';

describe('recipients and identities', () => {
  it('gives the recipient that the age specification prints for its X25519 identity', () => {
    const { type, seed } = parseIdentity(
      'AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX',
    );
    assert.equal(
      identityFromSeed(type, seed).recipient.encoded,
      'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj',
    );
  });

  it('gives the recipient that the age specification prints for its hybrid identity', () => {
    const { type, seed } = parseIdentity(
      'AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR',
    );
    const { encoded } = identityFromSeed(type, seed).recipient;
    // Its first 60 and last 20 characters, the checksum over all of them among the latter.
    assert.ok(encoded.startsWith('age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg8'), encoded);
    assert.ok(encoded.endsWith('y7saeq0d3fzv49zc0k'), encoded.slice(-20));
  });

  for (const type of TYPES) {
    describe(type, () => {
      it('computes the same recipient as age-encryption does', async () => {
        const seed = generateIdentitySeed();
        const expected = await identityToRecipient(encodeIdentity(type, seed));
        assert.equal(identityFromSeed(type, seed).recipient.encoded, expected);
        assert.equal(parseRecipient(expected).encoded, expected);
      });

      it('reads back the identity it prints', () => {
        const seed = generateIdentitySeed();
        assert.deepEqual(parseIdentity(encodeIdentity(type, seed)), { type, seed });
      });

      it('keeps working after its seed was zeroed', () => {
        const seed = generateIdentitySeed();
        const identity = identityFromSeed(type, seed);
        seed.fill(0);
        const fileKey = randomBytes(16);
        assert.deepEqual(identity.unwrap(identity.recipient.wrap(fileKey)), fileKey);
      });

      it('wraps one file key differently each time', () => {
        const { recipient } = newIdentity(type);
        const fileKey = randomBytes(16);
        assert.notDeepEqual(recipient.wrap(fileKey), recipient.wrap(fileKey));
      });

      it('finds nothing in a stanza of another recipient', () => {
        const stanza = newIdentity(type).recipient.wrap(randomBytes(16));
        assert.equal(newIdentity(type).unwrap(stanza), null);
      });

      it('refuses a wrapped key that is not 16 octets long', () => {
        const identity = newIdentity(type);
        for (const octets of [0, 15, 17, 32]) {
          const stanza = identity.recipient.wrap(randomBytes(octets));
          assert.throws(() => identity.unwrap(stanza), broken('seal-broken'));
        }
      });

      it('refuses a seed that is not 32 octets long', () => {
        for (const octets of [0, 31, 33]) {
          assert.throws(() => identityFromSeed(type, randomBytes(octets)), broken('format'));
        }
      });
    });
  }

  // RFC 7748 §6.1: the points that give every secret an all-zero shared secret.
  for (const point of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ]) {
    it(`refuses the low-order point ${point.slice(0, 8)}... as a recipient of either type`, () => {
      const octets = Buffer.from(point, 'hex');
      assert.throws(() => parseRecipient(encodeBech32('age', octets)), broken('format'));
      const hybrid = Buffer.concat([latticeHalf(), octets]);
      assert.throws(() => parseRecipient(encodeBech32('age1pq', hybrid)), broken('format'));
    });
  }

  it('refuses an ML-KEM key with a coefficient beyond the modulus (FIPS 203 §7.2)', () => {
    const hybrid = Buffer.concat([Buffer.alloc(1184, 0xff), randomBytes(32)]);
    assert.throws(() => parseRecipient(encodeBech32('age1pq', hybrid)), broken('format'));
  });

  it('refuses keys of other kinds and lengths', () => {
    const seed = generateIdentitySeed();
    for (const text of [
      encodeBech32('age1tag', randomBytes(33)),
      encodeBech32('age', randomBytes(31)),
      encodeBech32('age1pq', randomBytes(32)),
      encodeIdentity('x25519', seed),
      identityFromSeed('x25519', seed).recipient.encoded.toUpperCase(),
    ]) {
      assert.throws(() => parseRecipient(text), broken('format'));
    }
    for (const text of [
      identityFromSeed('x25519', seed).recipient.encoded,
      encodeIdentity('x25519', seed).toLowerCase(),
      encodeBech32('AGE-SECRET-KEY-', randomBytes(33)),
    ]) {
      assert.throws(() => parseIdentity(text), broken('format'));
    }
  });
});

const latticeHalf = (): Buffer =>
  decodeBech32(newIdentity('mlkem768x25519').recipient.encoded).octets.subarray(0, 1184);
