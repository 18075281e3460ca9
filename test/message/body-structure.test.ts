import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { imapBody, imapBodyStructure } from '../../src/message/body-structure.ts';
import { crlf, readStructure } from './chunks.ts';

function structureOf(message: string): string {
  return imapBodyStructure(readStructure([crlf(message)]).root);
}

function bodyOf(message: string): string {
  return imapBody(readStructure([crlf(message)]).root);
}

const FULL = `Content-Type: multipart/mixed; boundary=b; x="y z"
Content-Language: en

--b
Content-Type: text/plain; charset=utf-8; format=flowed
Content-ID: <id@example.org>
Content-Description: a "description"
Content-Transfer-Encoding: 8BIT
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Disposition: inline; filename="a.txt"
Content-Language: en, de
Content-Location: http://example.org/a

one
two

--b
Content-Type: message/rfc822

Subject: inner

in
--b
Content-Type: image/png
Content-Transfer-Encoding: base64
Content-Disposition: attachment

AAAA
--b--
`;

describe('imapBodyStructure', () => {
  it('gives the BODY of the example in RFC 9051 §8: 3,028 octets in 92 lines', () => {
    const text = `${'x'.repeat(3028 - 2 * 92 - 91)}\n${'x\n'.repeat(91)}`;
    assert.equal(
      bodyOf(`Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\nContent-Transfer-Encoding: 7BIT\n\n${text}`),
      '("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)',
    );
  });

  it('shows every field, in the order of RFC 9051 §7.5.2', () => {
    assert.equal(
      structureOf(FULL),
      '(("text" "plain" ("charset" "utf-8" "format" "flowed") "<id@example.org>" "a \\"description\\"" "8BIT" 10 2 ' +
        '"Q2hlY2sgSW50ZWdyaXR5IQ==" ("inline" ("filename" "a.txt")) ("en" "de") "http://example.org/a")' +
        '("message" "rfc822" NIL NIL NIL "7bit" 20 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) ' +
        '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)' +
        '("image" "png" NIL NIL NIL "base64" 4 NIL ("attachment" NIL) NIL NIL) ' +
        '"mixed" ("boundary" "b" "x" "y z") NIL ("en") NIL)',
    );
  });

  it('leaves extension data out of BODY', () => {
    assert.equal(
      bodyOf(FULL),
      '(("text" "plain" ("charset" "utf-8" "format" "flowed") "<id@example.org>" "a \\"description\\"" "8BIT" 10 2)' +
        '("message" "rfc822" NIL NIL NIL "7bit" 20 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) ' +
        '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0) 2)' +
        '("image" "png" NIL NIL NIL "base64" 4) "mixed")',
    );
  });

  it('shows text without charset as US-ASCII (RFC 2045 §5.2)', () => {
    assert.equal(
      structureOf('Content-Type: text/html; x=y\n\nhi'),
      '("text" "html" ("x" "y" "charset" "us-ascii") NIL NIL "7bit" 2 0 NIL NIL NIL NIL)',
    );
  });

  it('shows a message without MIME fields as plain text, whatever other Content fields it has', () => {
    assert.equal(
      structureOf('Content-Transfer-Encoding: base64\n\nhi\n'),
      '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 1 NIL NIL NIL NIL)',
    );
  });

  it('shows a multipart without parts with one empty text, as the grammar wants one (RFC 9051 §9, body-type-mpart)', () => {
    assert.equal(
      structureOf('Content-Type: multipart/mixed\n\nhi'),
      '(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" NIL NIL NIL NIL)',
    );
  });

  it('shows message/global in the basic form, which is all that IMAP4rev1 has for it', () => {
    assert.equal(
      structureOf('Content-Type: message/global\n\nSubject: x\n\nhi'),
      '("message" "global" NIL NIL NIL "7bit" 16 NIL NIL NIL NIL)',
    );
  });

  it('shows an attached file name with raw 8-bit octets as a literal', () => {
    assert.equal(
      bodyOf('Content-Type: image/png; name="\xe9.png"\n\n'),
      '("image" "png" ("name" {5}\r\n\xe9.png) NIL NIL "7bit" 0)',
    );
  });
});
