/** The message literal of an APPEND, as its octets come in. RFC 9051 §4.3, RFC 7888. */
import { ProtocolError } from '../errors.ts';
import type { MessageLiteral } from './command/context.ts';
import { type ParserOptions, parseCommand } from './wire/parser.ts';
import { printContinuation } from './wire/printer.ts';
import type { LiteralEvent, ReaderEvent } from './wire/reader.ts';

/** The connection, as far as this needs it. */
interface Source {
  streamLiteral(): void;
  refuseLiteral(): void;
  nextEvent(): Promise<ReaderEvent>;
  text(wire: string): void;
}

export class IncomingMessage implements MessageLiteral {
  readonly sizeOctets: number;
  readonly #isNonSync: boolean;
  readonly #source: Source;
  readonly #options: ParserOptions;
  #state: 'announced' | 'coming' | 'here' | 'done' = 'announced';

  constructor(source: Source, event: LiteralEvent, options: ParserOptions) {
    this.#source = source;
    this.#options = options;
    this.sizeOctets = event.sizeOctets;
    this.#isNonSync = event.isNonSync;
  }

  async *receive(): AsyncGenerator<Buffer> {
    this.#source.streamLiteral();
    this.#state = 'coming';
    if (!this.#isNonSync) this.#source.text(printContinuation('OK'));
    for (let chunk = await this.#next(); chunk !== null; chunk = await this.#next()) yield chunk;
  }

  async finish(): Promise<void> {
    if (this.#state !== 'here') throw new Error('the literal is not here yet');
    const event = await this.#source.nextEvent();
    this.#state = 'done';
    if (event.kind === 'command') {
      parseCommand(event.command, this.#options);
      return;
    }
    if (event.kind === 'literal') this.#source.refuseLiteral();
    throw event.kind === 'error'
      ? event.error
      : new ProtocolError('Only one message may be appended at a time.');
  }

  /** After the command: reads and drops what it left of its own octets, so that the next command is found. */
  async drop(): Promise<void> {
    if (this.#state === 'announced') this.#source.refuseLiteral();
    while (this.#state === 'coming') await this.#next();
    if (this.#state === 'here') await this.finish().catch(passOver);
  }

  /** The next chunk, or null at the end. */
  async #next(): Promise<Buffer | null> {
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
