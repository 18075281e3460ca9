/**
 * Framing: octets in, whole commands out. RFC 9051 §2.2.1, §4.3; non-synchronizing literals RFC 7888.
 *
 * The caller pulls: push(chunk), then next() until it yields null. Because nothing is read ahead of the caller, it may
 * change what the next octets mean (STARTTLS, IDLE, a SASL exchange) between two events. Lines end with LF, a CR
 * before it is dropped: clients that send bare LF exist, and Dovecot accepts them.
 */
import { ProtocolError } from '../../errors.ts';
import {
  IMAP_COMMAND_LITERAL_OCTETS,
  IMAP_LINE_OCTETS,
  IMAP_LITERAL_OCTETS,
  IMAP_LITERALS,
  IMAP_PREAUTH_COMMAND_LITERAL_OCTETS,
  IMAP_PREAUTH_LINE_OCTETS,
  IMAP_PREAUTH_LITERAL_OCTETS,
  IMAP_PREAUTH_SWALLOW_OCTETS,
  IMAP_SWALLOW_OCTETS,
} from '../../limits.ts';
import type { Literal } from './ast.ts';
import { leadingTag, trailingLiteral } from './literal-marker.ts';
import { OctetQueue } from './octet-queue.ts';

/**
 * One command, framed but not parsed. `lines[i]` ends with the marker of `literals[i]` (`{5}` or `{5+}`), so a complete
 * command has one line more than literals. Lines are latin1 (one character an octet), without their line end.
 */
export interface FramedCommand {
  readonly lines: readonly string[];
  readonly literals: readonly Literal[];
}

export interface ReaderLimits {
  /** Text of one command, literals not counted; and one raw line. */
  readonly lineOctets: number;
  /** One literal kept in memory. */
  readonly literalOctets: number;
  /** All literals of one command kept in memory. */
  readonly commandLiteralOctets: number;
  /** Octets of one refused command that are read and thrown away before framing counts as lost. */
  readonly swallowOctets: number;
}

export const PREAUTH_READER_LIMITS: ReaderLimits = {
  lineOctets: IMAP_PREAUTH_LINE_OCTETS,
  literalOctets: IMAP_PREAUTH_LITERAL_OCTETS,
  commandLiteralOctets: IMAP_PREAUTH_COMMAND_LITERAL_OCTETS,
  swallowOctets: IMAP_PREAUTH_SWALLOW_OCTETS,
};

export const READER_LIMITS: ReaderLimits = {
  lineOctets: IMAP_LINE_OCTETS,
  literalOctets: IMAP_LITERAL_OCTETS,
  commandLiteralOctets: IMAP_COMMAND_LITERAL_OCTETS,
  swallowOctets: IMAP_SWALLOW_OCTETS,
};

export interface LiteralEvent {
  readonly kind: 'literal';
  readonly sizeOctets: number;
  /** `{n+}`: the client sends it without waiting for "+ OK". */
  readonly isNonSync: boolean;
  /** Whether acceptLiteral('buffer') is within the limits. */
  readonly mayBuffer: boolean;
  /** The command so far; its last line ends with this literal's marker. */
  readonly prefix: FramedCommand;
}

export type ReaderEvent =
  | { readonly kind: 'command'; readonly command: FramedCommand }
  /** A raw line, after expectLine(), without its line end. */
  | { readonly kind: 'line'; readonly octets: Buffer }
  /** The caller must call acceptLiteral() or refuseLiteral() before it calls next() again. */
  | LiteralEvent
  /** Octets of a literal accepted with 'stream'. The caller may keep the chunk. */
  | { readonly kind: 'literal-data'; readonly chunk: Buffer }
  | { readonly kind: 'literal-end' }
  /**
   * A line or a command is too long. Answer `tag BAD` (or `* BAD`) and go on: the rest of it is swallowed. When
   * `isFatal`, framing is lost: say BYE and close; next() yields null for ever.
   */
  | {
      readonly kind: 'error';
      readonly error: ProtocolError;
      readonly tag: string | null;
      readonly isFatal: boolean;
    };

type State =
  /** Waiting for the end of a line of a command. */
  | 'line'
  /** Waiting for a raw line. */
  | 'raw'
  /** A literal was announced; the caller has not answered. */
  | 'asked'
  | 'buffering'
  | 'streaming'
  /** Throwing away the rest of a line that belongs to a refused command. */
  | 'skip-line'
  | 'skip-literal'
  | 'lost';

