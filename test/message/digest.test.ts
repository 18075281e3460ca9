import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { IntegrityError } from '../../src/errors.ts';
import { PREVIEW_CHARACTERS } from '../../src/limits.ts';
import { DIGEST_VERSION, type Digest, decodeDigest, encodeDigest } from '../../src/message/digest.ts';
import { DigestBuilder } from '../../src/message/digest-builder.ts';
import { chunkings, crlf } from './chunks.ts';

function digestOf(pieces: readonly Buffer[], frames: readonly number[] = []): Digest {
  const builder = new DigestBuilder();
  for (const piece of pieces) builder.push(piece);
  return builder.end(frames);
}

function previewOf(message: string): string {
  return digestOf([crlf(message)]).preview;
}

const MESSAGE = crlf(`From: a@b
Subject: \xe9
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: Text/Plain; charset=UTF-8
Content-Transfer-Encoding: Quoted-Printable

caf=C3=A9
--b
Content-Type: message/rfc822

Content-Type: text/html; charset="iso-8859-1"

hi
--b
Content-Type: multipart/mixed; boundary=c

--b--
`);

describe('DigestBuilder', () => {
  it('describes the message, its hash and its parts, however it is cut', () => {
    const digest = digestOf([MESSAGE], [17, 4]);
    assert.equal(digest.version, DIGEST_VERSION);
    assert.equal(digest.sizeOctets, MESSAGE.length);
    assert.equal(digest.sha256, createHash('sha256').update(MESSAGE).digest('hex'));
    assert.equal(digest.preview, 'café');
    assert.deepEqual(digest.frames, [17, 4]);
    assert.match(digest.envelope, /^\(NIL \{1\}\r\n\xe9 \(\(NIL NIL "a" "b"\)\)/);
    assert.deepEqual(
      digest.parts.map(({ section, mediaType, charset, encoding }) => [
        section,
        mediaType,
        charset,
        encoding,
      ]),
      [
        ['', 'multipart/mixed', '', '7bit'],
        ['1', 'text/plain', 'utf-8', 'quoted-printable'],
        ['2', 'message/rfc822', '', '7bit'],
        ['2.', 'text/html', 'iso-8859-1', '7bit'],
        ['3', 'multipart/mixed', '', '7bit'],
        ['3.1', 'text/plain', '', '7bit'],
      ],
    );
    for (const pieces of chunkings(MESSAGE)) assert.deepEqual(digestOf(pieces, [17, 4]), digest);
  });

  it('makes a digest of any octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (octets) => {
        const digest = digestOf([Buffer.from(octets)]);
        assert.deepEqual(decodeDigest(encodeDigest(digest)), digest);
      }),
    );
  });

  for (const [claim, message, expected] of [
    ['folds white space', 'A: b\n\n\n one\n\n\ttwo  \n', 'one two'],
    ['is empty without text', 'Content-Type: image/png\n\nx', ''],
    [
      'shows HTML as text',
      'Content-Type: text/html\n\n<style>x</style><p>one<p>t&auml;<i>wo</i>',
      'one täwo',
    ],
    ['ignores a character that was cut', 'Content-Type: text/plain; charset=utf-8\n\nabc\xc3', 'abc'],
    [
      'leaves out control characters and the fillers of newsletters',
      'A: b\n\na\0b\x1bc\xe2\x80\x8c\xcd\x8f d',
      'a b c d',
    ],
  ] as const) {
    it(`preview ${claim}`, () => assert.equal(previewOf(message), expected));
  }

  it(`preview has at most ${PREVIEW_CHARACTERS} characters, and cuts none in two`, () => {
    const preview = previewOf(
      `Content-Type: text/plain; charset=utf-8\n\n${Buffer.from('😀'.repeat(300)).toString('latin1')}`,
    );
    assert.equal([...preview].length, PREVIEW_CHARACTERS);
    assert.ok(preview.isWellFormed());
  });

  it('preview of text in any encoding is as long as a preview may be', () => {
    const text = Buffer.from('я'.repeat(2000));
    const quoted = [...text].map((octet) => `=${octet.toString(16).toUpperCase()}`).join('');
    for (const [encoding, body] of [
      ['quoted-printable', quoted.replace(/.{72}/g, '$&=\n')],
      ['base64', text.toString('base64').replace(/.{76}/g, '$&\n')],
    ]) {
      const message = `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: ${encoding}\n\n${body}`;
      assert.equal(previewOf(message), 'я'.repeat(PREVIEW_CHARACTERS));
    }
  });
});

describe('decodeDigest', () => {
  const encoded = encodeDigest(digestOf([MESSAGE], [17, 4]));

  it('gives back what was encoded', () => {
    assert.deepEqual(decodeDigest(encoded), digestOf([MESSAGE], [17, 4]));
  });

  it('refuses what is cut, of another version, or otherwise no digest', () => {
    const fields = JSON.parse(encoded.toString());
    const altered = (index: number, value: unknown) => JSON.stringify(fields.with(index, value));
    for (const octets of [
      ...['', '{}', 'null', '[]', '[1]', encoded.toString().slice(0, -1), JSON.stringify([...fields, 0])],
      ...[altered(0, DIGEST_VERSION + 1), altered(1, -1), altered(1, 1.5), altered(2, 7), altered(7, ['1'])],
      ...[altered(6, fields[6].slice(1)), altered(6, {}), altered(8, null)],
    ]) {
      assert.throws(
        () => decodeDigest(Buffer.from(octets)),
        (error) => error instanceof IntegrityError && error.code === 'format' && error.cause === undefined,
      );
    }
  });
});
