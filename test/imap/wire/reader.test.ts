import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { CommandReader, READER_LIMITS, type ReaderLimits } from '../../../src/imap/wire/reader.ts';
import { IMAP_LITERALS } from '../../../src/limits.ts';
import { type Answer, CUTS, octets, type Summary, summarize } from './support.ts';

interface Row {
  readonly claim: string;
  readonly wire: string;
  readonly answer?: Answer;
  readonly limits?: Partial<ReaderLimits>;
  readonly events: readonly Summary[];
}

const ROWS: readonly Row[] = [
  {
    claim: 'a line is a command (RFC 9051 §2.2.1)',
    wire: 'a001 NOOP\r\n',
    events: [['command', 'a001 NOOP']],
  },
  {
    claim: 'pipelined commands come out one by one (RFC 9051 §5.5)',
    wire: 'a1 NOOP\r\na2 CAPABILITY\r\na3 LOGOUT\r\n',
    events: [
      ['command', 'a1 NOOP'],
      ['command', 'a2 CAPABILITY'],
      ['command', 'a3 LOGOUT'],
    ],
  },
  {
    claim: 'a bare LF ends a line, and only the CR before the LF belongs to the end',
    wire: 'a1 NOOP\na2 X\rY\r\r\n',
    events: [
      ['command', 'a1 NOOP'],
      ['command', 'a2 X\rY\r'],
    ],
  },
  {
    claim: 'an empty line is a command without text',
    wire: '\r\n',
    events: [['command', '']],
  },
  {
    claim: 'literals are joined to their command (RFC 9051 §4.3)',
    wire: 'A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n',
    events: [
      ['literal', 11, 'sync', 'may buffer'],
      ['literal', 7, 'sync', 'may buffer'],
      ['command', 'A001 LOGIN {11}', 'FRED FOOBAR', ' {7}', 'fat man', ''],
    ],
  },
  {
    claim: 'non-synchronizing literals are told apart (RFC 7888 §4)',
    wire: 'A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n',
    events: [
      ['literal', 11, 'non-sync', 'may buffer'],
      ['literal', 7, 'non-sync', 'may buffer'],
      ['command', 'A001 LOGIN {11+}', 'FRED FOOBAR', ' {7+}', 'fat man', ''],
    ],
  },
  {
    claim: 'a literal may be empty, and may hold line ends and what looks like a marker',
    wire: 'a X {0}\r\n {8+}\r\n{3}\r\n\r\n\0\r\n',
    events: [
      ['literal', 0, 'sync', 'may buffer'],
      ['literal', 8, 'non-sync', 'may buffer'],
      ['command', 'a X {0}', '', ' {8+}', '{3}\r\n\r\n\0', ''],
    ],
  },
  {
    claim: 'a message literal is handed on as it comes',
    wire: 'A003 APPEND saved-messages (\\Seen) {14}\r\nhello\r\n\r\nworld\r\na4 NOOP\r\n',
    answer: 'stream',
    events: [
      ['literal', 14, 'sync', 'may buffer'],
      ['data', 'hello\r\n\r\nworld'],
      ['literal-end'],
      ['command', 'A003 APPEND saved-messages (\\Seen) {14}', '<14>', ''],
      ['command', 'a4 NOOP'],
    ],
  },
  {
    claim: 'an empty streamed literal ends at once',
    wire: 'A APPEND x {0+}\r\n\r\n',
    answer: 'stream',
    events: [
      ['literal', 0, 'non-sync', 'may buffer'],
      ['literal-end'],
      ['command', 'A APPEND x {0+}', '<0>', ''],
    ],
  },
  {
    claim: 'after a refused synchronizing literal the next line is the next command',
    wire: 'a1 LOGIN {5}\r\na2 NOOP\r\n',
    answer: 'refuse',
    events: [
      ['literal', 5, 'sync', 'may buffer'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim:
      'a refused non-synchronizing literal is swallowed with all that belongs to its command (RFC 7888 §4)',
    wire: 'a1 LOGIN {9+}\r\nx\r\ny NOOP {6+}\r\nz\r\n{1}"\r\na2 NOOP\r\n',
    answer: 'refuse',
    events: [
      ['literal', 9, 'non-sync', 'may buffer'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'the rest of a refused command ends where its client waits for "+"',
    wire: 'a1 LOGIN {3+}\r\nabc {6}\r\na2 NOOP\r\n',
    answer: 'refuse',
    events: [
      ['literal', 3, 'non-sync', 'may buffer'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'a refused non-synchronizing literal beyond the limit loses framing',
    wire: 'a1 APPEND x {101+}\r\na2 NOOP\r\n',
    answer: 'refuse',
    limits: { swallowOctets: 100 },
    events: [['literal', 101, 'non-sync', 'may buffer'], ['lost']],
  },
  {
    claim: 'several refused literals of one command count together',
    wire: `a1 APPEND x {60+}\r\n${'x'.repeat(60)} {60+}\r\na2 NOOP\r\n`,
    answer: 'refuse',
    limits: { swallowOctets: 100 },
    events: [['literal', 60, 'non-sync', 'may buffer'], ['lost']],
  },
  {
    claim: 'literals beyond the limits are announced as too big',
    wire: 'a1 LOGIN {11}\r\na2 NOOP\r\n',
    answer: 'refuse',
    limits: { literalOctets: 10 },
    events: [
      ['literal', 11, 'sync', 'too big'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'sizes that are no number of octets are announced as infinite',
    wire: 'a1 APPEND x {99999999999999999999}\r\na2 NOOP\r\n',
    answer: 'refuse',
    events: [
      ['literal', Infinity, 'sync', 'too big'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'a brace without a size announces nothing',
    wire: 'a1 X {}\r\na2 X {-1}\r\na3 X {1}x\r\na4 X {1+}+\r\na5 X {+}\r\na6 X {123456789012345678901}\r\n',
    events: [
      ['command', 'a1 X {}'],
      ['command', 'a2 X {-1}'],
      ['command', 'a3 X {1}x'],
      ['command', 'a4 X {1+}+'],
      ['command', 'a5 X {+}'],
      ['command', 'a6 X {123456789012345678901}'],
    ],
  },
  {
    claim: 'a line of exactly the limit is kept',
    wire: 'a1 34567890\r\n',
    limits: { lineOctets: 11 },
    events: [['command', 'a1 34567890']],
  },
  {
    claim: 'a line beyond the limit is refused with its tag, and the next command is read',
    wire: 'a1 345678901\r\na2 NOOP\r\n',
    limits: { lineOctets: 11 },
    events: [
      ['error', 'too-long', 'a1'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'a line beyond the limit takes the literals behind it with it',
    wire: 'a1 SEARCH TEXT long {9+}\r\na9 LOGOUT {2+}\r\n\r\n\r\na2 NOOP\r\n',
    limits: { lineOctets: 11 },
    events: [
      ['error', 'too-long', 'a1'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'the limit holds for all lines of a command together',
    wire: 'a1 X {1+}\r\nx6789012\r\na2 NOOP\r\n',
    limits: { lineOctets: 15 },
    events: [
      ['literal', 1, 'non-sync', 'may buffer'],
      ['error', 'too-long', 'a1'],
      ['command', 'a2 NOOP'],
    ],
  },
  {
    claim: 'an endless line loses framing',
    wire: `a1 ${'x'.repeat(200)}`,
    limits: { lineOctets: 11, swallowOctets: 100 },
    events: [['error', 'too-long', 'a1'], ['lost']],
  },
];

describe('imap/wire/reader', () => {
  for (const { claim, wire, answer = 'buffer', limits = {}, events } of ROWS) {
    it(claim, () => {
      for (const cut of CUTS) {
        const reader = new CommandReader({ ...READER_LIMITS, ...limits });
        assert.deepEqual(
          summarize(wire, cut, reader, () => answer),
          events,
          `cut ${cut}`,
        );
        assert.equal(reader.bufferedOctets, 0);
      }
    });
  }

  it('a command has at most IMAP_LITERALS literals', () => {
    for (const plus of ['', '+']) {
      const wire = `a1 X${` {1${plus}}\r\nx`.repeat(IMAP_LITERALS)} {1${plus}}\r\n${plus === '' ? '' : 'x\r\n'}a2 NOOP\r\n`;
      const summary = summarize(wire, [7, 3], new CommandReader(READER_LIMITS), () => 'buffer');
      assert.deepEqual(summary.slice(IMAP_LITERALS), [
        ['error', 'too-many', 'a1'],
        ['command', 'a2 NOOP'],
      ]);
    }
  });

  it('literals kept in memory are bounded for a command as a whole', () => {
    const reader = new CommandReader({ ...READER_LIMITS, literalOctets: 10, commandLiteralOctets: 15 });
    reader.push(octets('a1 X {10}\r\n0123456789 {6}\r\n'));
    const first = reader.next();
    assert.ok(first?.kind === 'literal' && first.mayBuffer);
    reader.acceptLiteral('buffer');
    const second = reader.next();
    assert.ok(second?.kind === 'literal' && !second.mayBuffer);
    assert.throws(() => reader.acceptLiteral('buffer'), /beyond the limits/);
  });

  it('a raw line after expectLine() is no command, whatever it holds (IDLE, AUTHENTICATE)', () => {
    for (const cut of CUTS) {
      const summary = summarize(
        'a1 IDLE\r\nDONE\r\na2 AUTHENTICATE PLAIN\r\nx{5}\r\na3 NOOP\r\n',
        cut,
        new CommandReader(READER_LIMITS),
        () => 'buffer',
        (event, reader) => {
          if (event.kind === 'command' && /IDLE|AUTH/.test(event.command.lines[0]!)) reader.expectLine();
        },
      );
      assert.deepEqual(summary, [
        ['command', 'a1 IDLE'],
        ['line', 'DONE'],
        ['command', 'a2 AUTHENTICATE PLAIN'],
        ['line', 'x{5}'],
        ['command', 'a3 NOOP'],
      ]);
    }
  });

  it('a raw line beyond the limit is refused without a tag, and commands are read again', () => {
    for (const cut of CUTS) {
      const reader = new CommandReader({ ...READER_LIMITS, lineOctets: 11 });
      reader.expectLine();
      const summary = summarize('dGVzdA dGVzdA==\r\na2 NOOP\r\n', cut, reader, () => 'buffer');
      assert.deepEqual(summary, [
        ['error', 'too-long', null],
        ['command', 'a2 NOOP'],
      ]);
    }
  });

  it('octets pipelined behind STARTTLS can be dropped (RFC 9051 §6.2.1)', () => {
    const reader = new CommandReader();
    reader.push(octets('a1 STARTTLS\r\na2 LOGIN eve {3}\r\n'));
    assert.equal(reader.next()?.kind, 'command');
    assert.equal(reader.discardBuffered(), 18);
    assert.equal(reader.next(), null);
    reader.push(octets('a3 NOOP\r\n'));
    assert.deepEqual(reader.next(), { kind: 'command', command: { lines: ['a3 NOOP'], literals: [] } });
  });

  it('after framing is lost nothing is read or kept', () => {
    const reader = new CommandReader({ ...READER_LIMITS, swallowOctets: 10 });
    reader.push(octets('a1 X {11+}\r\n'));
    assert.equal(reader.next()?.kind, 'literal');
    assert.equal(reader.refuseLiteral(), false);
    reader.push(octets('a2 NOOP\r\n'));
    assert.equal(reader.next(), null);
    assert.equal(reader.bufferedOctets, 0);
    reader.discardBuffered();
    reader.push(octets('a3 NOOP\r\n'));
    assert.equal(reader.next(), null);
  });

  it('a literal event shows the command so far', () => {
    const reader = new CommandReader();
    reader.push(octets('a1 LOGIN {3+}\r\nabc {4+}\r\n'));
    reader.next();
    reader.acceptLiteral('buffer');
    const event = reader.next();
    assert.ok(event?.kind === 'literal');
    assert.deepEqual(event.prefix, {
      lines: ['a1 LOGIN {3+}', ' {4+}'],
      literals: [{ kind: 'buffered', octets: octets('abc') }],
    });
  });

  it('next() before an announced literal is answered, and answers without a question, are bugs that show', () => {
    const reader = new CommandReader();
    assert.throws(() => reader.refuseLiteral(), /no literal/);
    reader.push(octets('a1 LOGIN {3}\r\n'));
    reader.next();
    assert.throws(() => reader.next(), /accepted or refused/);
    assert.throws(() => reader.expectLine(), /middle of a command/);
  });

  it('chunks handed on while streaming keep their octets when more arrives', () => {
    const reader = new CommandReader(READER_LIMITS);
    const kept: Buffer[] = [];
    const message = Buffer.from(Array.from({ length: 5_000 }, (_, i) => i % 251));
    reader.push(octets('a APPEND x {5000+}\r'));
    assert.equal(reader.next(), null);
    reader.push(octets('\n'));
    reader.next();
    reader.acceptLiteral('stream');
    for (let at = 0; at < message.length; at += 37) {
      reader.push(Buffer.from(message.subarray(at, at + 37)));
      for (let event = reader.next(); event !== null; event = reader.next()) {
        if (event.kind === 'literal-data') kept.push(event.chunk);
      }
    }
    assert.deepEqual(Buffer.concat(kept), message);
  });

  it('events do not depend on how the octets were cut', () => {
    const piece = fc.constantFrom(
      'a1 ',
      'X',
      ' ',
      '{3}',
      '{3+}',
      '{0+}',
      '{40+}',
      '\r\n',
      '\n',
      '\r',
      '"',
      '\0',
      '\xff',
      'abcdef',
    );
    const cut = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
    const answer = fc.array(fc.constantFrom<Answer>('buffer', 'stream', 'refuse'), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), cut, answer, (texts, sizes, answers) => {
        const run = (how: readonly number[]) => {
          let turn = 0;
          const reader = new CommandReader({
            lineOctets: 30,
            literalOctets: 50,
            commandLiteralOctets: 100_000,
            swallowOctets: 100,
          });
          return summarize(texts.join(''), how, reader, () => answers[turn++ % answers.length]!);
        };
        assert.deepEqual(run(sizes), run([100_000]));
      }),
      { numRuns: 500 },
    );
  });
});
