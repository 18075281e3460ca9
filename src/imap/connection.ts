/**
 * One IMAP connection: moves octets between the socket, the reader and the session. Commands run one after the other;
 * what the client sends ahead waits, up to IMAP_PIPELINE_OCTETS, beyond which its socket is not read.
 *
 * Between commands a connection keeps no buffer: a suspended loop, a timer, and what the session holds.
 */
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import { ProtocolError, UnavailableError } from '../errors.ts';
import { IMAP_OUTPUT_BATCH_OCTETS, IMAP_PIPELINE_OCTETS } from '../limits.ts';
import type { ImapDependencies, Output } from './command/context.ts';
import { Gate } from './gate.ts';
import { IncomingMessage } from './incoming-message.ts';
import { ConnectionEnd } from './session/connection-end.ts';
import { type AfterReply, type ClientLink, Session } from './session/session.ts';
import { CommandError } from './wire/command-error.ts';
import { classifyLiteral, parseCommand } from './wire/parser.ts';
import { printContinuation } from './wire/printer.ts';
import {
  CommandReader,
  type LiteralEvent,
  PREAUTH_READER_LIMITS,
  READER_LIMITS,
  type ReaderEvent,
} from './wire/reader.ts';
import { ResponseWriter } from './wire/response-writer.ts';

/** All in milliseconds; limits.ts says what each is for. */
export interface ImapTimes {
  readonly preauthMs: number;
  readonly autologoutMs: number;
  readonly stallMs: number;
  readonly keepAliveMs: number;
  readonly handshakeMs: number;
  readonly closeMs: number;
}

export interface ConnectionOptions {
  readonly id: number;
  readonly remoteAddress: string;
  readonly isImplicitTls: boolean;
  /** Whether credentials may come without TLS. */
  readonly isPlaintextAllowed: boolean;
  readonly appendLimitOctets: number;
  readonly messageLimit: number | null;
  readonly times: ImapTimes;
  /** The certificate to use now, or null when there is none. */
  secureContext(): SecureContext | null;
  /** Counts one more connection of the user. @throws RefusedError 'too-many'. */
  claimUser(userId: string): () => void;
}

const PARSER_OPTIONS = { isUtf8: false } as const;
const FRAMING_LOST = 'Too much input.';
const SHUTDOWN = new UnavailableError('shutting-down', 'The server is shutting down.');

export class Connection implements ClientLink, Output {
  readonly id: number;
  readonly remoteAddress: string;
  readonly #options: ConnectionOptions;
  readonly #session: Session;
  readonly #reader = new CommandReader(PREAUTH_READER_LIMITS);
  readonly #writer = new ResponseWriter();
  readonly #input = new Gate();
  readonly #drained = new Gate();
  /** For the ends of a handshake and of the connection. */
  readonly #changed = new Gate();
  #socket: Socket;
  #isSecure = false;
  #isAuthenticated = false;
  /** Absolute, until authentication: what a slow sender of single octets cannot put off. */
  readonly #preauthUntil: number;
  #isEnded = false;
  #isClosed = false;
  #isMidCommand = false;
  #isFlushDue = false;
  #shutdown: Error | null = null;

  constructor(socket: Socket, dependencies: ImapDependencies, options: ConnectionOptions) {
    this.id = options.id;
    this.remoteAddress = options.remoteAddress;
    this.#options = options;
    this.#session = new Session(dependencies, this);
    this.#preauthUntil = performance.now() + options.times.preauthMs;
    this.#socket = socket;
  }

  // --- For the server ---

