import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { RefusedError } from '../../src/errors.ts';
import { FROM_AUTHORS } from '../../src/limits.ts';
import { parseAddressList } from '../../src/message/address.ts';
import { authorsOf } from '../../src/message/from-field.ts';

const TAKEN: readonly (readonly [value: string, ...authors: string[]])[] = [
  // RFC 5322 appendix A.
  ['John Doe <jdoe@machine.example>', 'jdoe@machine.example'],
  ['"Joe Q. Public" <john.q.public@example.com>', 'john.q.public@example.com'],
  ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', 'pete@silly.test'],
  ['Joe Q. Public <john.q.public@example.com>', 'john.q.public@example.com'],
  ['jdoe@example.org', 'jdoe@example.org'],
  ['a@b (Cron Daemon)', 'a@b'],
  ['<a@b>,"c, d"<c@d>, (e) e@f', 'a@b', 'c@d', 'e@f'],
  ['=?utf-8?q?J=C3=B6rg?= <joerg@example.org>', 'joerg@example.org'],
  ['J\xc3\xb6rg <j\xc3\xb6rg@example.org>', 'jörg@example.org'],
  ['"ceo@bank.example" <a@b>', 'a@b'],
  ['"a b"@c', 'a b@c'],
];

const REFUSED = [
  '',
  'alice',
  '<>',
  '<alice>',
  '@b',
  'a@',
  'a@b,',
  ',a@b',
  'a@b c@d',
  'a@b; c@d',
  '<a@b> <c@d>',
  'a@b <c@d>',
  '<a@b> c',
  '<a@b',
  'a@b>',
  'a@b@c',
  'undisclosed: a@b;',
  '<@relay:a@b>',
  'a@[192.0.2.1]',
  'a@b (not closed, c@d',
  '"not closed <a@b>',
  'a@b, "',
  'a\0@b',
] as const;

const isRefused = (error: unknown) => error instanceof RefusedError && error.code === 'bad-message';

describe('From field', () => {
  for (const [value, ...authors] of TAKEN) {
    it(`takes ${JSON.stringify(value)}`, () => assert.deepEqual(authorsOf(value), authors));
  }

  for (const value of REFUSED) {
    it(`refuses ${JSON.stringify(value)}`, () => assert.throws(() => authorsOf(value), isRefused));
  }

  it(`takes ${FROM_AUTHORS} authors and no more`, () => {
    const list = (count: number) => Array(count).fill('a@b').join(', ');
    assert.equal(authorsOf(list(FROM_AUTHORS)).length, FROM_AUTHORS);
    assert.throws(() => authorsOf(list(FROM_AUTHORS + 1)), isRefused);
  });

  it('names the same authors as ENVELOPE does, or refuses', () => {
    const piece = fc.constantFrom(
      'a',
      'b@c',
      '<',
      '>',
      '"',
      '(',
      ')',
      ',',
      ';',
      ':',
      '@',
      '.',
      ' ',
      '\\',
      '<d@e>',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const value = pieces.join('').trim();
        let authors: string[];
        try {
          authors = authorsOf(value);
        } catch (error) {
          assert.ok(isRefused(error));
          return;
        }
        assert.deepEqual(
          parseAddressList(value).map(({ mailbox, host }) => `${mailbox}@${host}`),
          authors,
        );
      }),
      { numRuns: 5_000 },
    );
  });
});
