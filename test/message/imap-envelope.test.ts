import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { QUOTED_STRING_OCTETS } from '../../src/limits.ts';
import { imapEnvelope } from '../../src/message/imap-envelope.ts';
import { nstring } from '../../src/message/imap-string.ts';
import { crlf, readStructure } from './chunks.ts';

function envelopeOf(header: string): string {
  return imapEnvelope(readStructure([crlf(header)]).root.envelope!);
}

describe('imapEnvelope', () => {
  it('gives the example of RFC 9051 §8', () => {
    assert.equal(
      envelopeOf(`Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev2 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

`),
      '("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" ' +
        '(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ' +
        '(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ' +
        '((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL ' +
        '"<B27397-0100000@cac.washington.edu>")',
    );
  });

  it('is all NIL for a message without header', () => {
    assert.equal(envelopeOf('\nbody'), '(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)');
  });

  it('takes Sender and Reply-To from From when they are absent or empty', () => {
    assert.equal(
      envelopeOf('From: a@b\nSender:\n\n'),
      '(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)',
    );
  });

  it('keeps Sender and Reply-To that are there', () => {
    assert.equal(
      envelopeOf('From: a@b\nSender: c@d\nReply-To: e@f\n\n'),
      '(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "e" "f")) NIL NIL NIL NIL NIL)',
    );
  });

  it('shows empty text fields as empty strings, empty address fields as NIL', () => {
    assert.equal(
      envelopeOf('Date:\nSubject: \nTo:\nBcc: \nIn-Reply-To:\nMessage-ID:\n\n'),
      '("" "" NIL NIL NIL NIL NIL NIL "" "")',
    );
  });

  it('adds up address fields that come twice, and shows the last of others (RFC 6376 §5.4.2)', () => {
    assert.equal(
      envelopeOf('To: a@b\nSubject: one\nTo: c@d\nSubject: two\n\n'),
      '(NIL "two" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)',
    );
  });

  it('shows groups with their marks', () => {
    assert.equal(
      envelopeOf('Cc: team: a@b;\n\n'),
      '(NIL NIL NIL NIL NIL NIL ((NIL NIL "team" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)) NIL NIL NIL)',
    );
  });

  it('unfolds, leaves encoded-words as they are, and sends raw 8-bit text as a literal', () => {
    assert.equal(
      envelopeOf('Subject: =?utf-8?Q?=C3=A9?=\n  two\nMessage-ID: <\xe9@x>\n\n'),
      '(NIL "=?utf-8?Q?=C3=A9?=  two" NIL NIL NIL NIL NIL NIL NIL {5}\r\n<\xe9@x>)',
    );
  });
});

describe('nstring', () => {
  for (const [value, expected] of [
    [null, 'NIL'],
    ['', '""'],
    ['NIL', '"NIL"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ['a\rb', '{3}\r\na\rb'],
    ['a\nb', '{3}\r\na\nb'],
    ['\xe9', '{1}\r\n\xe9'],
    ['a\0b', '{3}\r\na\x80b'],
    ['\t\x7f', '"\t\x7f"'],
  ] as const) {
    it(`writes ${JSON.stringify(value)} as ${JSON.stringify(expected)}`, () => {
      assert.equal(nstring(value), expected);
    });
  }

  it('writes long strings as literals', () => {
    const long = 'x'.repeat(QUOTED_STRING_OCTETS + 1);
    assert.equal(nstring(long), `{${long.length}}\r\n${long}`);
  });
});
