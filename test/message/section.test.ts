import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { digestParts } from '../../src/message/digest-builder.ts';
import { locateSection, type SectionText } from '../../src/message/section.ts';
import { crlf, readStructure } from './chunks.ts';

/** The shape of the example in RFC 9051 §6.4.5.1, with its part 4 and below. */
const NESTED = crlf(`Subject: outer
Content-Type: multipart/mixed; boundary=a

--a

part 1
--a
Content-Type: application/octet-stream

part 2
--a
Content-Type: message/rfc822
X: 3.MIME

Subject: three
Content-Type: multipart/mixed; boundary=c

--c

part 3.1
--c
Content-Type: application/octet-stream

part 3.2
--c--
--a
Content-Type: multipart/mixed; boundary=d
X: 4.MIME

--d
Content-Type: image/gif
X: 4.1.MIME

part 4.1
--d
Content-Type: message/rfc822
X: 4.2.MIME

Subject: four two

part 4.2.1
--d--
--a--
`);

const PLAIN = crlf('Subject: plain\n\nthe text\n');
const EMBEDDED = crlf('Content-Type: message/rfc822\n\nSubject: in\n\nthe text\n');

/** Section as FETCH writes it: '', '4.2.HEADER'. */
function section(octets: Buffer, name: string): string | null {
  const words = name.split('.');
  const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const text = words.slice(numbers.length).join('.');
  const spec = { path: numbers, text: text === '' ? null : (text as SectionText) };
  const range = locateSection(digestParts(readStructure([octets]).root), spec);
  return range === null ? null : octets.toString('latin1', range.start, range.end).replaceAll('\r', '');
}

describe('locateSection', () => {
  for (const [name, expected] of [
    ['HEADER', 'Subject: outer\nContent-Type: multipart/mixed; boundary=a\n\n'],
    ['HEADER.FIELDS', 'Subject: outer\nContent-Type: multipart/mixed; boundary=a\n\n'],
    ['1', 'part 1'],
    ['1.MIME', '\n'],
    ['2', 'part 2'],
    ['2.MIME', 'Content-Type: application/octet-stream\n\n'],
    ['3.MIME', 'Content-Type: message/rfc822\nX: 3.MIME\n\n'],
    ['3.HEADER', 'Subject: three\nContent-Type: multipart/mixed; boundary=c\n\n'],
    ['3.TEXT', '--c\n\npart 3.1\n--c\nContent-Type: application/octet-stream\n\npart 3.2\n--c--'],
    ['3.1', 'part 3.1'],
    ['3.2.MIME', 'Content-Type: application/octet-stream\n\n'],
    ['4.MIME', 'Content-Type: multipart/mixed; boundary=d\nX: 4.MIME\n\n'],
    ['4.1', 'part 4.1'],
    ['4.1.MIME', 'Content-Type: image/gif\nX: 4.1.MIME\n\n'],
    ['4.2', 'Subject: four two\n\npart 4.2.1'],
    ['4.2.HEADER', 'Subject: four two\n\n'],
    ['4.2.HEADER.FIELDS.NOT', 'Subject: four two\n\n'],
    ['4.2.TEXT', 'part 4.2.1'],
    ['4.2.1', 'part 4.2.1'],
    ['4.2.1.MIME', 'Subject: four two\n\n'],
    ['5', null],
    ['0', null],
    ['1.1', null],
    ['3.3', null],
    ['4.2.2', null],
    ['4.2.1.1', null],
    ['MIME', null],
    ['1.HEADER', null],
    ['1.TEXT', null],
    ['4.HEADER', null],
    ['4.TEXT', null],
  ] as const) {
    it(`${expected === null ? 'knows no section' : 'finds section'} ${name} of nested multiparts`, () => {
      assert.equal(section(NESTED, name), expected);
    });
  }

  it('finds the whole message and its text', () => {
    assert.equal(section(NESTED, ''), NESTED.toString('latin1').replaceAll('\r', ''));
    assert.equal(section(PLAIN, 'TEXT'), 'the text\n');
  });

  it('gives a message that is not multipart a part 1: its body (RFC 9051 §6.4.5.1)', () => {
    assert.equal(section(PLAIN, '1'), 'the text\n');
    assert.equal(section(PLAIN, '1.MIME'), 'Subject: plain\n\n');
    assert.equal(section(PLAIN, '1.HEADER'), null);
    assert.equal(section(PLAIN, '1.1'), null);
    assert.equal(section(PLAIN, '2'), null);
  });

  it('finds the parts of a message that is itself an embedded message', () => {
    assert.equal(section(EMBEDDED, '1'), 'Subject: in\n\nthe text\n');
    assert.equal(section(EMBEDDED, '1.HEADER'), 'Subject: in\n\n');
    assert.equal(section(EMBEDDED, '1.TEXT'), 'the text\n');
    assert.equal(section(EMBEDDED, '1.1'), 'the text\n');
    assert.equal(section(EMBEDDED, '1.1.1'), null);
  });

  it('finds the empty part that BODYSTRUCTURE shows of a multipart without parts', () => {
    assert.equal(section(crlf('Content-Type: multipart/mixed\n\nx'), '1'), '');
  });
});
