import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { CsvError, parseCsv } from '../../src/cli/csv.ts';

const rows = (text: string): (readonly string[])[] => [...parseCsv(text)].map(({ fields }) => fields);

describe('comma-separated values', () => {
  // RFC 4180 §2, rules 1, 2 and 5 to 7.
  for (const [text, expected] of [
    ['', []],
    [
      'aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n',
      [
        ['aaa', 'bbb', 'ccc'],
        ['zzz', 'yyy', 'xxx'],
      ],
    ],
    [
      'aaa,bbb,ccc\r\nzzz,yyy,xxx',
      [
        ['aaa', 'bbb', 'ccc'],
        ['zzz', 'yyy', 'xxx'],
      ],
    ],
    [
      '"aaa","bbb","ccc"\r\nzzz,yyy,xxx',
      [
        ['aaa', 'bbb', 'ccc'],
        ['zzz', 'yyy', 'xxx'],
      ],
    ],
    ['"aaa","b\r\nbb","ccc"', [['aaa', 'b\r\nbb', 'ccc']]],
    ['"aaa","b""bb","ccc"', [['aaa', 'b"bb', 'ccc']]],
    [
      'a,b\nc,d\n',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    [
      'a,,\n,\n',
      [
        ['a', '', ''],
        ['', ''],
      ],
    ],
    ['\n\na\n\n', [['a']]],
    ['""', []],
    ['a,', [['a', '']]],
    ['a b, c ', [['a b', ' c ']]],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(rows(text), expected));
  }

  it('tells the line on which each row begins', () => {
    const lines = [...parseCsv('a\n"b\nb"\n\nc')].map(({ line }) => line);
    assert.deepEqual(lines, [1, 2, 5]);
  });

  for (const [text, line] of [
    ['a\n"b', 2],
    ['a\nb"c', 2],
    ['"a" ,b', 1],
    ['"a""', 1],
    ['a\rb', 1],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} at line ${line}`, () =>
      assert.throws(
        () => rows(text),
        (error: unknown) => error instanceof CsvError && error.line === line,
      ));
  }

  it('gives back any fields that were quoted', () => {
    const fields = fc.array(fc.array(fc.string({ unit: 'binary' }), { minLength: 2, maxLength: 4 }));
    fc.assert(
      fc.property(fields, (table) => {
        const text = table
          .map((row) => row.map((field) => `"${field.replaceAll('"', '""')}"`).join(','))
          .join('\r\n');
        assert.deepEqual(rows(text), table);
      }),
    );
  });

  it('gives up on a megabyte of open quote without trying again and again', () => {
    assert.throws(() => rows(`"${'a'.repeat(2 ** 20)}`), CsvError);
  });
});
