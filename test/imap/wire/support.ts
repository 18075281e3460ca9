/** Feeds octets to the reader in pieces, as a network would cut them, and collects what comes out. */
import type { Command } from '../../../src/imap/wire/ast.ts';
import { classifyLiteral, type ParserOptions, parseCommand } from '../../../src/imap/wire/parser.ts';
import { CommandReader, READER_LIMITS, type ReaderEvent } from '../../../src/imap/wire/reader.ts';

/** Latin1 text to octets: tables are written with `\xff` for octets. */
export const octets = (wire: string): Buffer => Buffer.from(wire, 'latin1');

/** Cuts a buffer after each of `sizes` octets, in turn and from the start again. */
export function* pieces(buffer: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < buffer.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    // A copy of its own, so that a reader which kept a view would show.
    yield Buffer.from(buffer.subarray(at, at + size));
    at += size;
  }
}

/** How every row of a grammar table is cut: whole, octet by octet, and in odd chunks. */
export const CUTS: readonly (readonly number[])[] = [[Number.MAX_SAFE_INTEGER], [1], [7, 3, 1], [2, 13]];

/** All commands in `wire`, with messages streamed and other literals buffered. @throws CommandError. */
export function parseAll(
  wire: string,
  cut: readonly number[],
  options: ParserOptions = { isUtf8: false },
): Command[] {
  const reader = new CommandReader(READER_LIMITS);
  const commands: Command[] = [];
  for (const chunk of pieces(octets(wire), cut)) {
    reader.push(chunk);
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (event.kind === 'literal') {
        const what = classifyLiteral(event.prefix, options);
        reader.acceptLiteral(what.kind === 'message' ? 'stream' : 'buffer');
      } else if (event.kind === 'command') {
        commands.push(parseCommand(event.command, options));
      } else if (event.kind === 'error') {
        throw event.error;
      }
    }
  }
  return commands;
}

/** One command, without its line end in the table. */
export function parseOne(wire: string, cut: readonly number[] = CUTS[0]!, options?: ParserOptions): Command {
  const commands = parseAll(`${wire}\r\n`, cut, options);
  if (commands.length !== 1) throw new Error(`${commands.length} commands`);
  return commands[0]!;
}

/** Events in a form that does not depend on how the octets were cut: streamed data is joined. */
export type Summary =
  | readonly ['command', ...string[]]
  | readonly ['line', string]
  | readonly ['literal', number, 'sync' | 'non-sync', 'may buffer' | 'too big']
  | readonly ['data', string]
  | readonly ['literal-end']
  | readonly ['error', string, string | null]
  | readonly ['lost'];

/** What the test does at each literal: 'buffer', 'stream', 'refuse'. */
export type Answer = 'buffer' | 'stream' | 'refuse';

/** Runs the reader over `wire`. `onEvent` may change the reader between two events, as a session does. */
export function summarize(
  wire: string,
  cut: readonly number[],
  reader: CommandReader,
  answer: (event: Extract<ReaderEvent, { kind: 'literal' }>) => Answer,
  onEvent: (event: ReaderEvent, reader: CommandReader) => void = () => {},
): Summary[] {
  const summaries: Summary[] = [];
  for (const chunk of pieces(octets(wire), cut)) {
    reader.push(chunk);
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (event.kind === 'literal') {
        summaries.push([
          'literal',
          event.sizeOctets,
          event.isNonSync ? 'non-sync' : 'sync',
          event.mayBuffer ? 'may buffer' : 'too big',
        ]);
        const how = answer(event);
        if (how !== 'refuse') reader.acceptLiteral(how);
        else if (!reader.refuseLiteral()) summaries.push(['lost']);
      } else {
        addEvent(summaries, event);
      }
      onEvent(event, reader);
    }
  }
  return summaries;
}

function addEvent(summaries: Summary[], event: Exclude<ReaderEvent, { kind: 'literal' }>): void {
  switch (event.kind) {
    case 'command': {
      const { lines, literals } = event.command;
      const literalText = literals.map((l) =>
        l.kind === 'buffered' ? l.octets.toString('latin1') : `<${l.sizeOctets}>`,
      );
      summaries.push([
        'command',
        ...lines.flatMap((line, i) => (i < literals.length ? [line, literalText[i]!] : [line])),
      ]);
      break;
    }
    case 'line':
      summaries.push(['line', event.octets.toString('latin1')]);
      break;
    case 'literal-data': {
      const last = summaries.at(-1);
      const text = event.chunk.toString('latin1');
      if (last?.[0] === 'data') summaries[summaries.length - 1] = ['data', last[1] + text];
      else summaries.push(['data', text]);
      break;
    }
    case 'literal-end':
      summaries.push(['literal-end']);
      break;
    case 'error':
      summaries.push(event.isFatal ? ['lost'] : ['error', event.error.code, event.tag]);
      break;
  }
}
