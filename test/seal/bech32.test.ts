import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { decodeBech32, encodeBech32 } from '../../src/seal/bech32.ts';
import { broken } from './support.ts';

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

describe('Bech32', () => {
  // BIP 173, "Test vectors", those whose data is whole octets or whose padding is zero.
  for (const valid of [
    'A12UEL5L',
    'a12uel5l',
    'abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw',
    'split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w',
  ]) {
    it(`reads ${valid} and prints it again`, () => {
      const { hrp, octets } = decodeBech32(valid);
      assert.equal(encodeBech32(hrp, octets), valid);
    });
  }

  for (const [text, why] of [
    ['A12Uel5l', 'mixed case'],
    ['A1G7SGD8', 'checksum of the upper-case form (BIP 173)'],
    ['10a06t8', 'empty human-readable part (BIP 173)'],
    ['1qzzfhee', 'empty human-readable part (BIP 173)'],
    ['pzry9x0s0muk', 'no separator (BIP 173)'],
    ['x1b4n0q5v', 'character outside the set (BIP 173)'],
    ['li1dgmt3', 'checksum too short (BIP 173)'],
    ['\x201nwldj5', 'space in the human-readable part (BIP 173)'],
    ['a12uel5m', 'wrong checksum'],
    ['', 'empty'],
    [`a1${'q'.repeat(3000)}`, 'too long'],
  ] as const) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}: ${why}`, () => {
      assert.throws(() => decodeBech32(text), broken('format'));
    });
  }

  it('refuses set bits in the padding', () => {
    // One octet is two quintets, of which the second has two bits of padding: 8 of its 32 values are canonical.
    const first = encodeBech32('a', Buffer.of(0xff)).charAt(2);
    const accepted = [...CHARSET].filter((second) => {
      try {
        return decodeBech32(withChecksum(first + second)).octets.length === 1;
      } catch {
        return false;
      }
    });
    assert.equal(accepted.length, 8);
  });

  it('gives back any octets in either case, and refuses any other character in any place', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.constantFrom('age', 'AGE-SECRET-KEY-', 'age1pq'),
        fc.nat(),
        (octets, hrp, place) => {
          const text = encodeBech32(hrp, octets);
          const decoded = decodeBech32(text);
          assert.equal(decoded.hrp, hrp);
          assert.deepEqual(new Uint8Array(decoded.octets), octets);
          const at = place % text.length;
          const swapped = text[at] === 'q' ? 'p' : text[at] === 'Q' ? 'P' : hrp === 'age' ? 'q' : 'Q';
          const changed = text.slice(0, at) + swapped + text.slice(at + 1);
          assert.throws(() => decodeBech32(changed), broken('format'));
        },
      ),
    );
  });
});

/** BIP 173's create_checksum, written anew, over human-readable part 'a' and any quintets. */
function withChecksum(data: string): string {
  const values = [3, 0, 1, ...[...data].map((character) => CHARSET.indexOf(character)), 0, 0, 0, 0, 0, 0];
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (const [i, generator] of [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].entries()) {
      if ((top >>> i) & 1) sum ^= generator;
    }
  }
  return `a1${data}${[25, 20, 15, 10, 5, 0].map((shift) => CHARSET[((sum ^ 1) >>> shift) & 31]).join('')}`;
}
