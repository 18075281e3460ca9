import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { KEPT_FIELDS_OCTETS } from '../../src/limits.ts';
import { fieldValues, selectFields } from '../../src/message/header.ts';
import { areKept, KeptSelection, keptFields, keptValues } from '../../src/message/kept-fields.ts';

const NAMES = [
  'From',
  'to',
  'Subject',
  'Received',
  'ARC-Seal',
  'X-MS-Exchange-Id',
  'X-Spam',
  'DATE',
  'x-received',
  // In UTF-8 many letters end in octet A0, which JavaScript takes for a space.
  'X-Spam\xa0',
];

/** Header blocks of fields, folds, lines that are no field, and any line end. */
const HEADER = fc
  .array(
    fc.oneof(
      fc
        .tuple(
          fc.constantFrom(...NAMES),
          fc.constantFrom(':', ' :', ': '),
          fc.string(),
          fc.constantFrom('\r\n', '\n', '\r\n\tfolded\r\n', '\n  \r\n'),
        )
        .map((parts) => parts.join('')),
      fc.constantFrom('no field\r\n', ': nameless\r\n', ' orphaned fold\r\n', 'Received\r\n'),
    ),
    { maxLength: 12 },
  )
  .chain((lines) =>
    fc.constantFrom('', '\r\n', '\n', 'To: cut').map((end) => Buffer.from(lines.join('') + end, 'latin1')),
  );

describe('kept header fields', () => {
  it('give for any names that are kept what the whole header gives', () => {
    fc.assert(
      fc.property(HEADER, fc.subarray([...NAMES, 'Missing']), (header, names) => {
        fc.pre(areKept(names));
        const selection = new KeptSelection(names);
        const whole = selectFields(header, names, 'only').toString('latin1');
        for (let time = 0; time < 2; time++) assert.equal(selection.select(keptFields(header)!), whole);
      }),
      { numRuns: 500 },
    );
  });

  it('have the values of each field that the whole header has', () => {
    fc.assert(
      fc.property(
        HEADER,
        fc.constantFrom(...NAMES.filter((name) => areKept([name])), 'Missing', ''),
        (header, name) => {
          assert.deepEqual(keptValues(keptFields(header)!, name), fieldValues(header, name));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are all that clients list messages by, and leave out what only machines on the way read', () => {
    const listed = [
      'From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To',
      'List-Id List-Unsubscribe List-Post Authentication-Results DKIM-Signature Received-SPF X-Spam-Status X-Spam-Flag',
      'X-Uniform-Type-Identifier X-Universally-Unique-Identifier Bimi-Indicator X-TUID Sender Chat-Version X-Label',
    ];
    for (const name of listed.join(' ').split(' ')) assert.ok(areKept([name]), name);
    for (const name of ['Received', 'RECEIVED', 'ARC-Seal', 'X-Google-Smtp-Source', 'X-MS-Exchange-Id']) {
      assert.ok(!areKept(['From', name]), name);
    }
  });

  it('are not kept beyond their limit, which trace fields do not count towards', () => {
    const long = (name: string, octets: number): string => `${name}: ${'x'.repeat(octets)}\r\n`;
    const trace = Buffer.from(long('Received', 2 * KEPT_FIELDS_OCTETS) + long('To', 10));
    assert.equal(keptFields(trace), long('To', 10));
    assert.equal(keptFields(Buffer.from(long('To', KEPT_FIELDS_OCTETS))), null);
  });
});
