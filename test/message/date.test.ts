import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sentDay } from '../../src/message/date.ts';

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
