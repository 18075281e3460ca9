import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { listPattern } from '../../../src/imap/command/list-pattern.ts';

const rows: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ['*', 'a/b/c', true],
  ['%', 'a', true],
  ['%', 'a/b', false],
  ['a/%', 'a/b', true],
  ['a/%', 'a', false],
  ['a/%', 'a/b/c', false],
  ['a*', 'a/b', true],
  ['%/%', 'a/b', true],
  ['%/%', 'a/b/c', false],
  ['*/c', 'a/b/c', true],
  ['%b%', 'abc', true],
  ['%b%', 'a/b', false],
  ['a', 'a', true],
  ['a', 'A', false],
  ['', 'a', false],
  ['inbox', 'INBOX', true],
  ['InB%', 'INBOX', true],
  ['inbox/%', 'INBOX/a', true],
  ['inbox/A', 'INBOX/a', false],
  ['i*', 'INBOX', true],
  ['i*', 'Items', false],
  ['*%', 'a/b', true],
  ['%*', 'a/b', true],
  ['*a%b*', 'xa/ab', true],
  ['a.b', 'axb', false],
];

describe('LIST patterns', () => {
  for (const [pattern, name, expected] of rows) {
    it(`${JSON.stringify(pattern)} ${expected ? 'matches' : 'does not match'} ${name}`, () => {
      assert.equal(listPattern(pattern).matches(name), expected);
    });
  }

  it('agree with the regular expression that says the same', () => {
    const piece = fc.constantFrom('a', 'b', '/', '*', '%');
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 10 }),
        (pattern, name) => {
          const expression = pattern.map((p) => (p === '*' ? '.*' : p === '%' ? '[^/]*' : p)).join('');
          const expected = new RegExp(`^${expression}$`).test(name.join(''));
          assert.equal(listPattern(pattern.join('')).matches(name.join('')), expected);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('take no more than name times pattern steps for patterns that make backtracking explode', () => {
    assert.equal(listPattern(`${'*a'.repeat(500)}*b`).matches('a'.repeat(1_000)), false);
    assert.equal(listPattern(`${'%a'.repeat(500)}%b`).matches('a'.repeat(1_000)), false);
  });
});
