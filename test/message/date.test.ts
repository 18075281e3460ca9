import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sentDay, sentMoment } from '../../src/message/date.ts';

describe('sentDay', () => {
  for (const [value, expected] of [
    ['Fri, 21 Nov 1997 09:55:06 -0600', '1997-11-21'],
    ['Tue, 1 Jul 2003 10:52:37 +0200', '2003-07-01'],
    // The day as written, whatever the zone makes of it (RFC 9051 §6.4.4)
    ['Fri, 21 Nov 1997 23:59:59 -1200', '1997-11-21'],
    // RFC 5322 appendix A.5 and A.6.2
    ['Thu,\t13\t  Feb\t    1969\t23:32\t -0330 (Newfoundland Time)', '1969-02-13'],
    ['21 Nov 97 09:55:06 GMT', '1997-11-21'],
    ['Fri, 21 Nov 97 09(comment):   55  :  06 -0600', '1997-11-21'],
    ['Fri (day), (x) 21 (y) Nov (z) 1997 09:55', '1997-11-21'],
    // RFC 5322 §4.3
    ['1 Jan 49 00:00', '2049-01-01'],
    ['1 Jan 50 00:00', '1950-01-01'],
    ['1 Jan 102 00:00', '2002-01-01'],
    ['1 January 2026', '2026-01-01'],
    ['Mon, 23-Nov-2026 10:00:00', '2026-11-23'],
    ['29 Feb 2024', '2024-02-29'],
    ['Mon Nov 23 10:00:00 2026', null],
    ['29 Feb 2023', null],
    ['32 Jan 2026', null],
    ['1 Foo 2026', null],
    ['2026-11-23', null],
    ['', null],
    ['never', null],
  ] as const) {
    it(`reads ${JSON.stringify(value)} as ${expected}`, () => {
      assert.equal(sentDay(value), expected === null ? null : Date.parse(`${expected}T00:00:00Z`));
    });
  }
});

describe('the moment that a Date field names', () => {
  const rows: readonly [string, string | null][] = [
    ['Mon, 5 Jan 2026 09:08:07 +0200', '2026-01-05T07:08:07Z'],
    ['5 Jan 2026 09:08 -0330', '2026-01-05T12:38:00Z'],
    ['Mon, 5 Jan 2026 23:00:00 EST (comment)', '2026-01-06T04:00:00Z'],
    ['5 Jan 2026 09:08:07 GMT', '2026-01-05T09:08:07Z'],
    // RFC 5256 §2.2: a time that cannot be read is midnight, a zone UTC.
    ['5 Jan 2026', '2026-01-05T00:00:00Z'],
    ['5 Jan 2026 25:00:00 +0100', '2026-01-05T00:00:00Z'],
    ['5 Jan 2026 09:08:07 Mars', '2026-01-05T09:08:07Z'],
    ['yesterday', null],
    ['', null],
  ];
  for (const [value, moment] of rows) {
    it(`of ${JSON.stringify(value)} is ${moment}`, () => {
      assert.equal(sentMoment(value), moment === null ? null : Date.parse(moment));
    });
  }
});
