import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  associatedData,
  OBJECT_OVERHEAD_OCTETS,
  openObject,
  type Purpose,
  sealObject,
} from '../../src/seal/object.ts';
import { broken } from './support.ts';

const MAILBOX = `${'0'.repeat(31)}1`;
const OTHER_MAILBOX = `${'0'.repeat(31)}2`;

describe('sealed objects', () => {
  for (const size of [0, 1, 16, 1000, 100_000]) {
    it(`give back ${size} octets and add 49`, () => {
      const key = randomBytes(32);
      const clear = randomBytes(size);
      const sealed = sealObject(key, 'folder-name', [MAILBOX, 1, 7], clear);
      assert.equal(sealed.length, size + OBJECT_OVERHEAD_OCTETS);
      assert.deepEqual(openObject(key, 'folder-name', [MAILBOX, 1, 7], sealed), clear);
    });
  }

  it('differ each time the same is sealed', () => {
    const key = randomBytes(32);
    const [a, b] = [1, 2].map(() => sealObject(key, 'folder-name', [MAILBOX, 1, 7], Buffer.from('Sent')));
    assert.notDeepEqual(a, b);
  });

  it('do not open for another mailbox, epoch, folder, purpose or key', () => {
    const key = randomBytes(32);
    const sealed = sealObject(key, 'folder-name', [MAILBOX, 1, 7], Buffer.from('Sent'));
    const refused: [Uint8Array, Purpose, [string, number, number]][] = [
      [key, 'folder-name', [OTHER_MAILBOX, 1, 7]],
      [key, 'folder-name', [MAILBOX, 2, 7]],
      [key, 'folder-name', [MAILBOX, 1, 8]],
      [key, 'subscription-name', [MAILBOX, 1, 7]],
      [key, 'keyword-name', [MAILBOX, 1, 7]],
      [randomBytes(32), 'folder-name', [MAILBOX, 1, 7]],
    ];
    for (const [parent, purpose, fields] of refused) {
      assert.throws(() => openObject(parent, purpose, fields as never, sealed), broken('seal-broken'));
    }
  });

  it('are refused when cut, lengthened, or of an unknown version, which is named', () => {
    const key = randomBytes(32);
    const sealed = sealObject(key, 'index-key', [MAILBOX, 1], randomBytes(32));
    for (let octets = 0; octets < sealed.length; octets++) {
      assert.throws(
        () => openObject(key, 'index-key', [MAILBOX, 1], sealed.subarray(0, octets)),
        broken('seal-broken'),
      );
    }
    const longer = Buffer.concat([sealed, Buffer.of(0)]);
    assert.throws(() => openObject(key, 'index-key', [MAILBOX, 1], longer), broken('seal-broken'));
    sealed[0] = 2;
    assert.throws(() => openObject(key, 'index-key', [MAILBOX, 1], sealed), /version 2/);
  });
});

describe('the associated-data encoding', () => {
  it('is length and octets of each field, numbers as decimal text', () => {
    assert.equal(associatedData([1, 'ä', '']).toString('hex'), '0000000131' + '00000002c3a4' + '00000000');
  });

  it('differs for different fields', () => {
    const fields = fc.array(fc.string({ maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        assert.equal(associatedData(a).equals(associatedData(b)), JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 500 },
    );
  });

  it('takes no number that has several spellings', () => {
    for (const number of [1.5, -1, Number.NaN, Number.MAX_SAFE_INTEGER + 1]) {
      assert.throws(() => associatedData([number]), RangeError);
    }
  });
});
