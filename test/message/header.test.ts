import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { fieldValue, fieldValues, parseHeader, selectFields } from '../../src/message/header.ts';
import { crlf } from './chunks.ts';

const HEADER = crlf(`Received: one
Subject: a subject\n that is folded
received : two
garbage
X-Empty:
From: a@example.org

Body: not header
`);

describe('header blocks', () => {
  it('list their fields in order with offsets, up to the empty line', () => {
    const fields = parseHeader(HEADER);
    assert.deepEqual(
      fields.map((field) => field.name),
      ['Received', 'Subject', 'received', 'X-Empty', 'From'],
    );
    const subject = fields[1]!;
    assert.equal(
      HEADER.toString('latin1', subject.start, subject.end),
      'Subject: a subject\r\n that is folded\r\n',
    );
    assert.equal(fieldValue(HEADER, subject), 'a subject that is folded');
    assert.equal(fieldValue(HEADER, fields[3]!), '');
  });

  it('are looked up case-insensitively, every occurrence', () => {
    assert.deepEqual(fieldValues(HEADER, 'RECEIVED'), ['one', 'two']);
    assert.deepEqual(fieldValues(HEADER, 'body'), []);
  });

  for (const [claim, octets, expected] of [
    ['lines ended by LF', 'A: b\nC: d\n\te\n\nF: g', ['A=b', 'C=d\te']],
    ['a last line without its end', 'A: b', ['A=b']],
    ['a header that begins with white space', ' x: y\r\nA: b\r\n', ['A=b']],
    ['an mbox line', 'From me@x Mon Jan  1 00:00:00 2026\r\nA: b\r\n', ['A=b']],
    ['a fold that is only white space', 'A: b\r\n \r\n c\r\n', ['A=b  c']],
    ['an empty name', ': x\r\nA: b\r\n', ['A=b']],
    ['bare CR within a value', 'A: b\rc\r\n', ['A=b\rc']],
    ['UTF-8 that ends in octet A0', 'A: \xc3\xa0\r\n', ['A=\xc3\xa0']],
    ['nothing', '', []],
  ] as const) {
    it(`tolerate ${claim}`, () => {
      const block = Buffer.from(octets, 'latin1');
      assert.deepEqual(
        parseHeader(block).map((field) => `${field.name}=${fieldValue(block, field)}`),
        expected,
      );
    });
  }
});

describe('selectFields', () => {
  it('gives the named fields as they are, in the order of the message, and an empty line (RFC 9051 §6.4.5.1)', () => {
    assert.equal(
      selectFields(HEADER, ['FROM', 'subject'], 'only').toString(),
      'Subject: a subject\r\n that is folded\r\nFrom: a@example.org\r\n\r\n',
    );
  });

  it('gives all but the named fields, lines that are no field included', () => {
    assert.equal(
      selectFields(HEADER, ['Received', 'Subject'], 'except').toString(),
      'garbage\r\nX-Empty:\r\nFrom: a@example.org\r\n\r\n',
    );
  });

  it('gives an empty line when there is no such field', () => {
    assert.equal(selectFields(HEADER, ['X-None'], 'only').toString(), '\r\n');
  });

  it('gives no empty line when the message has none (RFC 9051 §6.4.5.1)', () => {
    assert.equal(selectFields(Buffer.from('A: b\r\nC: d\r\n'), ['a'], 'only').toString(), 'A: b\r\n');
    assert.equal(selectFields(Buffer.alloc(0), [], 'except').toString(), '');
  });

  it('ends a field that lacks its line end', () => {
    assert.equal(selectFields(Buffer.from('A: b'), ['a'], 'only').toString(), 'A: b\r\n');
  });

  it('keeps every octet of the header in exactly one of only and except', () => {
    const lines = fc.constantFrom(
      'A: b\r\n',
      'a : c\r\n\td\r\n',
      'B: e\n \n',
      'garbage\r\n',
      ':\r\n',
      'C:\r\r\n',
    );
    fc.assert(
      fc.property(fc.array(lines), (parts) => {
        const octets = Buffer.from(parts.join(''));
        const [only, except] = [selectFields(octets, ['a'], 'only'), selectFields(octets, ['a'], 'except')];
        assert.equal(only.length + except.length, octets.length);
      }),
    );
  });
});
