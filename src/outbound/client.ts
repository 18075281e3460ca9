/**
 * An SMTP client's connection: nodemailer's, with what it lacks added in this one place. The package (pinned to the patch
 * version) speaks the protocol, stuffs dots and pipelines; what it does otherwise than we want, found in its source:
 *
 * - DSN parameters are the same for all recipients: ours are each recipient's own (RFC 3461);
 * - SMTPUTF8 is asked for when an address needs it, not when the header does (RFC 6531 §3.4);
 * - one time-out for all waits: ours are those of RFC 5321 §4.5.3.2;
 * - a failed TLS handshake ends the connection: whoever called is told that it was that, and may go without;
 * - its errors carry what the server said, so none of them leaves this file.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import {
  SMTP_OUT_COMMAND_MS,
  SMTP_OUT_CONNECT_MS,
  SMTP_OUT_DATA_MS,
  SMTP_OUT_END_MS,
  SMTP_OUT_GREETING_MS,
  SMTP_OUT_REPLY_OCTETS,
  SMTP_OUT_TRANSACTION_MS,
} from '../limits.ts';
import { isAscii } from '../message/ascii.ts';
import { outcomeOf, ownReply, parseReply, type RecipientOutcome, type RemoteReply } from './reply.ts';
import type { Hop } from './route.ts';

/** The session could not be had, or ended before the server had decided: another server may be asked. */
export class SessionError extends Error {
  override readonly name = 'SessionError';
  readonly reply: RemoteReply;
  /** The TLS handshake failed. */
  readonly isTls: boolean;

  constructor(reply: RemoteReply, isTls = false) {
    super('The SMTP session failed');
    this.reply = reply;
    this.isTls = isTls;
  }
}

/** A file that the session needs, with the password or the authorities, cannot be read. */
export class FileError extends SessionError {
  readonly path: string;
  /** The system's. */
  readonly code: string;

