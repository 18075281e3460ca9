import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { parseDate, parseDateTime, printDateTime } from '../../../src/imap/wire/dates.ts';
import {
  printAstring,
  printContinuation,
  printFlagList,
  printMailbox,
  printNstring,
  printStatusResponse,
  printString,
} from '../../../src/imap/wire/printer.ts';
import {
  appendUidCode,
  badCharsetCode,
  capabilityCode,
  copyUidCode,
  highestModSeqCode,
  modifiedCode,
  permanentFlagsCode,
  uidNextCode,
  uidValidityCode,
  unseenCode,
} from '../../../src/imap/wire/response-code.ts';
import { ResponseWriter } from '../../../src/imap/wire/response-writer.ts';
import { parseOne } from './support.ts';

describe('imap/wire/printer', () => {
  const strings: readonly (readonly [text: string, astring: string, string: string])[] = [
    ['INBOX', 'INBOX', '"INBOX"'],
    ['', '""', '""'],
    ['two words', '"two words"', '"two words"'],
    ['a]b', 'a]b', '"a]b"'],
    ['say "\\"', '"say \\"\\\\\\""', '"say \\"\\\\\\""'],
    ['nil', '"nil"', '"nil"'],
    ['50%', '"50%"', '"50%"'],
    ['a\r\nb', '{4}\r\na\r\nb', '{4}\r\na\r\nb'],
    ['ü', '{2}\r\n\xc3\xbc', '{2}\r\n\xc3\xbc'],
    ['a\0b', '{5}\r\na\xef\xbf\xbdb', '{5}\r\na\xef\xbf\xbdb'],
  ];
  for (const [text, astring, string] of strings) {
    it(`${JSON.stringify(text)} is ${JSON.stringify(astring)} as astring`, () => {
      assert.equal(printAstring(text), astring);
      assert.equal(printString(text), string);
      assert.equal(printNstring(text), string);
    });
  }

  it('with UTF-8 accepted, 8-bit text is quoted (RFC 6855 §3), line ends are not', () => {
    assert.equal(printString('ü', true), '"\xc3\xbc"');
    assert.equal(printString('ü\n', true), '{3}\r\n\xc3\xbc\n');
  });

  it('long text is a literal', () => {
    assert.equal(printAstring('x'.repeat(1001)), `{1001}\r\n${'x'.repeat(1001)}`);
  });

  it('nothing is NIL', () => assert.equal(printNstring(null), 'NIL'));

  it('any text but NUL printed as astring is parsed as that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, isUtf8) => {
        const wellFormed = text.toWellFormed().replaceAll('\0', '');
        const command = parseOne(
          `a LOGIN ${printAstring(wellFormed, isUtf8)} ${printString(wellFormed, isUtf8)}`,
        );
        assert.deepEqual(command, { tag: 'a', name: 'LOGIN', username: wellFormed, password: wellFormed });
      }),
    );
  });

  it('mailbox names printed are parsed as those names, in both spellings', () => {
    const name = fc
      .string({ unit: 'grapheme' })
      .filter((text) => !/[\p{Cc}\u2028\u2029]/u.test(text) && text.toUpperCase() !== 'INBOX');
    fc.assert(
      fc.property(name, fc.boolean(), (text, isUtf8) => {
        const command = parseOne(`a SELECT ${printMailbox(text, isUtf8)}`, [5], { isUtf8 });
        const expected = text.toWellFormed().normalize('NFC');
        assert.equal(command.name === 'SELECT' && command.mailbox.name, expected);
      }),
    );
  });

  it('flags are listed', () => {
    assert.equal(printFlagList([]), '()');
    assert.equal(printFlagList(['\\Seen', '$Junk']), '(\\Seen $Junk)');
  });

  it('status responses carry tag, code and text (RFC 9051 §7.1)', () => {
    assert.equal(
      printStatusResponse('A142', 'OK', 'SELECT completed', 'READ-WRITE'),
      'A142 OK [READ-WRITE] SELECT completed\r\n',
    );
    assert.equal(printStatusResponse(null, 'BYE', 'Autologout'), '* BYE Autologout\r\n');
    assert.equal(printContinuation(''), '+ \r\n');
  });

  it('text cannot break out of a status response', () => {
    assert.equal(
      printStatusResponse(null, 'OK', 'a\r\n* BYE \xfc\0'),
      '* OK a??* BYE ???\r\n'.replace('???', '??'),
    );
    assert.equal(printStatusResponse('a', 'NO', '[ALERT] x'), 'a NO (ALERT] x\r\n');
    assert.equal(printStatusResponse('a', 'NO', ''), 'a NO -\r\n');
  });

  it('response codes are spelled as their RFCs spell them', () => {
    assert.equal(uidNextCode(4392), 'UIDNEXT 4392');
    assert.equal(uidValidityCode(3857529045), 'UIDVALIDITY 3857529045');
    assert.equal(unseenCode(12), 'UNSEEN 12');
    assert.equal(highestModSeqCode(715194045007), 'HIGHESTMODSEQ 715194045007');
    assert.equal(permanentFlagsCode(['\\Deleted', '\\*']), 'PERMANENTFLAGS (\\Deleted \\*)');
    assert.equal(capabilityCode(['IMAP4rev1', 'IDLE']), 'CAPABILITY IMAP4rev1 IDLE');
    assert.equal(badCharsetCode(['US-ASCII', 'UTF-8']), 'BADCHARSET (US-ASCII UTF-8)');
    // RFC 4315 §3.
    assert.equal(appendUidCode(38505, [3955]), 'APPENDUID 38505 3955');
    assert.equal(
      copyUidCode(38505, [304, 319, 320], [3956, 3957, 3958]),
      'COPYUID 38505 304,319:320 3956:3958',
    );
    assert.equal(modifiedCode([7, 9]), 'MODIFIED 7,9');
  });
});