/** What is kept of a line that is thrown away: the longest literal marker, and a CR. */
const MARKER_OCTETS = 32;
/** As much of an over-long line is looked at for its tag. */
const TAG_OCTETS = 128;

export class CommandReader {
  /** What bounds the command from its next line on: PREAUTH_READER_LIMITS, after authentication READER_LIMITS. */
  limits: ReaderLimits;
  readonly #queue = new OctetQueue();
  #state: State = 'line';
  #lines: string[] = [];
  #literals: Literal[] = [];
  #lineOctets = 0;
  #literalOctets = 0;
  /** Octets of the current literal that have not come yet. */
  #missing = 0;
  #asked: LiteralEvent | null = null;
  #filling: Buffer | null = null;
  #swallowed = 0;
  #tail = '';

  constructor(limits: ReaderLimits = PREAUTH_READER_LIMITS) {
    this.limits = limits;
  }

  /** Takes over the chunk: the caller must not write to it afterwards. */
  push(chunk: Buffer): void {
    if (this.#state !== 'lost') this.#queue.push(chunk);
  }

  /** The next event, or null when more octets are needed. */
  next(): ReaderEvent | null {
    for (;;) {
      switch (this.#state) {
        case 'line': {
          const event = this.#nextLine();
          if (event !== 'again') return event;
          break;
        }
        case 'raw':
          return this.#nextRawLine();
        case 'asked':
          throw new Error('next() was called before the announced literal was accepted or refused');
        case 'buffering':
          if (!this.#fill()) return null;
          break;
        case 'streaming': {
          if (this.#missing === 0) {
            this.#state = 'line';
            return { kind: 'literal-end' };
          }
          const chunk = this.#queue.take(this.#missing);
          if (chunk.length === 0) return null;
          this.#missing -= chunk.length;
          return { kind: 'literal-data', chunk };
        }
        case 'skip-line': {
          const event = this.#skipLine();
          if (event !== 'again') return event;
          break;
        }
        case 'skip-literal': {
          const skipped = this.#queue.skip(this.#missing);
          this.#missing -= skipped;
          if (this.#missing > 0) return null;
          this.#state = 'skip-line';
          break;
        }
        case 'lost':
          return null;
      }
    }
  }

  /**
   * The announced literal is wanted. The caller sends "+ OK" unless it is non-synchronizing.
   * 'buffer': it becomes part of the command. 'stream': its octets are handed on as 'literal-data', then 'literal-end'.
   */
  acceptLiteral(how: 'buffer' | 'stream'): void {
    const { sizeOctets, mayBuffer } = this.#takeAsked();
    this.#missing = sizeOctets;
    if (how === 'stream') {
      this.#literals.push({ kind: 'streamed', sizeOctets });
      this.#state = 'streaming';
      return;
    }
    if (!mayBuffer) throw new Error('a literal beyond the limits was accepted into memory');
    const octets = Buffer.allocUnsafe(sizeOctets);
    this.#filling = octets;
    this.#literals.push({ kind: 'buffered', octets });
    this.#literalOctets += sizeOctets;
    this.#state = 'buffering';
  }

  /**
   * Gives the command up; the caller answers it with NO or BAD at once. A client that waits for "+" sends nothing
   * more of it; a non-synchronizing literal and what follows are swallowed by later calls of next(). RFC 7888 §4.
   * @returns false when the literal is too large for that: framing is lost, and the caller must say BYE and close.
   */
  refuseLiteral(): boolean {
    const { sizeOctets, isNonSync } = this.#takeAsked();
    this.#reset();
    if (!isNonSync) return true;
    return this.#swallow(sizeOctets);
  }

  /** The next line is not a command, and next() yields it as 'line': a SASL response, or DONE. One line a call. */
  expectLine(): void {
    if (this.#state !== 'line' || this.#lines.length > 0) {
      throw new Error('expectLine() was called in the middle of a command');
    }
    this.#state = 'raw';
  }

  /**
   * Drops what was pushed and not yet framed. STARTTLS: octets pipelined behind it came in clear, so a man in the
   * middle may have put them there (RFC 9051 §6.2.1, §11.2).
   * @returns How many octets there were.
   */
  discardBuffered(): number {
    const dropped = this.#queue.length;
    this.#queue.clear();
    if (this.#state !== 'lost') this.#reset();
    return dropped;
  }

  /** Takes back what was pushed and not yet framed. COMPRESS: it is not what it looked like. */
  takeBuffered(): Buffer {
    return this.#queue.take(this.#queue.length);
  }

  /** Octets pushed and not yet consumed. */
  get bufferedOctets(): number {
    return this.#queue.length;
  }

  #nextLine(): ReaderEvent | null | 'again' {
    const room = this.limits.lineOctets - this.#lineOctets;
    const line = this.#queue.takeLine(room);
    if (line === null) return null;
    if (line === 'too-long') {
      const start = this.#lines[0] ?? this.#queue.peek(TAG_OCTETS);
      return this.#giveUp('The command line is too long', leadingTag(start));
    }
    this.#lineOctets += line.length;
    // Nothing but a literal's marker ends a line with a brace, so most commands are done here.
    const marker = line.charCodeAt(line.length - 1) === 0x7d ? trailingLiteral(line) : null;
    if (marker === null) {
      const lines = this.#lines;
      lines.push(line);
      const command = { lines, literals: this.#literals };
      this.#reset();
      return { kind: 'command', command };
    }
    this.#lines.push(line);
    const { sizeOctets, isNonSync } = marker;
    if (this.#literals.length >= IMAP_LITERALS) {
      const tag = leadingTag(this.#lines[0]!);
      this.#reset();
      const isFatal = isNonSync && !this.#swallow(sizeOctets);
      return { kind: 'error', error: new ProtocolError('Too many literals', 'too-many'), tag, isFatal };
    }
    const mayBuffer =
      sizeOctets <= this.limits.literalOctets &&
      this.#literalOctets + sizeOctets <= this.limits.commandLiteralOctets;
    const prefix = { lines: [...this.#lines], literals: [...this.#literals] };
    this.#asked = { kind: 'literal', sizeOctets, isNonSync, mayBuffer, prefix };
    this.#state = 'asked';
    return this.#asked;
  }

  #nextRawLine(): ReaderEvent | null {
    const line = this.#queue.takeLine(this.limits.lineOctets);
    if (line === null) return null;
    this.#state = 'line';
    if (line === 'too-long') return this.#giveUp('The line is too long', null);
    return { kind: 'line', octets: Buffer.from(line, 'latin1') };
  }

  #takeAsked(): LiteralEvent {
    const asked = this.#asked;
    if (asked === null) throw new Error('no literal was announced');
    this.#asked = null;
    return asked;
  }

  /** @returns Whether the literal is complete. */
  #fill(): boolean {
    const literal = this.#filling!;
    const chunk = this.#queue.take(this.#missing);
    chunk.copy(literal, literal.length - this.#missing);
    this.#missing -= chunk.length;
    if (this.#missing > 0) return false;
    this.#filling = null;
    this.#state = 'line';
    return true;
  }

  /** The line is longer than may be kept: reports it, and swallows the command from here on. */
  #giveUp(sentence: string, tag: string | null): ReaderEvent {
    this.#reset();
    this.#state = 'skip-line';
    return { kind: 'error', error: new ProtocolError(sentence, 'too-long'), tag, isFatal: false };
  }

  /** Throws away up to the end of the line, and goes on behind it as the line's end says. */
  #skipLine(): ReaderEvent | null | 'again' {
    const { tail, isComplete, skipped } = this.#queue.skipLine(MARKER_OCTETS);
    this.#swallowed += skipped;
    this.#tail = (this.#tail + tail).slice(-MARKER_OCTETS);
    if (this.#swallowed > this.limits.swallowOctets) {
      this.#lose();
      return this.#lost();
    }
    if (!isComplete) return null;
    const marker = trailingLiteral(this.#tail.replace(/\r$/, ''));
    this.#tail = '';
    if (marker === null || !marker.isNonSync) {
      this.#swallowed = 0;
      this.#state = 'line';
      return 'again';
    }
    return this.#swallow(marker.sizeOctets) ? 'again' : this.#lost();
  }

  #swallow(sizeOctets: number): boolean {
    this.#swallowed += sizeOctets;
    if (this.#swallowed > this.limits.swallowOctets) {
      this.#lose();
      return false;
    }
    this.#missing = sizeOctets;
    this.#state = 'skip-literal';
    return true;
  }

  #lost(): ReaderEvent {
    const error = new ProtocolError('Too much input to skip', 'framing-lost');
    return { kind: 'error', error, tag: null, isFatal: true };
  }

  #lose(): void {
    this.#reset();
    this.#queue.clear();
    this.#state = 'lost';
  }

  #reset(): void {
    this.#state = 'line';
    this.#lines = [];
    this.#literals = [];
    this.#lineOctets = 0;
    this.#literalOctets = 0;
    this.#missing = 0;
    this.#asked = null;
    this.#filling = null;
    this.#tail = '';
    this.#swallowed = 0;
  }
}
