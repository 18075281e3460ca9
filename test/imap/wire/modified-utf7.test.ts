import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { decodeModifiedUtf7, encodeModifiedUtf7 } from '../../../src/imap/wire/modified-utf7.ts';

describe('imap/wire/modified-utf7', () => {
  const names: readonly (readonly [name: string, wire: string])[] = [
    // RFC 3501 §5.1.3.
    ['~peter/mail/台北/日本語', '~peter/mail/&U,BTFw-/&ZeVnLIqe-'],
    ['☺!', '&Jjo-!'],
    ['&', '&-'],
    ['Tom & Jerry', 'Tom &- Jerry'],
    ['', ''],
    ['INBOX', 'INBOX'],
    ['Entwürfe', 'Entw&APw-rfe'],
    ['Éléments envoyés', '&AMk-l&AOk-ments envoy&AOk-s'],
    ['😀', '&2D3eAA-'],
    ['a-b&-', 'a-b&--'],
    ['\x7f\r\n', '&AH8ADQAK-'],
  ];
  for (const [name, wire] of names) {
    it(`${JSON.stringify(name)} is written ${wire}`, () => {
      assert.equal(encodeModifiedUtf7(name), wire);
      assert.equal(decodeModifiedUtf7(wire), name);
    });
  }

  const invalid: readonly (readonly [wire: string, why: string])[] = [
    ['&Jjo!', 'a shift that does not end (RFC 3501 §5.1.3)'],
    ['&U,BTFw-&ZeVnLIqe-', 'a superfluous shift (RFC 3501 §5.1.3)'],
    ['&', 'a shift at the end'],
    ['&AGE-', 'printable US-ASCII in base64'],
    ['&ACY-', '"&" in base64'],
    ['&2D0-', 'half a surrogate pair'],
    ['&3gA-', 'the other half'],
    ['&Jjp-', 'bits left over'],
    ['&Jjo=-', 'padding'],
    ['&Jj/-', 'the "/" of ordinary base64'],
    ['&Jg-', 'half a character'],
    ['&JjoA-', 'half a character more'],
    ['&J jo-', 'a space in base64'],
    ['Entw\xc3\xbcrfe', '8-bit octets'],
    ['a\tb', 'a control character'],
  ];
  for (const [wire, why] of invalid) {
    it(`refuses ${JSON.stringify(wire)}: ${why}`, () => {
      assert.equal(decodeModifiedUtf7(wire), null);
    });
  }

  it('every name comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const wire = encodeModifiedUtf7(name);
        assert.match(wire, /^[\x20-\x7e]*$/);
        assert.equal(decodeModifiedUtf7(wire), name.toWellFormed());
      }),
    );
  });

  it('what is decoded has no other spelling', () => {
    const wire = fc.string({ unit: fc.constantFrom(...'&-,AJjoU+/ab=!\x80') });
    fc.assert(
      fc.property(wire, (text) => {
        const name = decodeModifiedUtf7(text);
        if (name !== null) assert.equal(encodeModifiedUtf7(name), text);
      }),
      { numRuns: 1_000 },
    );
  });
});
