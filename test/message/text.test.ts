import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { CHARSET_PORTION_OCTETS, KIB, SEARCH_PART_OCTETS, TEXT_PORTION_UNITS } from '../../src/limits.ts';
import { casemapPieces } from '../../src/message/casemap.ts';
import type { DigestPart } from '../../src/message/digest.ts';
import { digestParts } from '../../src/message/digest-builder.ts';
import { sourceText } from '../../src/message/search-text.ts';
import {
  casemap,
  decodeHeaderValue,
  headerPieces,
  partPieces,
  searchSources,
} from '../../src/message/text.ts';
import { crlf, readStructure } from './chunks.ts';

const decodeHeaderText = (header: Buffer): string => [...headerPieces(header)].join('');
const decodeTextPart = (of: DigestPart, body: Buffer): string => [...partPieces(of, body)].join('');

function part(fields: Partial<DigestPart>): DigestPart {
  return {
    section: '',
    mediaType: 'text/plain',
    charset: '',
    encoding: '7bit',
    headerStart: 0,
    bodyStart: 0,
    end: 0,
    ...fields,
  };
}

describe('decodeHeaderValue', () => {
  for (const [value, expected] of [
    // RFC 2047 §8
    ['=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>', 'Keith Moore <moore@cs.utk.edu>'],
    ['=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>', 'Keld Jørn Simonsen <keld@dkuug.dk>'],
    [
      '=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=',
      'If you can read this you understand the example.',
    ],
    ['(=?ISO-8859-1?Q?a?=)', '(a)'],
    ['(=?ISO-8859-1?Q?a?= b)', '(a b)'],
    ['(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)', '(ab)'],
    ['(=?ISO-8859-1?Q?a_b?=)', '(a b)'],
    // RFC 2231 §5
    ['=?US-ASCII*EN?Q?Keith_Moore?=', 'Keith Moore'],
    // A character cut in two, in both encodings
    ['=?utf-8?B?w4==?= =?utf-8?B?qQ==?=', 'é'],
    ['=?utf-8?Q?=C3?= =?UTF-8?Q?=A9?=', 'é'],
    ['=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=', '日本語'],
    ['=?gb2312?B?1tC5+g==?=', '中国'],
    ['=?utf-7?Q?+AOk-?=', 'é'],
    ['=?utf-8?Q?with a space?=', 'with a space'],
    ['raw \xc3\xa9', 'raw é'],
    ['raw \xe9', 'raw é'],
    ['=?x-nobody-knows?Q?=E9?=', 'é'],
    ['=?utf-8?X?abc?=', '=?utf-8?X?abc?='],
    ['=?utf-8?Q?unclosed', '=?utf-8?Q?unclosed'],
    ['a=?utf-8?Q?b?=c', 'abc'],
    ['', ''],
  ] as const) {
    it(`reads ${JSON.stringify(value)} as ${JSON.stringify(expected)}`, () => {
      assert.equal(decodeHeaderValue(value), expected);
    });
  }

  it('never fails', () => {
    const pieces = fc.constantFrom('=?', '?=', '?', 'utf-8', 'Q', 'b', '=', '_', ' ', '\xff', 'w6k=', '*');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => void decodeHeaderValue(parts.join(''))),
    );
  });
});

describe('decodeHeaderText', () => {
  it('gives a line of decoded text for each field', () => {
    const header = crlf('Subject: =?utf-8?Q?=C3=A9?=\n\tfolded\ngarbage\nX: y\n\n');
    assert.equal(decodeHeaderText(header), 'Subject: é\tfolded\nX: y\n');
  });
});

