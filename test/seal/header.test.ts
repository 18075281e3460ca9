import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'mocha';
import { openHeader, parseHeader, sealHeader } from '../../src/seal/header.ts';
import type { Recipient } from '../../src/seal/recipient.ts';
import { broken, newIdentity, TYPES } from './support.ts';

/** A recipient of a type nobody knows, with a body of any length. */
const stranger = (octets: number): Recipient => ({
  type: 'x25519',
  encoded: '',
  wrap: () => ({ args: ['example.com/stranger', 'argument'], body: randomBytes(octets) }),
});

describe('the age header', () => {
  for (const type of TYPES) {
    it(`${type}: each of several recipients opens it to the same file key`, () => {
      const identities = [newIdentity(type), newIdentity(type), newIdentity(type)];
      const fileKey = randomBytes(16);
      const header = sealHeader(
        fileKey,
        identities.map(({ recipient }) => recipient),
      );
      for (const identity of identities) assert.deepEqual(openHeader(header, identity), fileKey);
      assert.throws(() => openHeader(header, newIdentity(type)), broken('seal-broken'));
    });

    it(`${type}: is refused when anything follows or precedes it`, () => {
      const identity = newIdentity(type);
      const header = sealHeader(randomBytes(16), [identity.recipient]);
      for (const changed of [
        Buffer.concat([header, Buffer.of(0)]),
        Buffer.concat([header, Buffer.from('\n')]),
        Buffer.concat([Buffer.from('\n'), header]),
        Buffer.concat([header, header]),
      ]) {
        assert.throws(() => openHeader(changed, identity), broken('seal-broken'));
      }
    });

    it(`${type}: is refused when cut anywhere`, () => {
      const identity = newIdentity(type);
      const header = sealHeader(randomBytes(16), [identity.recipient]);
      for (let octets = 0; octets < header.length; octets++) {
        assert.throws(() => openHeader(header.subarray(0, octets), identity), broken('seal-broken'));
      }
    });

    it(`${type}: a stanza moved into another message's header is refused`, () => {
      const identity = newIdentity(type);
      const [first, second] = [1, 2].map(() =>
        sealHeader(randomBytes(16), [identity.recipient]).toString('latin1'),
      ) as [string, string];
      const macAt = (text: string): number => text.indexOf('--- ');
      const mixed = first.slice(0, macAt(first)) + second.slice(macAt(second));
      assert.throws(() => openHeader(Buffer.from(mixed), identity), broken('seal-broken'));
    });
  }

  it('has 168 octets for an X25519 recipient and 1,627 for a hybrid one', () => {
    const sizes = TYPES.map((type) => sealHeader(randomBytes(16), [newIdentity(type).recipient]).length);
    assert.deepEqual(sizes, [168, 1627]);
  });

  // 48 octets fill a line of 64 columns: the specification then asks for an empty one.
  for (const octets of [0, 1, 47, 48, 49, 95, 96, 97]) {
    it(`prints and parses a foreign stanza of ${octets} octets`, () => {
      const identity = newIdentity('x25519');
      const fileKey = randomBytes(16);
      const header = sealHeader(fileKey, [stranger(octets), identity.recipient]);
      const { stanzas, sizeOctets } = parseHeader(Buffer.concat([header, randomBytes(100)]));
      assert.equal(sizeOctets, header.length);
      assert.equal(stanzas[0]!.body.length, octets);
      assert.deepEqual(openHeader(header, identity), fileKey);
    });
  }

  it('is not made for hybrid and X25519 recipients together, nor for nobody', () => {
    const x25519 = newIdentity('x25519');
    const hybrid = newIdentity('mlkem768x25519');
    const fileKey = randomBytes(16);
    assert.throws(() => sealHeader(fileKey, [hybrid.recipient, x25519.recipient]), RangeError);
    assert.throws(() => sealHeader(fileKey, []), RangeError);
  });

  it('is neither made nor opened beyond 16 KiB', () => {
    const identity = newIdentity('x25519');
    assert.throws(() => sealHeader(randomBytes(16), [stranger(16_000), identity.recipient]), RangeError);
    const long = Buffer.from(`age-encryption.org/v1\n-> X25519 ${'a '.repeat(9000)}a\n`);
    assert.throws(() => openHeader(long, identity), broken('seal-broken'));
  });

  it('names a version other than v1 as one it does not know', () => {
    const identity = newIdentity('x25519');
    const header = sealHeader(randomBytes(16), [identity.recipient]).toString('latin1');
    const other = Buffer.from(header.replace('/v1\n', '/v2\n'));
    assert.throws(() => openHeader(other, identity), broken('format'));
  });
});
