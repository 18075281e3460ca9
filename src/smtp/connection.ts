/**
 * smtp-server's connection with its traps closed, in this one place. The package (pinned to the patch version) frames
 * commands and DATA; it ends DATA on CRLF.CRLF alone, which test/smtp/data.test.ts holds it to. What it does
 * otherwise than we want, found in its source:
 *
 * - a reply to an error of ours gets the enhanced status code of its number (every 550 is 5.1.1): we send our own;
 * - each reply is a write of its own: those to pipelined commands go together here (RFC 2920 §3.2);
 * - AUTH is announced before TLS, and answered 538 5.7.0 there: hidden, and 5.7.11 (RFC 5248);
 * - nothing bounds refused recipients, or commands that arrive octet by octet: counted and swept;
 * - the pause before the banner is fixed: made an option.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import type { SmtpReply } from './replies.ts';

export interface ConnectionLimits {
  /** Before the banner; a client that speaks earlier is dropped. 0: none. */
  readonly bannerPauseMs: number;
  /** Commands refused for good since the last accepted message; null: any number (a trusted LMTP client). */
  readonly errors: number | null;
  /** From the reply to one command to the end of the next. */
  readonly idleMs: number;
  /** From DATA's 354 to its end. */
  readonly dataMs: number;
}

/** An enhanced status code of ours at the head of a reply's text. */
const OWN_STATUS = /^[245]\.\d{1,3}\.\d{1,3} /;

/** What the package calls 4.4.2, a timeout, and is none. */
const STATUS_OF_421: readonly (readonly [text: RegExp, status: string])[] = [
  [/shutting down/, '4.3.2'],
  [/too soon|HTTP|too many|Too many/, '4.7.0'],
  [/line too long/, '4.5.2'],
];

/** Whether a session may authenticate as it stands: over TLS, or from a network that is configured to be trusted. */
export type MayAuthenticate = (session: SMTPServerSession, isSecure: boolean) => boolean;

export class EdgeConnection extends SMTPConnection {
  readonly #limits: ConnectionLimits;
  readonly #mayAuthenticate: MayAuthenticate;
  #errors = 0;
  /** The socket that holds replies back; after STARTTLS it would be another. */
  #corked: Socket | TLSSocket | null = null;
  #progressAt = Date.now();

  constructor(
    server: EdgeServer,
    socket: Socket | TLSSocket,
    options: ConstructorParameters<typeof SMTPConnection>[2],
  ) {
    super(server, socket, options);
    this.#limits = server.limits;
    this.#mayAuthenticate = server.mayAuthenticate;
  }

  /** Receiving a message, or working for the client: not to be disturbed. */
  get isBusy(): boolean {
    return this._handlerPending || Boolean(this._dataStream);
  }

  /** Sends a reply of our own making. */
  reply(reply: SmtpReply): void {
    this.send(reply.code, `${reply.status} ${reply.text}`);
  }

  /** Ends the connection at once, with a last word where the client can still hear it. */
  drop(reply: SmtpReply): void {
    this.reply(reply);
    this.close();
    this._socket.destroySoon();
  }

  /** Closes the connection when the client makes no progress, however busily it trickles octets. */
  sweep(now: number): void {
    const isReceiving = this._parser !== false && this._parser._dataMode;
    if (this.isBusy && !isReceiving) return;
    const allowed = isReceiving ? this.#limits.dataMs : this.#limits.idleMs;
    if (now - this.#progressAt > allowed) {
      this.drop({ code: 421, status: '4.4.2', text: 'Timeout, closing connection' });
    }
  }

  override init(): void {
    const { maxClients } = this._server.options;
    this._setListeners(() => {
      if (maxClients !== undefined && this._server.connections.size > maxClients) {
        this.reply({ code: 421, status: '4.7.0', text: 'Too many connections, try again later' });
      } else if (this.#limits.bannerPauseMs === 0) this.connectionReady();
      else setTimeout(() => this.connectionReady(), this.#limits.bannerPauseMs).unref();
    });
  }

  override handler_AUTH(command: Buffer, callback: () => void): void {
    if (this.#mayAuthenticate(this.session, this.secure)) {
      super.handler_AUTH(command, callback);
      return;
    }
    this.reply({ code: 538, status: '5.7.11', text: 'Encryption required for authentication' });
    callback();
  }

  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    this.#progressAt = Date.now();
    if (code >= 500 && this.#isErrorTooMany()) {
      this.reply({ code: 421, status: '4.7.0', text: 'Too many errors, closing connection' });
      return;
    }
    if (context === 'DATA_OK') this.#errors = 0;
    this.#cork(code);
    if (Array.isArray(data)) super.send(code, this.#announced(data), context);
    else super.send(code, ...withStatus(code, data ?? '', context));
    if (code === 220) this.#uncork();
  }

  /** EHLO's reply is the only one with several lines. RFC 4954 §4: no mechanisms that would be refused. */
  #announced(lines: readonly string[]): string[] {
    if (this.#mayAuthenticate(this.session, this.secure)) return [...lines];
    return lines.filter((line) => !line.startsWith('AUTH '));
  }

  #isErrorTooMany(): boolean {
    this.#errors++;
    return this.#limits.errors !== null && this.#errors > this.#limits.errors;
  }

  /**
   * Holds replies back until the loop has seen to all that came in, so that pipelined commands are answered in one write.
   * Not 220: the TLS handshake that it announces writes past this socket.
   */
  #cork(code: number): void {
    if (this.#corked !== null || this._upgrading || code === 220) return;
    this.#corked = this._socket;
    this.#corked.cork();
    setImmediate(() => this.#uncork());
  }

  #uncork(): void {
    this.#corked?.uncork();
    this.#corked = null;
  }
}

export interface EdgeServerOptions extends SMTPServerOptions {
  readonly limits: ConnectionLimits;
  readonly mayAuthenticate: MayAuthenticate;
}

export class EdgeServer extends SMTPServer {
  readonly limits: ConnectionLimits;
  readonly mayAuthenticate: MayAuthenticate;
  readonly #bySession = new WeakMap<SMTPServerSession, EdgeConnection>();

  constructor({ limits, mayAuthenticate, ...options }: EdgeServerOptions) {
    super(options);
    this.limits = limits;
    this.mayAuthenticate = mayAuthenticate;
  }

  /** The connection of a session that a handler was called with. */
  connectionOf(session: SMTPServerSession): EdgeConnection | undefined {
    return this.#bySession.get(session);
  }

  *edgeConnections(): Generator<EdgeConnection> {
    for (const connection of this.connections) if (connection instanceof EdgeConnection) yield connection;
  }

  override connect(
    socket: Socket | TLSSocket,
    socketOptions?: ConstructorParameters<typeof SMTPConnection>[2],
  ): void {
    const connection = new EdgeConnection(this, socket, socketOptions);
    this.#bySession.set(connection.session, connection);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }
}

/** The text and context that make the package send the status we mean. */
function withStatus(
  code: number,
  text: string,
  context: string | false | undefined,
): [text: string, context: string | false | undefined] {
  if (OWN_STATUS.test(text)) return [text, false];
  if (code === 421 && context !== false) {
    const status = STATUS_OF_421.find(([pattern]) => pattern.test(text))?.[1];
    if (status !== undefined) return [`${status} ${text}`, false];
  }
  return [text, context];
}