describe('decodeTextPart', () => {
  for (const [claim, fields, body, expected] of [
    ['plain text as UTF-8', {}, 'caf\xc3\xa9', 'café'],
    ['plain text that is no UTF-8 as windows-1252', {}, 'caf\xe9 \x80', 'café €'],
    ['declared charsets', { charset: 'iso-8859-2' }, '\xb1', 'ą'],
    ['charsets that only iconv-lite knows', { charset: 'cp850' }, '\x82', 'é'],
    [
      'quoted-printable (RFC 2045 §6.7)',
      { encoding: 'quoted-printable' },
      'a=3Db=\r\nc =  \r\nd=C3=A9',
      'a=bc dé',
    ],
    ['broken quoted-printable', { encoding: 'quoted-printable' }, '100=% =ZZ =4', '100=% =ZZ =4'],
    ['base64', { encoding: 'base64', charset: 'utf-8' }, 'w6k\r\n=\r\n', 'é'],
    ['base64 with stray characters', { encoding: 'base64' }, 'aGVs*bG8=', 'hello'],
    ['an unknown encoding as none', { encoding: 'x-uuencode' }, 'abc', 'abc'],
    ['UTF-16', { charset: 'utf-16le' }, 'a\0b\0', 'ab'],
    ['an absurd charset name', { charset: `x${'y'.repeat(99)}` }, 'abc', 'abc'],
    ['nothing', { encoding: 'base64' }, '', ''],
  ] as const) {
    it(`decodes ${claim}`, () => {
      assert.equal(decodeTextPart(part(fields), Buffer.from(body, 'latin1')), expected);
    });
  }

  it('reduces HTML to the text that is shown, words of different blocks apart', () => {
    const html =
      '<html><head><title>no</title><style>p {}</style></head><body><p>One &amp; <b>t</b>wo</p><p>three<br>four' +
      '<script>no()</script><!-- no --><td>five</td></p></body></html>';
    const text = decodeTextPart(part({ mediaType: 'text/html' }), Buffer.from(html));
    assert.deepEqual(text.trim().split(/\s*\n\s*/), ['One & two', 'three', 'four', 'five']);
  });

  it('survives HTML nested without end', () => {
    const html = `${'<div><b>'.repeat(50_000)}deep`;
    assert.equal(decodeTextPart(part({ mediaType: 'text/html' }), Buffer.from(html)).trim(), 'deep');
  });

  it('shows text after a stray closing tag of a hidden element', () => {
    const html = Buffer.from('</style>a<style>b</style><![CDATA[c]]>');
    assert.equal(decodeTextPart(part({ mediaType: 'text/html' }), html).trim(), 'ac');
  });

  it('stops at its limit', () => {
    assert.equal(
      decodeTextPart(part({}), Buffer.alloc(SEARCH_PART_OCTETS + 1, 'x')).length,
      SEARCH_PART_OCTETS,
    );
  });

  it('never fails', () => {
    const fields = fc.record({
      mediaType: fc.constantFrom('text/plain', 'text/html'),
      charset: fc.oneof(fc.constantFrom('', 'utf-8', 'utf-16', 'iso-2022-jp', 'utf-7', 'hz'), fc.string()),
      encoding: fc.constantFrom('7bit', 'base64', 'quoted-printable', ''),
    });
    fc.assert(
      fc.property(
        fields,
        fc.uint8Array(),
        (given, octets) => void decodeTextPart(part(given), Buffer.from(octets)),
      ),
    );
  });
});

describe('text in portions', () => {
  it('is the same wherever a portion of HTML ends', () => {
    const html =
      'a &amp; b&notin;&notit; &#x41;&#65 &am <p class="x &lt; y">c<script>no &amp; no</script><!-- no -- > -->d' +
      "<br/><a href='&amp;'>e</a>f<![CDATA[g]]>&hellip";
    const expected = decodeTextPart(part({ mediaType: 'text/html' }), Buffer.from(html));
    for (let before = TEXT_PORTION_UNITS - html.length; before <= TEXT_PORTION_UNITS; before++) {
      const padding = 'x'.repeat(before);
      const text = decodeTextPart(part({ mediaType: 'text/html' }), Buffer.from(padding + html));
      assert.ok(text === padding + expected, `${before}`);
    }
  });

  for (const [charset, encoded, expected] of [
    ['utf-7', 'a+AOkgrA-b\n', 'aé€b\n'],
    ['cp949', '\xb0\xa1', '가'],
    ['utf-32le', 'a\0\0\0', 'a'],
  ] as const) {
    it(`is the same wherever a portion of ${charset} ends`, () => {
      for (let before = 0; before < encoded.length; before++) {
        const units = Math.ceil((2 * CHARSET_PORTION_OCTETS) / encoded.length);
        const padding = charset === 'utf-7' ? 'x'.repeat(before) : '';
        const octets = Buffer.from(padding + encoded.repeat(units), 'latin1');
        assert.ok(
          decodeTextPart(part({ charset }), octets) === padding + expected.repeat(units),
          `${before}`,
        );
      }
    });
  }

  it('is case-mapped as the whole is', () => {
    const unit = fc.oneof(
      fc.constantFrom(
        '\u0301',
        '\u0316',
        '\u0345',
        '\u034f',
        '\uff9e',
        '\u0e33',
        'ß',
        'ﬁ',
        '\ufdfa',
        '😀',
        '\u{1d165}',
        'a',
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.array(unit, { minLength: 1, maxLength: 60 }), fc.nat(200), (units, before) => {
        const text = 'x'.repeat(TEXT_PORTION_UNITS - before) + units.join('').repeat(100);
        assert.ok([...casemapPieces(text)].join('') === casemap(text));
      }),
    );
  });

  // Each of these took from 20 to 340 ms in one go.
  const K = SEARCH_PART_OCTETS;
  for (const [what, kind, fields, octets] of [
    ['characters that become many', 'body', { charset: 'utf-16le' }, Buffer.alloc(K, '\ufdfa', 'utf16le')],
    ['marks', 'body', { charset: 'utf-16le' }, Buffer.alloc(K, '\u0301\u0316', 'utf16le')],
    ['UTF-7', 'body', { charset: 'utf-7' }, Buffer.alloc(K, '+AOk-x')],
    ['entities', 'body', { mediaType: 'text/html' }, Buffer.alloc(K, '&#x41;')],
    ['umlauts', 'body', { charset: 'iso-8859-1' }, Buffer.alloc(K, 0xe4)],
    ['encoded-words', 'header', {}, Buffer.from(`A: ${'=?utf-8?q?=41?=x'.repeat(K / 32)}\r\n`)],
    ['neighbouring encoded-words', 'header', {}, Buffer.from(`A: ${'=?utf-8?q?=41?= '.repeat(K / 32)}\r\n`)],
  ] as const) {
    it(`lets others have their turn in the midst of ${what}`, async () => {
      let pauses = 0;
      await sourceText({ kind, part: part(fields) }, octets, () => void pauses++);
      assert.ok(pauses >= 10, `${pauses}`);
    });
  }
});