  /** Serves the client until the connection ends. Never rejects, unless there is a bug. */
  async serve(): Promise<void> {
    try {
      if (this.#options.isImplicitTls) await this.#startTls();
      else this.#listen(this.#socket);
      this.#session.greet();
      await this.#converse();
      await this.#session.end();
      await this.#finish().catch(passOver);
    } catch (error) {
      await this.#session.end();
      if (error instanceof ConnectionEnd) {
        if (error.bye === null) return;
        this.#session.sayBye(error.bye);
        await this.#finish().catch(passOver);
        return;
      }
      throw error;
    } finally {
      // Where there was no BYE, nobody listens, or a literal was broken off: not another octet.
      this.#socket.destroy();
    }
  }

  /** Ends the connection with BYE once the command that runs is done; at once when none runs, or IDLE. */
  shutDown(): void {
    this.#shutdown = new ConnectionEnd('The server is shutting down.', SHUTDOWN);
    this.#input.fail(this.#shutdown);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // --- ClientLink ---

  get isSecure(): boolean {
    return this.#isSecure;
  }

  get mayStartTls(): boolean {
    return !this.#isSecure && this.#options.secureContext() !== null;
  }

  get mayAuthenticate(): boolean {
    return this.#isSecure || this.#options.isPlaintextAllowed;
  }

  get appendLimitOctets(): number {
    return this.#options.appendLimitOctets;
  }

  get messageLimit(): number | null {
    return this.#options.messageLimit;
  }

  get keepAliveMs(): number {
    return this.#options.times.keepAliveMs;
  }

  get out(): Output {
    return this;
  }

  authenticated(userId: string): () => void {
    const release = this.#options.claimUser(userId);
    this.#isAuthenticated = true;
    this.#reader.limits = READER_LIMITS;
    return release;
  }

  async readLine(): Promise<Buffer> {
    this.#reader.expectLine();
    const event = await this.nextEvent();
    if (event.kind === 'line') return event.octets;
    if (event.kind === 'error') throw event.error;
    throw new Error(`a line was expected, not ${event.kind}`);
  }

  // --- Output ---

  text(wire: string): void {
    this.#writer.text(wire);
  }

  literal(octets: Uint8Array): void {
    this.#writer.literal(octets);
  }

  octets(octets: Uint8Array): void {
    this.#writer.octets(octets);
  }

  settle(): Promise<void> | undefined {
    // A client that left must not have thousands of messages opened for it.
    if (this.#isClosed) throw new ConnectionEnd(null);
    return this.#writer.sizeOctets < IMAP_OUTPUT_BATCH_OCTETS ? undefined : this.flush();
  }

  async flush(): Promise<void> {
    if (this.#isClosed) throw new ConnectionEnd(null);
    this.#write();
    if (this.#socket.writableNeedDrain) await this.#drained.wait(this.#options.times.stallMs, null);
  }

  // --- Reading ---

  /** The next event of the reader; what is due to the client is sent before waiting for it. */
  async nextEvent(): Promise<ReaderEvent> {
    for (;;) {
      const event = this.#reader.next();
      if (event?.kind === 'error' && event.isFatal) throw new ConnectionEnd(FRAMING_LOST);
      if (event !== null) return event;
      await this.flush();
      await this.#moreOctets();
    }
  }

  /** @throws ConnectionEnd when the literal is too large to be skipped: nobody knows then where the next command is. */
  refuseLiteral(): void {
    if (!this.#reader.refuseLiteral()) throw new ConnectionEnd(FRAMING_LOST);
  }

  /** Lets the announced literal come as 'literal-data' events. */
  streamLiteral(): void {
    this.#reader.acceptLiteral('stream');
  }

  async #moreOctets(): Promise<void> {
    if (this.#shutdown !== null) throw this.#shutdown;
    if (this.#isEnded || this.#isClosed) throw new ConnectionEnd(null);
    this.#socket.resume();
    const { times } = this.#options;
    const isMidCommand = this.#isMidCommand || this.#reader.bufferedOctets > 0;
    const ms = isMidCommand ? times.stallMs : times.autologoutMs;
    if (this.#isAuthenticated) await this.#input.wait(ms, 'Autologout, nothing was heard for too long.');
    else
      await this.#input.wait(Math.min(ms, this.#preauthUntil - performance.now()), 'Autologout, no login.');
  }

  async #converse(): Promise<void> {
    for (;;) {
      this.#isMidCommand = false;
      const after = await this.#handle(await this.nextEvent());
      if (after === 'close') return;
      if (after === 'starttls') await this.#upgrade();
      else await this.#settleReply();
      if (this.#shutdown !== null) throw this.#shutdown;
    }
  }

  async #handle(event: ReaderEvent): Promise<AfterReply> {
    switch (event.kind) {
      case 'command': {
        let command: ReturnType<typeof parseCommand>;
        try {
          command = parseCommand(event.command, PARSER_OPTIONS);
        } catch (error) {
          return this.#reject(error);
        }
        return this.#session.execute(command, null);
      }
      case 'literal':
        return this.#announced(event);
      case 'error':
        return this.#session.reject(event.tag, event.error);
      default:
        throw new Error(`${event.kind} outside of a command`);
    }
  }

  /** A literal follows: an argument is kept, the message of an APPEND goes where APPEND wants it. */
  async #announced(event: LiteralEvent): Promise<AfterReply> {
    let what: ReturnType<typeof classifyLiteral>;
    try {
      what = classifyLiteral(event.prefix, PARSER_OPTIONS);
    } catch (error) {
      return this.#refuse(this.#reject(error));
    }
    if (what.kind === 'argument') {
      if (!event.mayBuffer) {
        return this.#refuse(this.#session.reject(what.tag, new ProtocolError('A literal is too long.')));
      }
      this.#reader.acceptLiteral('buffer');
      if (!event.isNonSync) this.text(printContinuation('OK'));
      this.#isMidCommand = true;
      return this.#handle(await this.nextEvent());
    }
    const message = new IncomingMessage(this, event);
    this.#isMidCommand = true;
    const after = await this.#session.execute(what.append, message);
    await message.drop();
    return after;
  }

  #reject(error: unknown): AfterReply {
    return this.#session.reject(error instanceof CommandError ? error.tag : null, error);
  }

  #refuse(after: AfterReply): AfterReply {
    this.refuseLiteral();
    return after;
  }

  // --- Writing ---

  /** With more commands at hand, their replies may go out together; but none waits for a command that takes long. */
  #settleReply(): Promise<void> | undefined {
    if (this.#reader.bufferedOctets === 0 || this.#writer.sizeOctets >= IMAP_OUTPUT_BATCH_OCTETS) {
      return this.flush();
    }
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        this.#write();
      });
    }
    return undefined;
  }

