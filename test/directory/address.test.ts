import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { canonicalAddress, canonicalDomain } from '../../src/directory/address.ts';

const DOMAINS: readonly [text: string, canonical: string | null, why: string][] = [
  ['demo.test', 'demo.test', 'a name stays'],
  ['DEMO.Test', 'demo.test', 'case is folded'],
  ['demo.test.', 'demo.test', 'the root is left out'],
  ['Bücher.example', 'xn--bcher-kva.example', 'U-labels become A-labels (RFC 5891)'],
  ['xn--bcher-kva.example', 'xn--bcher-kva.example', 'A-labels stay'],
  ['bu\u0308cher.example', 'xn--bcher-kva.example', 'whatever the normal form'],
  ['_dmarc.demo.test', '_dmarc.demo.test', 'an underscore is written in DNS'],
  ['a/b', null, 'a URL would end at the slash'],
  ['a?b', null, 'or at the question mark'],
  ['a#b', null, 'or at the hash'],
  ['a:80', null, 'or at a port'],
  ['a%2etest', null, 'or decode per cent'],
  ['a\uff052etest', null, 'also where it is written full-width'],
  ['a\uff0fb.test', null, 'a slash written full-width'],
  ['1', null, 'or make 0.0.0.1 of it'],
  ['0x7f.1', null, 'or 127.0.0.1'],
  ['\uff10x7f.1', null, 'also where it is written full-width'],
  ['192.0.2.1', null, 'an IP address is no name'],
  ['[192.0.2.1]', null, 'nor is a literal'],
  ['[IPv6:2001:db8::1]', null, 'nor is a literal'],
  ['a b.test', null, 'blanks'],
  ['a..test', null, 'empty labels'],
  ['-a.test', null, 'a hyphen at the start'],
  ['a-.test', null, 'or end of a label'],
  ['xn--zz--', null, 'an A-label that encodes nothing'],
  [`${'a'.repeat(64)}.test`, null, 'a label of 64 (RFC 1034 §3.1)'],
  [`${'a.'.repeat(126)}te`, null, 'a name of 254'],
  ['', null, 'nothing'],
  ['.', null, 'the root'],
];

const ADDRESSES: readonly [text: string, canonical: string | null, why: string][] = [
  ['Alice@Demo.Test', 'alice@demo.test', 'case is folded'],
  ['"alice"@demo.test', 'alice@demo.test', 'quotes mean their content (RFC 5321 §4.1.2)'],
  ['"al.i\\ce"@demo.test', 'al.ice@demo.test', 'also where it is escaped'],
  ['alice+x@demo.test', 'alice+x@demo.test', 'a sub-address stays'],
  ['m\u00fcller@demo.test', 'm\u00fcller@demo.test', 'UTF-8 (RFC 6531)'],
  ['mu\u0308ller@demo.test', 'm\u00fcller@demo.test', 'in NFC'],
  ['a\u037eb@demo.test', null, 'U+037E is a semicolon in NFC'],
  ['"a b"@demo.test', null, 'a blank'],
  ['"a@b"@demo.test', null, 'an at sign'],
  ['"alice@demo.test', null, 'an open quote'],
  ['al"ice@demo.test', null, 'a quote within'],
  ['a..b@demo.test', null, 'two dots'],
  ['.a@demo.test', null, 'a dot first'],
  ['a\u0000@demo.test', null, 'a control character'],
  ['a\ud800@demo.test', null, 'half a character'],
  [`${'a'.repeat(65)}@demo.test`, null, '65 octets (RFC 5321 §4.5.3.1.1)'],
  ['@demo.test', null, 'no local part'],
  ['alice', null, 'no domain'],
  ['alice@', null, 'no domain'],
];

describe('addresses', () => {
  for (const [text, canonical, why] of DOMAINS) {
    it(`domain ${JSON.stringify(text.slice(0, 30))} is ${canonical ?? 'refused'}: ${why}`, () => {
      assert.equal(canonicalDomain(text), canonical);
    });
  }

  for (const [text, canonical, why] of ADDRESSES) {
    it(`${JSON.stringify(text.slice(0, 30))} is ${canonical ?? 'refused'}: ${why}`, () => {
      assert.equal(canonicalAddress(text)?.address ?? null, canonical);
    });
  }

  it('that are canonical stay as they are', () => {
    const part = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(part, part, (local, domain) => {
        const once = canonicalAddress(`${local}@${domain}.test`);
        fc.pre(once !== null);
        assert.deepEqual(canonicalAddress(once.address), once);
      }),
      { numRuns: 3_000 },
    );
  });
});
