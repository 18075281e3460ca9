/**
 * One IMAP connection: moves octets between the socket, the reader and the session. Commands run one after the other;
 * what the client sends ahead waits, up to IMAP_PIPELINE_OCTETS, beyond which its socket is not read.
 *
 * Between commands a connection keeps no buffer: a suspended loop, a timer, and what the session holds.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { ProtocolError, UnavailableError } from '../errors.ts';
import { IMAP_OUTPUT_BATCH_OCTETS, IMAP_PIPELINE_OCTETS } from '../limits.ts';
import type { ImapDependencies, Output } from './command/context.ts';
import { CompressedSocket } from './compressed-socket.ts';
import { Gate } from './gate.ts';
import { IncomingAppend } from './incoming-append.ts';
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
  readonly isCompressionOffered: boolean;
  readonly messageLimit: number | null;
  readonly times: ImapTimes;
  /** The certificate to use now, or null when there is none. */
  secureContext(): SecureContext | null;
  /** Counts one more connection of the user. @throws RefusedError 'too-many'. */
  claimUser(userId: string): () => void;
  /** As CommandContext has it. */
  claimWaiting(octets: number): () => void;
}

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
  #socket: Duplex;
  #isSecure = false;
  #isCompressed = false;
  #isAuthenticated = false;
  /** Absolute, until authentication: what a slow sender of single octets cannot put off. */
  readonly #preauthUntil: number;
  #isEnded = false;
  #isClosed = false;
  #isMidCommand = false;
  #isFlushDue = false;
  /** Why no further command is run: the server shuts down, or what the client sends makes no sense any more. */
  #mustEnd: ConnectionEnd | null = null;

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
    this.#endSoon(new ConnectionEnd('The server is shutting down.', SHUTDOWN));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // --- ClientLink ---

  get isSecure(): boolean {
    return this.#isSecure;
  }

  get isCompressed(): boolean {
    return this.#isCompressed;
  }

  get mayCompress(): boolean {
    return this.#options.isCompressionOffered && !this.#isCompressed;
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

  claimWaiting(octets: number): () => void {
    return this.#options.claimWaiting(octets);
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
    if (this.#mustEnd !== null) throw this.#mustEnd;
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
      else if (after === 'compress') await this.#compress();
      else await this.#settleReply();
      if (this.#mustEnd !== null) throw this.#mustEnd;
    }
  }

  async #handle(event: ReaderEvent): Promise<AfterReply> {
    switch (event.kind) {
      case 'command': {
        let command: ReturnType<typeof parseCommand>;
        try {
          command = parseCommand(event.command, this.#session);
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

  /** A literal follows: an argument is kept, the messages of an APPEND go where APPEND wants them. */
  async #announced(event: LiteralEvent): Promise<AfterReply> {
    let what: ReturnType<typeof classifyLiteral>;
    try {
      what = classifyLiteral(event.prefix, this.#session);
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
    const incoming = new IncomingAppend(this, this.#session, what.append, event);
    this.#isMidCommand = true;
    const after = await this.#session.execute(what.append, incoming);
    await incoming.drop();
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

  #listen(socket: Duplex): void {
    this.#socket = socket;
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
    // 'close' follows.
    socket.on('error', () => {});
  }

  /** For who reads and writes the socket from now on. */
  #leave(): Duplex {
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
    return this.#socket;
  }

  readonly #listeners: readonly (readonly [string, (chunk: Buffer) => void])[] = [
    [
      'data',
      (chunk) => {
        const socket = this.#socket;
        // After our end the rest is read and dropped: closing on unread octets would reset the connection, and the client
        // might lose our last reply.
        if (socket.writableEnded) return;
        this.#reader.push(chunk);
        if (this.#reader.bufferedOctets > IMAP_PIPELINE_OCTETS) socket.pause();
        this.#input.open();
      },
    ],
    ['drain', () => this.#drained.open()],
    [
      'end',
      () => {
        this.#isEnded = true;
        this.#input.open();
      },
    ],
    [
      'close',
      () => {
        this.#isClosed = true;
        this.#input.fail(new ConnectionEnd(null));
        this.#drained.fail(new ConnectionEnd(null));
        this.#changed.fail(new ConnectionEnd(null));
      },
    ],
  ];

  #endSoon(end: ConnectionEnd): void {
    this.#mustEnd ??= end;
    this.#input.fail(this.#mustEnd);
  }

  /** RFC 9051 §6.2.1, after the tagged OK. */
  async #upgrade(): Promise<void> {
    await this.flush();
    // Whoever sits between could have put commands behind STARTTLS, to be run as the client's own.
    this.#reader.discardBuffered();
    await this.#startTls();
  }

  async #startTls(): Promise<void> {
    const secureContext = this.#options.secureContext();
    if (secureContext === null) throw new ConnectionEnd(null);
    const socket = new TLSSocket(this.#leave(), { isServer: true, secureContext });
    this.#listen(socket);
    socket.once('secure', () => this.#changed.open());
    await this.#changed.wait(this.#options.times.handshakeMs, null);
    this.#isSecure = true;
  }

  /** RFC 4978 §3, after the tagged OK, the last octets that are not compressed. */
  async #compress(): Promise<void> {
    await this.flush();
    const socket = new CompressedSocket(this.#leave(), {
      // What came before the client could have seen the OK is held to be compressed too, as Dovecot does: run as commands,
      // it would leave the two with different ideas of where the stream begins.
      early: this.#reader.takeBuffered(),
      onBroken: () => this.#endSoon(new ConnectionEnd('What came is not compressed, or is damaged.')),
    });
    this.#listen(socket);
    this.#isCompressed = true;
  }
}

/** The client went away first, or waited too long with it. */
function passOver(error: unknown): void {
  if (!(error instanceof ConnectionEnd)) throw error;
}
