/**
 * The messages of an APPEND, as their octets come in. RFC 9051 §4.3 and §6.3.12, RFC 7888; several, RFC 3502.
 *
 * What must stay true: whatever the command does with them, `drop` leaves the reader at the next command.
 */
import { ProtocolError } from '../errors.ts';
import type { IncomingMessages } from './command/context.ts';
import type { AppendCommand, AppendMessage } from './wire/ast.ts';
import { classifyLiteral, type ParserOptions, parseCommand } from './wire/parser.ts';
import { printContinuation } from './wire/printer.ts';
import type { LiteralEvent, ReaderEvent } from './wire/reader.ts';

/** The connection, as far as this needs it. */
interface Source {
  streamLiteral(): void;
  refuseLiteral(): void;
  nextEvent(): Promise<ReaderEvent>;
  text(wire: string): void;
}

export class IncomingAppend implements IncomingMessages {
  readonly first: AppendMessage;
  readonly #source: Source;
  readonly #options: ParserOptions;
  #isNonSync: boolean;
  /** Of the message at hand; 'done' when the command was read to its end, or given up with a literal. */
  #state: 'announced' | 'coming' | 'here' | 'done' = 'announced';

  /** @param append The command as far as it was read when `event` announced its first message. */
  constructor(source: Source, options: ParserOptions, append: AppendCommand, event: LiteralEvent) {
    this.#source = source;
    this.#options = options;
    this.first = append.messages[0]!;
    this.#isNonSync = event.isNonSync;
  }

  async *receive(): AsyncGenerator<Buffer> {
    this.#source.streamLiteral();
    this.#state = 'coming';
    if (!this.#isNonSync) this.#source.text(printContinuation('OK'));
    for (let chunk = await this.#nextChunk(); chunk !== null; chunk = await this.#nextChunk()) yield chunk;
  }

  async next(): Promise<AppendMessage | null> {
    if (this.#state !== 'here') throw new Error('the literal is not here yet');
    const event = await this.#source.nextEvent();
    switch (event.kind) {
      case 'command':
        this.#state = 'done';
        parseCommand(event.command, this.#options);
        return null;
      case 'literal': {
        this.#state = 'announced';
        this.#isNonSync = event.isNonSync;
        const what = classifyLiteral(event.prefix, this.#options);
        if (what.kind === 'message') return what.append.messages.at(-1)!;
        throw new Error('an argument behind a message');
      }
      case 'error':
        this.#state = 'done';
        throw event.error;
      default:
        throw new Error(`${event.kind} behind a message`);
    }
  }

  /** After the command: reads and drops what it left of its own octets, so that the next command is found. */
  async drop(): Promise<void> {
    while (this.#state === 'coming') await this.#nextChunk();
    if (this.#state === 'here') await this.next().catch(passOver);
    if (this.#state === 'announced') {
      this.#state = 'done';
      // With what follows it, further messages too.
      this.#source.refuseLiteral();
    }
  }

  /** The next chunk, or null at the end. */
  async #nextChunk(): Promise<Buffer | null> {
    if (this.#state !== 'coming') return null;
    const event = await this.#source.nextEvent();
    if (event.kind === 'literal-data') return event.chunk;
    if (event.kind !== 'literal-end') throw new Error(`${event.kind} within a literal`);
    this.#state = 'here';
    return null;
  }
}

/** A wrong end of a command that was answered already. */
function passOver(error: unknown): void {
  if (!(error instanceof ProtocolError)) throw error;
}