describe('searchSources', () => {
  const message = crlf(`Subject: outer
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

one
--b
Content-Type: image/png

no
--b
Content-Type: message/rfc822

Subject: inner

two
--b--
`);
  const parts = digestParts(readStructure([message]).root);
  const octetsOf = (key: 'BODY' | 'TEXT') =>
    searchSources(parts, key).map(
      ({ kind, start, end }) => `${kind} ${message.toString('latin1', start, end).trim()}`,
    );

  it('of BODY are text parts and the headers of embedded messages', () => {
    assert.deepEqual(octetsOf('BODY'), ['body one', 'header Subject: inner', 'body two']);
  });

  it('of TEXT are these and the header of the message', () => {
    assert.equal(octetsOf('TEXT').length, 4);
    assert.match(octetsOf('TEXT')[0]!, /^header Subject: outer/);
  });
});

describe('casemap', () => {
  for (const [left, right] of [
    ['Subject', 'sUBJECT'],
    ['ÄÖÜ', 'äöü'],
    ['é', 'e\u0301'],
    ['Σίσυφος', 'ΣΊΣΥΦΟΣ'],
    ['ﬁ', 'FI'],
    ['Ⅷ', 'viii'],
    ['ＡＢＣ', 'abc'],
    ['Ǆ', 'ǆ'],
    ['ǅ', 'dž'],
    ['ПРИВЕТ', 'привет'],
    ['𐐨', '𐐀'],
    ['ᾳ', 'ᾼ'],
    ['ა', 'Ა'],
    ['Straße', 'STRASSE'],
    ['𝓪', 'A'],
  ] as const) {
    it(`makes ${left} equal to ${right}`, () => assert.equal(casemap(left), casemap(right)));
  }

  it('keeps a substring a substring, if it is cut before no combining mark', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (before, after) => {
        assert.ok(casemap(`${before} needle ${after}`).includes(casemap('Needle')));
      }),
    );
  });

  describe('cuts runs of combining marks, whose order takes time that grows with the square of their length', () => {
    const ACUTE_AND_GRAVE_BELOW = '\u0301\u0316';

    // Uncut, half a minute: more than mocha waits for.
    for (const [name, marks] of [
      ['marks', ACUTE_AND_GRAVE_BELOW],
      ['letters that decompose to marks', '\uff9e\u0316'],
      ['marks that decompose to two', '\u0344\u0316'],
    ] as const) {
      it(`half a megabyte of ${name}`, () => {
        const mapped = casemap(`a${marks.repeat(128 * KIB)}`);
        assert.ok(/[\p{M}--[\u034f]]{100}/v.exec(mapped) === null);
      });
    }

    it('of whatever character', () => {
      for (let code = 0x80; code <= 0x10ffff; code++) {
        if (code >= 0xd800 && code < 0xe000) continue;
        const character = String.fromCodePoint(code);
        if (!/^\p{M}+$/u.test(character.normalize('NFKD'))) continue;
        assert.ok(
          /[\p{M}--[\u034f]]{100}/v.exec(casemap(character.repeat(101))) === null,
          `U+${code.toString(16)}`,
        );
      }
    });

    it('but none of 30, as much as any language writes', () => {
      const run = `a${ACUTE_AND_GRAVE_BELOW.repeat(15)}`;
      assert.equal(casemap(run), run.normalize('NFKD').toUpperCase());
      assert.ok(casemap(run + ACUTE_AND_GRAVE_BELOW).includes('\u034f'));
    });

    it('once', () => {
      const mapped = casemap(`a${ACUTE_AND_GRAVE_BELOW.repeat(1_000)}b`);
      assert.equal(casemap(mapped), mapped);
    });
  });

  it('is idempotent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) =>
        assert.equal(casemap(casemap(text)), casemap(text)),
      ),
    );
  });
});