describe('imap/wire/dates', () => {
  const moments: readonly (readonly [text: string, iso: string])[] = [
    ['17-Jul-1996 02:44:25 -0700', '1996-07-17T09:44:25.000Z'],
    [' 7-Feb-1994 21:52:25 -0800', '1994-02-08T05:52:25.000Z'],
    ['07-feb-1994 21:52:25 +0530', '1994-02-07T16:22:25.000Z'],
    ['7-FEB-1994 00:00:00 +0000', '1994-02-07T00:00:00.000Z'],
    ['29-Feb-2024 23:59:60 +0000', '2024-03-01T00:00:00.000Z'],
    ['01-Jan-0050 00:00:00 +0000', '0050-01-01T00:00:00.000Z'],
  ];
  for (const [text, iso] of moments) {
    it(`${JSON.stringify(text)} is ${iso}`, () => {
      assert.equal(parseDateTime(text)?.toISOString(), iso);
    });
  }

  for (const text of [
    '29-Feb-2023 00:00:00 +0000',
    '00-Jan-2023 00:00:00 +0000',
    '31-Apr-2023 00:00:00 +0000',
    '01-Foo-2023 00:00:00 +0000',
    '01-Jan-2023 24:00:00 +0000',
    '01-Jan-2023 00:60:00 +0000',
    '01-Jan-2023 00:00:61 +0000',
    '01-Jan-2023 00:00:00 +2400',
    '01-Jan-2023 00:00:00 +0060',
    '01-Jan-2023 00:00:00 GMT',
    '01-Jan-2023 00:00:00',
    '01-Jan-23 00:00:00 +0000',
    '',
  ]) {
    it(`${JSON.stringify(text)} is no moment`, () => assert.equal(parseDateTime(text), null));
  }

  it('dates are days of the calendar, before 1970 too', () => {
    assert.equal(parseDate('1-Jan-1970'), 0);
    assert.equal(parseDate('31-Dec-1969'), -1);
    assert.equal(parseDate('01-Feb-1994'), Date.UTC(1994, 1, 1) / 86_400_000);
    assert.equal(parseDate('30-Feb-1994'), null);
    assert.equal(parseDate('1-Feb-94'), null);
  });

  it('INTERNALDATE is printed as RFC 9051 §9 date-time', () => {
    assert.equal(printDateTime(new Date('1996-07-17T09:44:25.999Z')), '"17-Jul-1996 09:44:25 +0000"');
    assert.equal(printDateTime(new Date('0007-01-02T03:04:05Z')), '" 2-Jan-0007 03:04:05 +0000"');
  });

  it('every whole second printed is parsed as that second', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59Z'),
          noInvalidDate: true,
        }),
        (date) => {
          const second = Math.floor(date.getTime() / 1000) * 1000;
          assert.equal(parseDateTime(printDateTime(date).slice(1, -1))?.getTime(), second);
        },
      ),
    );
  });
});

describe('imap/wire/response-writer', () => {
  it('text and small octets become one buffer, large octets are not copied', () => {
    const large = Buffer.alloc(10_000, 'x');
    const writer = new ResponseWriter();
    writer.text('* 1 FETCH (BODY[] ').literal(Buffer.from('\0\xff', 'latin1')).text(')\r\n');
    writer.text('* 2 FETCH (BODY[] ').literal(large).text(')\r\n');
    const size = writer.sizeOctets;
    const buffers = writer.take();
    assert.equal(buffers.length, 3);
    assert.equal(buffers[1]!.buffer, large.buffer);
    assert.equal(
      Buffer.concat(buffers).toString('latin1'),
      `* 1 FETCH (BODY[] {2}\r\n\0\xff)\r\n* 2 FETCH (BODY[] {10000}\r\n${'x'.repeat(10_000)})\r\n`,
    );
    assert.equal(size, Buffer.concat(buffers).length);
    assert.equal(writer.sizeOctets, 0);
    assert.deepEqual(writer.take(), []);
  });
});
