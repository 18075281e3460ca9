import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ADDRESSES_PER_FIELD } from '../../src/limits.ts';
import { parseAddressList } from '../../src/message/address.ts';

/** An address as 'name|route|mailbox|host', NIL as '-'. */
function flat(value: string): string[] {
  return parseAddressList(value).map(({ name, route, mailbox, host }) =>
    [name, route, mailbox, host].map((part) => part ?? '-').join('|'),
  );
}

describe('parseAddressList', () => {
  for (const [value, ...expected] of [
    // RFC 5322 appendix A.1 to A.1.3
    ['John Doe <jdoe@machine.example>', 'John Doe|-|jdoe|machine.example'],
    ['"Joe Q. Public" <john.q.public@example.com>', 'Joe Q. Public|-|john.q.public|example.com'],
    [
      'Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>',
      'Mary Smith|-|mary|x.test',
      '-|-|jdoe|example.org',
      'Who?|-|one|y.test',
    ],
    [
      '<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
      '-|-|boss|nil.test',
      'Giant; "Big" Box|-|sysservices|example.net',
    ],
    [
      'A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;',
      '-|-|A Group|-',
      'Ed Jones|-|c|a.test',
      '-|-|joe|where.test',
      'John|-|jdoe|one.test',
      '-|-|-|-',
    ],
    ['Undisclosed recipients:;', '-|-|Undisclosed recipients|-', '-|-|-|-'],
    // RFC 5322 appendix A.5
    ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', 'Pete|-|pete|silly.test'],
    [
      "A Group(Some people)\t :Chris Jones <c@(Chris's host.)public.example>, joe@example.org, John <jdoe@one.test> (my dear friend); (the end of the group)",
      '-|-|A Group|-',
      'Chris Jones|-|c|public.example',
      '-|-|joe|example.org',
      'John|-|jdoe|one.test',
      '-|-|-|-',
    ],
    // RFC 5322 appendix A.6.1 and A.6.3
    ['Joe Q. Public <john.q.public@example.com>', 'Joe Q. Public|-|john.q.public|example.com'],
    [
      'Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example',
      'Mary Smith|@node.test|mary|example.net',
      '-|-|jdoe|test.example',
    ],
    ['<@a.test,@b.test:c@d.test>', '-|@a.test,@b.test|c|d.test'],
    ['user@domain (Real Name)', 'Real Name|-|user|domain'],
    ['"quoted local"@example.org', '-|-|quoted local|example.org'],
    ['first."middle".last@example.org', '-|-|first.middle.last|example.org'],
    ['user@[192.0.2.1]', '-|-|user|[192.0.2.1]'],
    ['<d@e>(not, here; nor here), f@g', '-|-|d|e', '-|-|f|g'],
    ['<d@e (,)>, f@g', '-|-|d|e', '-|-|f|g'],
    ['=?utf-8?Q?Andr=C3=A9?= <a@b>', '=?utf-8?Q?Andr=C3=A9?=|-|a|b'],
    ['J\xf6rg <j@\xe4.example>', 'J\xf6rg|-|j|\xe4.example'],
    // Broken
    ['', ...[]],
    [' , ,', ...[]],
    ['postmaster', '-|-|postmaster|MISSING_DOMAIN'],
    ['two words', 'two words|-|MISSING_MAILBOX|MISSING_DOMAIN'],
    ['@example.org', '-|-|MISSING_MAILBOX|example.org'],
    ['Name <>', 'Name|-|MISSING_MAILBOX|MISSING_DOMAIN'],
    ['Name <local>', 'Name|-|local|MISSING_DOMAIN'],
    ['Name <a@b', 'Name|-|a|b'],
    ['Name <a b@c>, d@e', 'Name|-|a|MISSING_DOMAIN', '-|-|d|e'],
    ['a@b c@d, e@f', '-|-|a|b', '-|-|e|f'],
    ['>>, a@b', '-|-|MISSING_MAILBOX|MISSING_DOMAIN', '-|-|a|b'],
    ['a@b; c@d', '-|-|a|b', '-|-|c|d'],
    ['"unclosed, <a@b>', 'unclosed, <a@b>|-|MISSING_MAILBOX|MISSING_DOMAIN'],
    ['group: a@b', '-|-|group|-', '-|-|a|b', '-|-|-|-'],
    ['<user@example.org> trailing, x@y', '-|-|user|example.org', '-|-|x|y'],
  ] as const) {
    it(`reads ${JSON.stringify(value)} as ${expected.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(flat(value), expected);
    });
  }

  it('never fails, and gives each address either both mailbox and host or the form of a group mark', () => {
    const pieces = fc.constantFrom(...'abc@<>,;:."\\()[] \t'.split(''), '\xe9', '\0', '\r');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        let isInGroup = false;
        for (const { mailbox, host } of parseAddressList(parts.join(''))) {
          if (host !== null) assert.ok(mailbox !== null && mailbox !== '' && host !== '');
          else {
            assert.equal(mailbox === null, isInGroup);
            isInGroup = !isInGroup;
          }
        }
        assert.equal(isInGroup, false);
      }),
      { numRuns: 1000 },
    );
  });

  it('stops at the limit of addresses', () => {
    assert.equal(parseAddressList('a@b,'.repeat(ADDRESSES_PER_FIELD + 10)).length, ADDRESSES_PER_FIELD);
  });
});