  constructor(path: string, cause: unknown, host: string) {
    // RFC 3463 §3.4: the system is not configured as it should be. The mail waits for whoever looks after it.
    super(ownReply('4.3.5', 'Our settings for the next server cannot be read', host));
    this.path = path;
    this.code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

export interface TransactionRecipient {
  readonly address: string;
  /** RFC 3461, as they are written behind RCPT; '' for none. */
  readonly parameters: string;
}

export interface Transaction {
  readonly reversePath: string;
  readonly recipients: readonly TransactionRecipient[];
  /** RFC 3461, as they are written behind MAIL; '' for none. */
  readonly parameters: string;
  /** The envelope or the header has what only SMTPUTF8 carries. */
  readonly needsUtf8: boolean;
  readonly sizeOctets: number;
  /** The message; asked for once the server wants it. */
  readonly octets: () => AsyncIterable<Buffer>;
}

/** What of nodemailer's insides is used; test/outbound/client.test.ts would miss any of it. */
interface Internals {
  _sendCommand(line: string, logged?: string): void;
  _supportedExtensions: readonly string[];
  _envelope: { accepted?: string[]; rejectedErrors?: RecipientError[] } | false;
  /** From the server's 354 until the last dot is written. */
  readonly _currentDataStream: object | false;
}

interface SmtpError extends Error {
  readonly code?: string;
  readonly response?: string;
}

interface RecipientError extends SmtpError {
  readonly recipient?: string;
}

const BASE = SMTPConnection.prototype as unknown as Internals;

class Connection extends SMTPConnection {
  /** Of the transaction under way. */
  mailParameters = '';
  readonly recipientParameters = new Map<string, string>();
  /** As the server gave it. */
  greeting = '';

  get insides(): Internals {
    return this as unknown as Internals;
  }

  /** Overrides nodemailer's: every command passes here. */
  _sendCommand(line: string, logged?: string): void {
    let sent = line;
    if (line.startsWith('MAIL FROM:')) sent += this.mailParameters;
    else if (line.startsWith('RCPT TO:<')) sent += this.recipientParameters.get(line.slice(9, -1)) ?? '';
    else if (/^(EHLO|HELO|LHLO) /.test(line) && this.greeting === '')
      this.greeting = this.lastServerResponse || '';
    if (this._socket) this._socket.setTimeout(line === 'DATA' ? SMTP_OUT_DATA_MS : SMTP_OUT_COMMAND_MS);
    BASE._sendCommand.call(this, sent, logged);
  }
}

export interface ClientOptions {
  /** What we call ourselves. */
  readonly hostname: string;
  /** Ends the connection, whatever it is at. */
  readonly signal: AbortSignal;
}

/** One connection to one server, past greeting, TLS and authentication. */
export class SmtpClient {
  readonly #connection: Connection;
  readonly #host: string;
  #isFailed = false;
  #transactions = 0;
  #fail: (error: SessionError) => void = () => undefined;

  private constructor(connection: Connection, host: string, signal: AbortSignal) {
    this.#connection = connection;
    this.#host = host;
    const abort = (): void => this.destroy();
    signal.addEventListener('abort', abort);
    connection.on('error', (error: SmtpError) => {
      this.#isFailed = true;
      this.#fail(this.#sessionError(error));
    });
    connection.on('end', () => {
      this.#isFailed = true;
      signal.removeEventListener('abort', abort);
    });
  }

  /** Whether it can be used (once more). */
  get isUsable(): boolean {
    return !this.#isFailed && !this.#connection.destroyed;
  }

  get transactions(): number {
    return this.#transactions;
  }

  get isSecure(): boolean {
    return this.#connection.secure;
  }

  /**
   * Connects. Where TLS is only an opportunity and its handshake fails, once more without it (RFC 7435 §3).
   * @throws SessionError, which is a FileError when the file with the password or the authorities cannot be read.
   */
  static async connect(hop: Hop, options: ClientOptions): Promise<SmtpClient> {
    try {
      return await SmtpClient.#connect(hop, options, hop.security !== 'none');
    } catch (error) {
      if (!(error instanceof SessionError && error.isTls) || hop.security !== 'opportunistic') throw error;
      return await SmtpClient.#connect(hop, options, false);
    }
  }

  static async #connect(
    hop: Hop,
    { hostname, signal }: ClientOptions,
    mayUseTls: boolean,
  ): Promise<SmtpClient> {
    const { name, address, port, security } = hop;
    const isOpportunistic = security === 'opportunistic';
    const authorities = hop.caFile === null ? {} : { ca: await readSetting(hop.caFile, name) };
    const connection = new Connection({
      host: address,
      port,
      name: hostname,
      secure: security === 'tls',
      ignoreTLS: !mayUseTls,
      requireTLS: security === 'starttls',
      opportunisticTLS: isOpportunistic,
      tls: {
        rejectUnauthorized: !isOpportunistic,
        ...(isIP(name) === 0 ? { servername: name } : {}),
        ...authorities,
      },
      connectionTimeout: SMTP_OUT_CONNECT_MS + SMTP_OUT_GREETING_MS,
      greetingTimeout: SMTP_OUT_GREETING_MS,
      socketTimeout: SMTP_OUT_COMMAND_MS,
      maxResponseSize: SMTP_OUT_REPLY_OCTETS,
      logger: false,
    });
    if (signal.aborted) throw endedHere(name);
    const client = new SmtpClient(connection, name, signal);
    try {
      await client.#during((done) => connection.connect(done));
      client.#refuseOurselves(hostname);
      if (hop.credentials !== null) await client.#logIn(hop.credentials);
    } catch (error) {
      client.destroy();
      throw error;
    }
    return client;
  }

  /** Whether the server announced the extension. */
  supports(extension: string): boolean {
    return this.#connection.insides._supportedExtensions.includes(extension);
  }

  /**
   * One message to some recipients.
   * @returns What the server said of each, by address: of all of them.
   * @throws SessionError when the session ended before the server had decided about anybody; whatever `octets` throws,
   *   with nothing sent.
   */
  async send(transaction: Transaction): Promise<ReadonlyMap<string, RecipientOutcome>> {
    const { recipients, needsUtf8 } = transaction;
    this.#transactions++;
    if (needsUtf8 && !this.supports('SMTPUTF8')) {
      // RFC 6531 §3.2: it is not sent on as something else.
      const reply = ownReply('5.6.7', 'The server does not support internationalized mail', this.#host);
      return new Map(recipients.map(({ address }) => [address, outcomeOf(reply)]));
    }
    const connection = this.#connection;
    const hasDsn = this.supports('DSN');
    const areAscii = [transaction.reversePath, ...recipients.map(({ address }) => address)].every(isAscii);
    connection.mailParameters =
      (needsUtf8 && areAscii ? ' SMTPUTF8' : '') + (hasDsn ? transaction.parameters : '');
    connection.recipientParameters.clear();
    for (const { address, parameters } of recipients) {
      if (hasDsn) connection.recipientParameters.set(address, parameters);
    }
    return await this.#exchange(transaction);
  }

  async #exchange(transaction: Transaction): Promise<ReadonlyMap<string, RecipientOutcome>> {
    const { reversePath, recipients, sizeOctets } = transaction;
    // Of the transaction before: nodemailer keeps it, and what it refuses itself comes before there is a new one.
    this.#connection.insides._envelope = false;
    let ownFailure: unknown = null;
    let hasEnded = false;
    const watched = async function* (): AsyncGenerator<Buffer> {
      try {
        yield* transaction.octets();
        hasEnded = true;
      } catch (error) {
        ownFailure = error;
        throw error;
      }
    };
    const message = Readable.from(watched(), { objectMode: false, highWaterMark: 65_536 });
    message.once('end', () => {
      if (this.#connection._socket) this.#connection._socket.setTimeout(SMTP_OUT_END_MS);
    });
    const to = recipients.map(({ address }) => address);
    try {
      const response = await this.#during<string>((done) =>
        this.#connection.send(
          { from: reversePath, to, size: sizeOctets, use8BitMime: true },
          message,
          (error, info) => done(error, info?.response ?? ''),
        ),
      );
      if (!this.#isInData) return this.#outcomes(to, parseReply(response, this.#host));
      // A yes to what the server has not read is none to the message.
      this.destroy();
      return this.#outcomes(
        to,
        ownReply('4.5.0', 'The server answered in the middle of the message', this.#host),
      );
    } catch (error) {
      // Without its last dot: the server must not take the part that it has for the message.
      if (ownFailure !== null) {
        this.destroy();
        throw ownFailure;
      }
      if (error instanceof SessionError) {
        this.#isFailed = true;
        // What was refused is refused, whatever became of the session afterwards.
        if (!hasEnded && this.#refusals().size === 0) throw error;
        return this.#outcomes(to, error.reply);
      }
      const { response, code } = error as SmtpError;
      if (response === undefined && code === 'EMESSAGE') {
        return this.#outcomes(to, ownReply('5.3.4', 'The server takes no message of this size', this.#host));
      }
      if (response === undefined) {
        return this.#outcomes(to, ownReply('5.1.3', 'The address cannot be said in SMTP', this.#host));
      }
      if (response.startsWith('421') && !hasEnded && this.#refusals().size === 0) {
        // RFC 5321 §4.2.1: the server ends the session, whatever it was asked. So do we, lest it be used again.
        this.destroy();
        throw new SessionError(parseReply(response, this.#host));
      }
      const outcomes = this.#outcomes(to, parseReply(response, this.#host));
      // In the middle of the message a command would be text of it.
      if (this.#isInData) this.destroy();
      // Forgets who was refused.
      else await this.#reset();
      return outcomes;
    } finally {
      message.destroy();
      this.#connection.mailParameters = '';
    }
  }

  get #isInData(): boolean {
    const { _currentDataStream: stream } = this.#connection.insides;
    return typeof stream === 'object';
  }

  /** @param rest What was said of those that were not refused one by one. */
  #outcomes(to: readonly string[], rest: RemoteReply): Map<string, RecipientOutcome> {
    const refusals = this.#refusals();
    const isReportedOn = this.supports('DSN');
    return new Map(
      to.map((address) => {
        const refusal = refusals.get(address);
        if (refusal !== undefined) return [address, refusal];
        return [address, { ...outcomeOf(rest), isReportedOn }];
      }),
    );
  }

  #refusals(): Map<string, RecipientOutcome> {
    const envelope = this.#connection.insides._envelope;
    const errors = envelope === false ? [] : (envelope.rejectedErrors ?? []);
    const refusals = new Map<string, RecipientOutcome>();
    for (const { recipient, response } of errors) {
      if (recipient === undefined || response === undefined) continue;
      const reply = parseReply(response, this.#host);
      // RFC 5321 §4.5.3.1.10: old servers say 552 for too many recipients.
      const isTooMany = reply.code === 552 && reply.status === '5.0.0';
      refusals.set(recipient, isTooMany ? { kind: 'deferred', reply } : outcomeOf(reply));
    }
    return refusals;
  }

  /** Ends the session as RFC 5321 §4.1.1.10 has it. */
  quit(): void {
    if (!this.isUsable) return;
    this.#isFailed = true;
    this.#connection.quit();
  }

  /** Ends the connection at once, and what waits for it with a SessionError. */
  destroy(): void {
    this.#isFailed = true;
    this.#fail(endedHere(this.#host));
    const { _socket: socket } = this.#connection;
    this.#connection.close();
    if (socket) socket.destroy();
  }

  async #reset(): Promise<void> {
    if (!this.isUsable) return;
    await this.#during((done) => this.#connection.reset((error) => done(error))).catch(() => this.destroy());
  }

  /** RFC 5321 §4.3.1 has the server's name first in its greeting. */
  #refuseOurselves(hostname: string): void {
    const [, name = ''] = /^220[ -](\S+)/.exec(this.#connection.greeting) ?? [];
    if (name.toLowerCase() !== hostname.toLowerCase()) return;
    throw new SessionError(
      ownReply('5.4.6', 'Mail for this domain would come back to this server', this.#host),
    );
  }

  async #logIn({ user, passwordFile }: NonNullable<Hop['credentials']>): Promise<void> {
    const pass = (await readSetting(passwordFile, this.#host)).toString('utf8').trimEnd();
    try {
      await this.#during((done) => this.#connection.login({ user, pass }, (error) => done(error)));
    } catch (error) {
      if (error instanceof SessionError) throw error;
      // To be tried again: an administrator has to look, and may take some time.
      const said = parseReply((error as SmtpError).response ?? '454 4.7.0 cannot log in', this.#host);
      throw new SessionError({ ...said, status: '4.7.8', text: 'The next server refuses our credentials' });
    }
  }

  /** Runs a step that ends by its callback, or with the connection. */
  #during<T = void>(step: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> {
    const deadline = setTimeout(() => this.destroy(), SMTP_OUT_TRANSACTION_MS);
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject;
      step((error, value) => {
        if (error == null) resolve(value as T);
        else reject(isOfSession(error) ? this.#sessionError(error) : error);
      });
    }).finally(() => {
      clearTimeout(deadline);
      this.#fail = () => undefined;
    });
  }

  #sessionError(error: SmtpError): SessionError {
    const isTls = this.#connection.upgrading === true || error.code === 'ETLS';
    if (error.response !== undefined) {
      // A server that greets with 554 or the like takes no mail now; the message can wait for one that does.
      const said = parseReply(error.response, this.#host);
      return new SessionError({ ...said, status: said.status.replace(/^[^4]/, '4') }, isTls);
    }
    const [status, text] = isTls
      ? ['4.7.5', 'The TLS handshake failed']
      : error.code === 'ETIMEDOUT'
        ? ['4.4.2', 'The server did not answer in time']
        : ['4.4.1', 'The connection could not be made, or was lost'];
    return new SessionError(ownReply(status!, text!, this.#host), isTls);
  }
}

export const endedHere = (host: string | null = null): SessionError =>
  new SessionError(ownReply('4.4.2', 'The session was ended on our side', host));

/** @throws FileError. */
async function readSetting(path: string, host: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new FileError(path, error, host);
  }
}

/** Errors of the connection; the others are the server's answer to the message. */
const isOfSession = ({ code }: SmtpError): boolean =>
  ['ECONNECTION', 'ESOCKET', 'ETIMEDOUT', 'ETLS', 'EDNS', 'EPROTOCOL'].includes(code ?? '');