  #write(): void {
    if (this.#writer.sizeOctets === 0) return;
    const buffers = this.#writer.take();
    const socket = this.#socket;
    if (this.#isClosed || socket.destroyed) return;
    if (buffers.length > 1) socket.cork();
    for (const buffer of buffers) socket.write(buffer);
    if (buffers.length > 1) socket.uncork();
  }

  /** Sends what is due, then our end, and leaves the client a while for its own. */
  async #finish(): Promise<void> {
    await this.flush();
    this.#socket.resume();
    this.#socket.end();
    if (!this.#isClosed) await this.#changed.wait(this.#options.times.closeMs, null);
  }

  // --- The socket ---

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      // After our end the rest is read and dropped: closing on unread octets would reset the connection, and the client
      // might lose our last reply.
      if (socket.writableEnded) return;
      this.#reader.push(chunk);
      if (this.#reader.bufferedOctets > IMAP_PIPELINE_OCTETS) socket.pause();
      this.#input.open();
    });
    socket.on('drain', () => this.#drained.open());
    socket.on('end', () => {
      this.#isEnded = true;
      this.#input.open();
    });
    // 'close' follows.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#input.fail(new ConnectionEnd(null));
      this.#drained.fail(new ConnectionEnd(null));
      this.#changed.fail(new ConnectionEnd(null));
    });
  }

  /** RFC 9051 §6.2.1, after the tagged OK. */
  async #upgrade(): Promise<void> {
    await this.flush();
    const socket = this.#socket;
    socket.removeAllListeners();
    socket.on('error', () => {});
    // Whoever sits between could have put commands behind STARTTLS, to be run as the client's own.
    this.#reader.discardBuffered();
    await this.#startTls();
  }

  async #startTls(): Promise<void> {
    const secureContext = this.#options.secureContext();
    if (secureContext === null) throw new ConnectionEnd(null);
    const socket = new TLSSocket(this.#socket, { isServer: true, secureContext });
    this.#listen(socket);
    socket.once('secure', () => this.#changed.open());
    await this.#changed.wait(this.#options.times.handshakeMs, null);
    this.#isSecure = true;
  }
}

/** The client went away first, or waited too long with it. */
function passOver(error: unknown): void {
  if (!(error instanceof ConnectionEnd)) throw error;
}
