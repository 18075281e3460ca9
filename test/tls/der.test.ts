import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { bitString, element, integer, objectIdentifier, octetString, time } from '../../src/tls/der.ts';

const hex = (octets: Uint8Array) => Buffer.from(octets).toString('hex');

describe('DER', () => {
  it('writes lengths in the fewest octets (X.690 §10.1)', () => {
    assert.equal(hex(octetString(Buffer.alloc(127))).slice(0, 4), '047f');
    assert.equal(hex(octetString(Buffer.alloc(128))).slice(0, 6), '048180');
    assert.equal(hex(octetString(Buffer.alloc(256))).slice(0, 8), '04820100');
    assert.equal(hex(element(0x30)), '3000');
  });

  it('writes integers in the fewest octets and never negative (X.690 §8.3)', () => {
    for (const [octets, written] of [
      [[0], '020100'],
      [[0, 0, 1], '020101'],
      [[127], '02017f'],
      [[128], '02020080'],
      [[0, 255, 1], '020300ff01'],
    ] as const) {
      assert.equal(hex(integer(Buffer.from(octets))), written);
    }
  });

  it('writes object identifiers with seven bits an octet (X.690 §8.19)', () => {
    assert.equal(hex(objectIdentifier('1.2.840.10045.4.3.2')), '06082a8648ce3d040302');
    assert.equal(hex(objectIdentifier('2.5.29.17')), '0603551d11');
  });

  it('writes the unused bits of a bit string first (X.690 §8.6)', () => {
    assert.equal(hex(bitString(Buffer.of(0x80), 7)), '03020780');
  });

  it('writes UTCTime through 2049 and GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5)', () => {
    assert.equal(time(new Date('2049-12-31T23:59:59.999Z')).toString('latin1'), '\x17\x0d491231235959Z');
    assert.equal(time(new Date('2050-01-01T00:00:00Z')).toString('latin1'), '\x18\x0f20500101000000Z');
  });
});
