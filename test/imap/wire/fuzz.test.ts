import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ProtocolError } from '../../../src/errors.ts';
import { CommandError } from '../../../src/imap/wire/command-error.ts';
import { classifyLiteral, parseCommand } from '../../../src/imap/wire/parser.ts';
import { CommandReader, PREAUTH_READER_LIMITS, READER_LIMITS } from '../../../src/imap/wire/reader.ts';
import { octets, pieces } from './support.ts';

/** Pieces of the grammar, so that random lines get past the first word. */
const WORDS = [
  ...[
    'A1 ',
    'A2 ',
    ' ',
    '  ',
    '\r\n',
    '\n',
    '\r',
    '\0',
    '\x7f',
    '\xc3\xbc',
    '\xff',
    '"',
    '\\',
    '"a b"',
    '""',
  ],
  ...[
    '(',
    ')',
    '()',
    '[',
    ']',
    '<0.1>',
    '{',
    '}',
    '{3}',
    '{3+}',
    '{0}',
    '{9999999+}',
    '~{1}',
    '*',
    '%',
    '$',
    '&',
    '&APw-',
    '-',
  ],
  ...[
    'UID ',
    'FETCH ',
    'STORE ',
    'SEARCH ',
    'SELECT ',
    'LIST ',
    'APPEND ',
    'LOGIN ',
    'AUTHENTICATE ',
    'ID ',
    'STATUS ',
    'CREATE ',
  ],
  ...[
    'COPY ',
    'SETQUOTA ',
    'ENABLE ',
    'RENAME ',
    'EXPUNGE ',
    'NOOP',
    'INBOX',
    '1:*',
    '2,4:7',
    '0',
    '4294967296',
    'NIL',
    '=',
  ],
  ...[
    'FLAGS',
    '+FLAGS ',
    '\\Seen',
    'BODY[',
    'BODY.PEEK[',
    'HEADER.FIELDS (',
    '1.2.',
    'MIME',
    'ALL',
    'CHANGEDSINCE ',
    'QRESYNC (',
  ],
  ...[
    'NOT ',
    'OR ',
    'HEADER ',
    'FROM ',
    'CHARSET ',
    'UTF-8 ',
    'SINCE ',
    '1-Feb-1994',
    'RETURN (',
    'MODSEQ ',
    'USE ',
    'MESSAGES',
  ],
  '"17-Jul-1996 02:44:25 -0700" ',
];
const VALID = [
  'A1 LOGIN {5+}\r\nalice "s\\"cret"\r\n',
  'A1 UID FETCH 1:100 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (From "To")]<0.10>) (CHANGEDSINCE 5)\r\n',
  'A1 SEARCH CHARSET UTF-8 OR (SEEN NOT 1:*) HEADER X {1+}\r\ny SINCE 1-Feb-1994\r\n',
  'A1 APPEND x (\\Seen) " 7-Feb-1994 21:52:25 -0800" {5+}\r\na\r\nbc\r\n',
  'A1 LIST (SUBSCRIBED) "" (INBOX "a/%" &APw-*) RETURN (CHILDREN STATUS (MESSAGES))\r\n',
  'A1 SELECT INBOX (QRESYNC (7 8 1:9 (1,2 3,4)) CONDSTORE)\r\n',
  'A1 STORE 1:* (UNCHANGEDSINCE 9) +FLAGS.SILENT (\\Deleted $Junk)\r\nA2 ID ("name" "x" "y" NIL)\r\n',
];
/** A valid command with up to three octets replaced, inserted or left out. */
const mutated = fc
  .tuple(
    fc.constantFrom(...VALID),
    fc.array(fc.tuple(fc.nat(200), fc.nat(1), fc.constantFrom('', ...WORDS)), { maxLength: 3 }),
  )
  .map(([line, edits]) => {
    let text = line;
    for (const [at, cut, word] of edits) {
      const where = at % (text.length + 1);
      text = text.slice(0, where) + word + text.slice(where + cut);
    }
    return octets(text);
  });
const wires = fc.oneof(
  mutated,
  fc.array(fc.constantFrom(...WORDS), { maxLength: 40 }).map((words) => octets(words.join(''))),
  fc
    .tuple(
      fc.constantFrom('FETCH ', 'UID STORE ', 'SEARCH ', 'LIST ', 'APPEND x ', 'SELECT INBOX ', 'ID '),
      fc.array(fc.constantFrom(...WORDS), { maxLength: 15 }),
    )
    .map(([name, words]) => octets(`A1 ${name}${words.join('')}\r\n`)),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });

describe('imap/wire under random octets', () => {
  it('nothing but ProtocolError is thrown, and no more is kept than the limits allow', () => {
    let parsed = 0;
    fc.assert(
      fc.property(
        wires,
        cuts,
        fc.boolean(),
        fc.integer({ min: 0, max: 2 }),
        (wire, cut, isUtf8, refuseEvery) => {
          const limits = isUtf8 ? READER_LIMITS : PREAUTH_READER_LIMITS;
          const reader = new CommandReader(limits);
          let literals = 0;
          for (const chunk of pieces(wire, cut)) {
            reader.push(chunk);
            for (let event = reader.next(); event !== null; event = reader.next()) {
              if (event.kind === 'literal') {
                literals += 1;
                let isMessage = false;
                try {
                  isMessage = classifyLiteral(event.prefix, { isUtf8 }).kind === 'message';
                } catch (error) {
                  assert.ok(error instanceof CommandError, String(error));
                }
                if (refuseEvery > 0 && literals % refuseEvery === 0) reader.refuseLiteral();
                else if (isMessage) reader.acceptLiteral('stream');
                else if (event.mayBuffer) reader.acceptLiteral('buffer');
                else reader.refuseLiteral();
              } else if (event.kind === 'command') {
                try {
                  parseCommand(event.command, { isUtf8 });
                  parsed += 1;
                } catch (error) {
                  assert.ok(error instanceof CommandError, String(error));
                }
              } else if (event.kind === 'error') {
                assert.ok(event.error instanceof ProtocolError);
              }
            }
            assert.ok(reader.bufferedOctets <= limits.lineOctets + 1);
          }
        },
      ),
      { numRuns: 3_000 },
    );
    // The generator must not have degenerated into lines that fail at their first word.
    assert.ok(parsed > 150, `${parsed}`);
  });

  it('a line fed octet by octet for ever keeps no more than one line', () => {
    const reader = new CommandReader(PREAUTH_READER_LIMITS);
    const chunk = octets('A1 LOGIN (((( "{5} ');
    let largest = 0;
    let isLost = false;
    for (let i = 0; i < 10_000 && !isLost; i += 1) {
      reader.push(Buffer.from(chunk));
      for (let event = reader.next(); event !== null; event = reader.next()) {
        isLost ||= event.kind === 'error' && event.isFatal;
      }
      largest = Math.max(largest, reader.bufferedOctets);
    }
    assert.ok(isLost);
    assert.ok(largest <= PREAUTH_READER_LIMITS.lineOctets + chunk.length, `${largest}`);
  });
});
