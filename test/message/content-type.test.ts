import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  parseContentType,
  parseDisposition,
  parseLanguages,
  parseTransferEncoding,
} from '../../src/message/content-type.ts';

function flat({ type, subtype, parameters }: ReturnType<typeof parseContentType>): string[] {
  return [`${type}/${subtype}`, ...parameters.map(({ name, value }) => `${name}=${value}`)];
}

describe('parseContentType', () => {
  for (const [value, ...expected] of [
    ['text/plain; charset=us-ascii (Plain text)', 'text/plain', 'charset=us-ascii'],
    ['Text/PLAIN;Charset="US-ASCII"', 'Text/PLAIN', 'Charset=US-ASCII'],
    [
      'application/octet-stream; name="a\\"b;c.txt" ; x=y',
      'application/octet-stream',
      'name=a"b;c.txt',
      'x=y',
    ],
    ['text/plain broken (a; b=c); d=e', 'text/plain', 'd=e'],
    ['(comment) text (c) / (d) html (e) ; (f) a (g) = (h) b (i)', 'text/html', 'a=b'],
    ['multipart/mixed; boundary=----=_Part_1/2?3', 'multipart/mixed', 'boundary=----=_Part_1/2?3'],
    ['image/png; name==?utf-8?B?w6k=?=', 'image/png', 'name==?utf-8?B?w6k=?='],
    ['text/html; charset', 'text/html'],
    ['text/html;; charset=utf-8;', 'text/html', 'charset=utf-8'],
    ['text/html; charset=', 'text/html', 'charset='],
    ['text/html; name=a b.txt; x=y', 'text/html', 'name=a', 'x=y'],
    ['text/html; name="unclosed; x=y', 'text/html', 'name=unclosed; x=y'],
    ['text/html charset=utf-8; x=y', 'text/html', 'x=y'],
    ['text', 'text/plain'],
    ['text; charset=utf-8', 'text/plain', 'charset=utf-8'],
    ['', 'text/plain'],
    ['/html', 'text/plain'],
    ['application/; x=y', 'text/plain'],
    ['no type at all', 'text/plain'],
  ] as const) {
    it(`reads ${JSON.stringify(value)} as ${expected.join(' ')}`, () => {
      assert.deepEqual(flat(parseContentType(value)), expected);
    });
  }

  for (const [claim, value, ...expected] of [
    [
      'joins the pieces of RFC 2231 §3',
      'message/external-body; URL*0="ftp://"; URL*1="cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"',
      'URL=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar',
    ],
    [
      'leaves an extended value of RFC 2231 §4 as it is',
      "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
      "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
    ],
    [
      'joins extended and plain pieces of RFC 2231 §4.1 into an extended value',
      `application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn't it!"`,
      "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn't it!",
    ],
    ['joins pieces that are out of order', 'a/b; n*1=two; x=y; N*0=one', 'n=onetwo', 'x=y'],
    ['leaves pieces alone of which one is missing', 'a/b; n*0=one; n*2=three', 'n*0=one', 'n*2=three'],
    ['escapes percent signs of plain pieces', 'a/b; n*0=100%; n*1*=%20x', "n*=''100%25%20x"],
  ] as const) {
    it(claim, () => assert.deepEqual(flat(parseContentType(value)).slice(1), expected));
  }
});

describe('other Content fields', () => {
  it('Content-Disposition has a type and parameters, or is not there', () => {
    assert.deepEqual(parseDisposition('attachment; filename="a b.txt"'), {
      type: 'attachment',
      parameters: [{ name: 'filename', value: 'a b.txt' }],
    });
    assert.equal(parseDisposition('; filename=x'), null);
  });

  it('Content-Transfer-Encoding is one token, or is not there', () => {
    assert.equal(parseTransferEncoding(' BASE64 (c)'), 'BASE64');
    assert.equal(parseTransferEncoding('?invalid'), null);
    assert.equal(parseTransferEncoding('quoted printable'), null);
    assert.equal(parseTransferEncoding(''), null);
  });

  it('Content-Language is a list of tags', () => {
    assert.deepEqual(parseLanguages('en, fi (comment), se-FI'), ['en', 'fi', 'se-FI']);
    assert.deepEqual(parseLanguages(''), []);
  });
});
