import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import MailComposer from 'nodemailer/lib/mail-composer';
import { IntegrityError } from '../../src/errors.ts';
import { PREVIEW_CHARACTERS } from '../../src/limits.ts';
import { DIGEST_VERSION, type Digest, decodeDigest, encodeDigest } from '../../src/message/digest.ts';
import { DigestBuilder } from '../../src/message/digest-builder.ts';
import { partPieces } from '../../src/message/text.ts';
import { decodeTransferEncoding } from '../../src/message/transfer-encoding.ts';
import { chunkings, crlf } from './chunks.ts';
import { assertBody, assertEnvelope, readImapValue } from './imap-value.ts';

function digestOf(pieces: readonly Buffer[], frames: readonly number[] = []): Digest {
  const builder = new DigestBuilder();
  for (const piece of pieces) builder.push(piece);
  return builder.end(frames);
}

function previewOf(message: string): string {
  return digestOf([crlf(message)]).preview;
}

function compose(mail: ConstructorParameters<typeof MailComposer>[0]): Promise<Buffer> {
  return new MailComposer(mail).compile().build();
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

  it('makes of any octets a digest whose ENVELOPE, BODY and BODYSTRUCTURE keep to the grammar of RFC 3501 §9', () => {
    const fields = [
      'From',
      'To',
      'Subject',
      'Content-Type',
      'Content-Disposition',
      'Content-Language',
      'Content-ID',
    ];
    const values = [
      'multipart/mixed; boundary=a',
      'message/rfc822',
      'text/html;',
      'attachment',
      'x=y',
      'a@b',
      'g:',
      'en',
    ];
    const specials = [
      ...'<>(),;:@"\\'.split(''),
      '\0',
      '\xe9',
      '\r',
      ' ',
      '\r\n',
      '\r\n\r\n',
      '\r\n--a\r\n',
      '\n--a--\n',
    ];
    const pieces = fc.constantFrom(...fields.map((field) => `\r\n${field}: `), ...values, ...specials);
    const octets = fc.oneof(
      fc.array(pieces, { maxLength: 60 }).map((parts) => Buffer.from(parts.join(''), 'latin1')),
      fc.uint8Array({ maxLength: 500 }).map((any) => Buffer.from(any)),
    );
    fc.assert(
      fc.property(octets, (message) => {
        const digest = digestOf([message]);
        assertEnvelope(readImapValue(digest.envelope));
        assertBody(readImapValue(digest.bodyStructure), true);
        assertBody(readImapValue(digest.body), false);
        assert.deepEqual(decodeDigest(encodeDigest(digest)), digest);
      }),
      { numRuns: 1000 },
    );
  });

  it('describes what a mail composer wrote: text, HTML, an attachment and a forwarded message', async () => {
    const attachment = Buffer.from(Array.from({ length: 5000 }, (_, index) => index * 7));
    const forwarded = await compose({ from: 'a@example.org', subject: 'forwarded', text: 'inner text' });
    const octets = await compose({
      from: { name: 'Jörg, "J"', address: 'j@example.org' },
      to: 'b@example.org',
      subject: 'Grüße',
      text: 'plain grüße',
      html: '<p>html grüße</p>',
      attachments: [
        { filename: 'ünïcode.bin', content: attachment },
        { contentType: 'message/rfc822', content: forwarded, contentTransferEncoding: '8bit' as '7bit' },
      ],
    });
    const { parts, preview } = digestOf([octets]);
    assert.deepEqual(
      parts.map(({ section, mediaType }) => `${section} ${mediaType}`),
      [
        ...[' multipart/mixed', '1 multipart/alternative', '1.1 text/plain', '1.2 text/html'],
        ...['2 application/octet-stream', '3 message/rfc822', '3. text/plain'],
      ],
    );
    const bodyOf = (index: number) => octets.subarray(parts[index]!.bodyStart, parts[index]!.end);
    assert.equal(preview, 'plain grüße');
    assert.equal([...partPieces(parts[3]!, bodyOf(3))].join('').trim(), 'html grüße');
    assert.deepEqual(decodeTransferEncoding(bodyOf(4), parts[4]!.encoding), attachment);
    assert.deepEqual(bodyOf(5), forwarded);
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
      // No message, or another one in its place.
      ...[altered(6, []), altered(6, fields[6].slice(7)), altered(6, fields[6].with(0, '1'))],
    ]) {
      assert.throws(
        () => decodeDigest(Buffer.from(octets)),
        (error) => error instanceof IntegrityError && error.code === 'format' && error.cause === undefined,
      );
    }
  });
});

describe('a digest that somebody planted', () => {
  const planted = (envelope: string): Buffer =>
    encodeDigest({ ...digestOf([MESSAGE]), envelope, bodyStructure: '()', body: '()' });

  for (const [what, envelope] of [
    ['a line of its own', '(NIL)\r\n* BYE gone\r\n'],
    ['a bare LF', '(NIL\n)'],
    ['a bare CR', '(NIL\r)'],
    ['a literal that ends before its line does', '({3}\r\nabc\r\n* BYE\r\n)'],
    ['a literal longer than the digest', '({99}\r\nabc)'],
    ['a literal behind a bare LF', '({3}\nabc)'],
  ] as const) {
    it(`cannot speak to the client: ${what}`, () => {
      assert.throws(() => decodeDigest(planted(envelope)), IntegrityError);
    });
  }

  it('may hold literals, whose octets are free', () => {
    const envelope = '({5}\r\na\r\nb\n "x" {1}\r\n\xe9)';
    assert.equal(decodeDigest(planted(envelope)).envelope, envelope);
  });
});
