import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { baseSubject } from '../../src/message/base-subject.ts';

describe('the base of a subject (RFC 5256 §2.1)', () => {
  const rows: readonly [string, string][] = [
    ['Lunch', 'Lunch'],
    ['Re: Lunch', 'Lunch'],
    ['RE:Fwd: fw: Lunch', 'Lunch'],
    ['re [2]: Lunch', 'Lunch'],
    ['[list] Re: [other] Lunch', 'Lunch'],
    ['[a] [b] Re [c] : Lunch', 'Lunch'],
    ['[list] Lunch', 'Lunch'],
    // What would leave nothing stays.
    ['[list]', '[list]'],
    ['Re: [list]', '[list]'],
    ['Lunch (fwd)', 'Lunch'],
    ['Lunch (FWD) (fwd) ', 'Lunch'],
    ['[Fwd: Re: Lunch]', 'Lunch'],
    ['[fwd: [Fwd: Lunch (fwd)]]', 'Lunch'],
    ['  Lunch\t  at   noon ', 'Lunch at noon'],
    ['Research: Lunch', 'Research: Lunch'],
    ['Re Lunch', 'Re Lunch'],
    ['Re:', ''],
    ['', ''],
  ];
  for (const [subject, base] of rows) {
    it(`of ${JSON.stringify(subject)} is ${JSON.stringify(base)}`, () =>
      assert.equal(baseSubject(subject), base));
  }

  it('has no base but itself', () => {
    const subject = fc
      .array(fc.constantFrom('re:', 'fwd:', '[x]', '[fwd:', ']', '(fwd)', ' ', 'a', '['), { maxLength: 12 })
      .map((words) => words.join(''));
    fc.assert(
      fc.property(subject, (text) => assert.equal(baseSubject(baseSubject(text)), baseSubject(text))),
    );
  });
});
