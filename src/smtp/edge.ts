/**
 * What the SMTP listeners share: the smtp-server package on one side, on the other a policy (mx.ts, lmtp.ts,
 * submission.ts) that decides and knows nothing of the package. The edge keeps the transaction, receives the message,
 * hands it to delivery, and turns every error into a reply.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import type {
  SMTPServerAddress,
  SMTPServerAuthentication,
  SMTPServerDataStream,
  SMTPServerSession,
} from 'smtp-server';
import type { Deliverer, Destination } from '../delivery/deliver.ts';
import type { HeaderRules } from '../delivery/header-rules.ts';
import type { NewlineMode } from '../delivery/newlines.ts';
import type { Reporter } from '../delivery/reporter.ts';
import { type MemoryBudget, Spool } from '../delivery/spool.ts';
import type { TransmissionFacts } from '../delivery/trace.ts';
import { ProtocolError, RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId } from '../ids.ts';
import {
  SMTP_CONNECTIONS,
  SMTP_CONNECTIONS_PER_ADDRESS,
  SMTP_DATA_MS,
  SMTP_ERRORS,
  SMTP_IDLE_MS,
  SMTP_MAILBOXES,
  SMTP_MESSAGE_OCTETS,
  SMTP_RECIPIENTS,
  SMTP_UNAUTHENTICATED_COMMANDS,
} from '../limits.ts';
import { envelopeAddress } from './address.ts';
import { ClientCounter } from './clients.ts';
import { EdgeServer } from './connection.ts';
import { SmtpCounts } from './counts.ts';
import {
  DSN_MAIL_PARAMETERS,
  DSN_RCPT_PARAMETERS,
  type MessageDsn,
  messageDsn,
  type RecipientDsn,
  recipientDsn,
} from './dsn.ts';
import { logFailure, type SmtpLog } from './log.ts';
import { receive } from './receive.ts';
import { type ReplyStage, replyTo, type SmtpReply } from './replies.ts';
import { reportDelivery } from './reports.ts';

/** Who is connected. `P` is what the policy knows of an authenticated user. */
export interface SmtpClient<P> {
  readonly remoteAddress: string;
  /** From a network where credentials may pass in clear, or over TLS. */
  readonly isTrusted: boolean;
  readonly principal: P | null;
}

/** RFC 5321 §3.3: from an accepted MAIL to the reply to the last octet of DATA. */
export interface SmtpTransaction<P> {
  readonly client: SmtpClient<P>;
  /** '' is the null reverse-path. */
  readonly reversePath: string;
  /** RFC 1870 SIZE=, when the client gave it. */
  readonly declaredOctets: number | null;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly remoteAddress: string;
}

/** Decisions of one listener. Each may throw one of the four kinds; replies.ts has the words for them. */
export interface SmtpPolicy<P> {
  readonly name: 'mx' | 'lmtp' | 'submission';
  readonly newlines: NewlineMode;
  /** Absent: AUTH is not offered and nobody has to. */
  authenticate?(credentials: Credentials): Promise<P>;
  /** Whether an AUTH exchange is allowed as the connection stands. */
  mayAuthenticate?(remoteAddress: string, isSecure: boolean): boolean;
  checkSender(transaction: SmtpTransaction<P>): Promise<void> | void;
  /** The mailboxes that a recipient stands for, or the queue that goes on to it; at least one. */
  recipient(
    transaction: SmtpTransaction<P>,
    address: string,
    dsn: RecipientDsn,
  ): Promise<readonly Destination[]>;
  /** Whose message it is; absent or null: not a user's of ours. */
  submitter?(transaction: SmtpTransaction<P>): MailboxId | null;
  rules(transaction: SmtpTransaction<P>, receivedAt: Date): HeaderRules;
}

export interface EdgeOptions {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Our name: in the banner, in Received. */
  readonly host: string;
  /** Certificate and key; null: no TLS. */
  readonly tls: SecureContextOptions | null;
  /** TLS from the first octet, instead of STARTTLS. Default false. */
  readonly isTlsImplicit?: boolean;
  readonly messageOctets?: number;
  readonly recipients?: number;
  readonly connections?: number;
  readonly connectionsPerAddress?: number;
  readonly commandOctets: number;
  readonly idleMs?: number;
  /** Before the banner, to catch clients that do not wait for it. Default 0, none. */
  readonly bannerPauseMs?: number;
}

export interface EdgeDeps {
  readonly deliverer: Pick<Deliverer, 'deliver'>;
  readonly budget: MemoryBudget;
  readonly spoolDirectory: string;
  readonly log: SmtpLog;
  /** Tells senders what became of their mail (RFC 3461). Absent: DSN is not offered, and nobody is told. */
  readonly reporter?: Pick<Reporter, 'report'>;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

export interface SmtpListener {
  readonly port: number;
  readonly counts: SmtpCounts;
  /** New connections get the new certificate; those that are there keep theirs. */
  updateTls(tls: SecureContextOptions): void;
  /**
   * Refuses new connections, sends 421 to idle ones, lets messages in flight be answered, and closes what is left after
   * `graceMs`.
   */
  close(graceMs: number): Promise<void>;
}

interface OpenTransaction<P> extends SmtpTransaction<P> {
  readonly dsn: MessageDsn;
  readonly isUtf8: boolean;
  /** One entry for each accepted RCPT, repeated ones too: LMTP answers each (RFC 2033 §4.2). */
  readonly recipients: Recipient[];
  /** Mailboxes, and people elsewhere, that the recipients stand for, a repeated one once. */
  standsFor: number;
}

interface Recipient {
  readonly address: string;
  readonly placements: readonly Destination[];
  readonly dsn: RecipientDsn;
}

/** RFC 5321 §4.1.1.11: what was not announced is answered 555. AUTH= is RFC 4954 §5's, and means nothing to us. */
const MAIL_PARAMETERS = new Set(['SIZE', 'BODY', 'SMTPUTF8', 'AUTH']);
const SWEEP_MS = 15_000;
/** How long a client that does not read may keep a closing server from sending its last 421. */
const LAST_WORD_MS = 500;
const NO_MORE: SmtpReply = {
  code: 421,
  status: '4.3.2',
  text: 'The server is shutting down, try again later',
};

export async function startEdge<P>(
  options: EdgeOptions,
  policy: SmtpPolicy<P>,
  deps: EdgeDeps,
): Promise<SmtpListener> {
  const edge = new Edge(options, policy, deps);
  await edge.listen(options.port, options.address);
  return edge;
}

class Edge<P> implements SmtpListener {
  readonly counts = new SmtpCounts();
  readonly #options: EdgeOptions;
  readonly #policy: SmtpPolicy<P>;
  readonly #deps: EdgeDeps;
  readonly #server: EdgeServer;
  readonly #clients: ClientCounter;
  /** Sessions that were counted, so that each is once. */
  readonly #entered = new WeakSet<SMTPServerSession>();
  /** The package makes a new envelope object whenever a transaction ends, however it ends. */
  readonly #transactions = new WeakMap<object, OpenTransaction<P>>();
  readonly #sweeper: NodeJS.Timeout;
  #port = 0;
  #isClosing = false;

  constructor(options: EdgeOptions, policy: SmtpPolicy<P>, deps: EdgeDeps) {
    if (options.isTlsImplicit === true && options.tls === null) {
      // The package would use a key of its own that everybody knows.
      throw new RefusedError('invalid', 'TLS needs a certificate and its key');
    }
    this.#options = options;
    this.#policy = policy;
    this.#deps = deps;
    this.#clients = new ClientCounter(options.connectionsPerAddress ?? SMTP_CONNECTIONS_PER_ADDRESS);
    this.#server = this.#createServer();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** 0 before `listen`. */
  get port(): number {
    return this.#port;
  }

  /** @throws the system's error when the port cannot be had. */
  async listen(port: number, address: string): Promise<void> {
    // First: the package passes on what happens to the listening socket, and an error that nobody listens to ends us.
    this.#server.on('error', (error: Error) => this.#log.debug({ code: codeOf(error) }, 'connection error'));
    const listening = this.#server.listen(port, address);
    await once(listening, 'listening');
    this.#port = (listening.address() as AddressInfo).port;
  }

  updateTls(tls: SecureContextOptions): void {
    this.#server.updateSecureContext(tls);
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#sweeper);
    // The package's own deadline is only there to come after ours.
    this.#server.options.closeTimeout = graceMs + 2 * LAST_WORD_MS;
    const closed = new Promise<void>((resolve) => this.#server.close(resolve));
    for (const connection of this.#server.edgeConnections()) if (!connection.isBusy) connection.drop(NO_MORE);
    await Promise.race([closed, setTimeout(graceMs, undefined, { ref: false })]);
    for (const connection of this.#server.edgeConnections()) connection.drop(NO_MORE);
    await Promise.race([closed, setTimeout(LAST_WORD_MS, undefined, { ref: false })]);
  }

  /**
   * For users. A stranger could have notifications, with a header of his making or a whole message, sent to any address
   * that he names as the sender; the MTA before us reports itself then (RFC 3461 §5.2.2), as that before LMTP does.
   */
  get #hasDsn(): boolean {
    return this.#deps.reporter !== undefined && this.#policy.name === 'submission';
  }

  get #log(): SmtpLog {
    return this.#deps.log;
  }

  #createServer(): EdgeServer {
    const { options: given, policy } = { options: this.#options, policy: this.#policy };
    const hasAuth = policy.authenticate !== undefined;
    const hasStartTls = given.tls !== null && given.isTlsImplicit !== true;
    return new EdgeServer({
      ...(given.tls ?? {}),
      minVersion: 'TLSv1.2',
      secure: given.isTlsImplicit === true,
      lmtp: policy.name === 'lmtp',
      name: given.host,
      heloResponse: '%s',
      size: given.messageOctets ?? SMTP_MESSAGE_OCTETS,
      maxClients: given.connections ?? SMTP_CONNECTIONS,
      maxCommandLength: given.commandOctets,
      maxAllowedUnauthenticatedCommands: SMTP_UNAUTHENTICATED_COMMANDS,
      socketTimeout: given.idleMs ?? SMTP_IDLE_MS,
      hideENHANCEDSTATUSCODES: false,
      hideSTARTTLS: !hasStartTls,
      hideDSN: !this.#hasDsn,
      disabledCommands: [
        ...['XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL', 'HELP'],
        ...(hasAuth ? [] : ['AUTH']),
        ...(hasStartTls ? [] : ['STARTTLS']),
      ],
      authMethods: ['PLAIN', 'LOGIN'],
      // Who may authenticate is decided by mayAuthenticate; the package would refuse all without TLS.
      allowInsecureAuth: true,
      authRequiredMessage: '5.7.0 Authentication required',
      disableReverseLookup: true,
      logger: false,
      limits: {
        bannerPauseMs: given.bannerPauseMs ?? 0,
        errors: policy.name === 'lmtp' ? null : SMTP_ERRORS,
        idleMs: given.idleMs ?? SMTP_IDLE_MS,
        dataMs: SMTP_DATA_MS,
      },
      mayAuthenticate: (session, isSecure) =>
        hasAuth && (policy.mayAuthenticate?.(session.remoteAddress, isSecure) ?? isSecure),
      onConnect: (session, callback) =>
        this.#settle('connect', session, callback, () => {
          this.#clients.enter(session.remoteAddress);
          this.#entered.add(session);
          this.counts.opened();
        }),
      onClose: (session) => {
        if (!this.#entered.delete(session)) return;
        this.#clients.leave(session.remoteAddress);
        this.counts.closed();
      },
      onAuth: (auth, session, callback) =>
        this.#settle('auth', session, callback, async () => ({
          user: await this.#authenticate(auth, session),
        })),
      onMailFrom: (address, session, callback) =>
        this.#settle('mail', session, callback, () => this.#mail(address, session)),
      onRcptTo: (address, session, callback) =>
        this.#settle('rcpt', session, callback, () => this.#rcpt(address, session)),
      onData: (stream, session, callback) =>
        this.#settle('data', session, callback, () => this.#data(stream, session)),
    });
  }

  /** Runs a handler of ours and answers for it, whatever it throws. */
  #settle<T>(
    stage: ReplyStage,
    session: SMTPServerSession,
    callback: (error?: Error | null, result?: T) => void,
    work: () => Promise<T> | T,
  ): void {
    const fail = (error: unknown) => {
      const { id: connection, remoteAddress } = session;
      this.counts.failed(stage, error);
      logFailure(this.#log, error, { listener: this.#policy.name, connection, remoteAddress, stage });
      const replies = this.#policy.name === 'lmtp' && stage === 'data' ? this.#each(session, error) : null;
      if (replies !== null) callback(null, replies as T);
      else callback(toPackageError(replyTo(error, stage)));
    };
    try {
      const result = work();
      if (result instanceof Promise) result.then((value) => callback(null, value), fail);
      else callback(null, result);
    } catch (error) {
      fail(error);
    }
  }

  /** One reply for each accepted RCPT: the package counts a repeated recipient once. */
  #each(session: SMTPServerSession, error: unknown): Error[] | null {
    const reply = replyTo(error, 'data');
    return this.#transactions.get(session.envelope)?.recipients.map(() => toPackageError(reply)) ?? null;
  }

  async #authenticate(auth: SMTPServerAuthentication, session: SMTPServerSession): Promise<P> {
    // RFC 4616 §2: acting for another identity is not offered. The package takes either for the user name.
    if (auth.authcid && auth.authzid && auth.authcid !== auth.authzid) {
      throw new RefusedError('bad-credentials', 'Acting for another identity is not supported');
    }
    return this.#policy.authenticate!({
      username: auth.username ?? '',
      password: auth.password ?? '',
      remoteAddress: session.remoteAddress,
    });
  }

  async #mail(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> {
    this.#refuseWhenClosing();
    const parameters = address.args || {};
    for (const name in parameters) {
      if (MAIL_PARAMETERS.has(name) || (this.#hasDsn && DSN_MAIL_PARAMETERS.includes(name))) continue;
      throw unknownParameter(name);
    }
    // The package's own mark stays when a MAIL that had the parameter is refused.
    const isUtf8 = 'SMTPUTF8' in parameters;
    const transaction: OpenTransaction<P> = {
      client: {
        remoteAddress: session.remoteAddress,
        isTrusted: this.#server.mayAuthenticate(session, session.secure),
        principal: (session.user as P | undefined) || null,
      },
      reversePath: envelopeAddress(address.address, isUtf8),
      declaredOctets: 'SIZE' in parameters ? Number(parameters['SIZE']) : null,
      isUtf8,
      dsn: messageDsn(parameters),
      recipients: [],
      standsFor: 0,
    };
    await this.#policy.checkSender(transaction);
    this.#transactions.set(session.envelope, transaction);
  }

  async #rcpt(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> {
    this.#refuseWhenClosing();
    const parameters = address.args || {};
    for (const name in parameters) {
      if (!(this.#hasDsn && DSN_RCPT_PARAMETERS.has(name))) throw unknownParameter(name);
    }
    const dsn = recipientDsn(parameters);
    const transaction = this.#transactionOf(session);
    const { recipients } = transaction;
    // Counted here: the package counts a repeated recipient once, and lets it be repeated for ever.
    if (recipients.length >= (this.#options.recipients ?? SMTP_RECIPIENTS)) throw tooManyRecipients();
    const recipient = envelopeAddress(address.address, transaction.isUtf8);
    const repeated = recipients.find((other) => other.address === recipient);
    if (repeated !== undefined) {
      recipients.push({ ...repeated, dsn });
      return;
    }
    // Before a group is looked up once more only to be refused: by its sub-addresses it has any number of names.
    if (transaction.standsFor >= SMTP_MAILBOXES) throw tooManyRecipients();
    const placements = await this.#policy.recipient(transaction, recipient, dsn);
    const count = weightOf(placements);
    // One alone is a group, which has a bound of its own, of users and of others each.
    if (recipients.length > 0 && transaction.standsFor + count > SMTP_MAILBOXES) throw tooManyRecipients();
    transaction.standsFor += count;
    recipients.push({ address: recipient, placements, dsn });
  }

  async #data(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
  ): Promise<string | (string | Error)[]> {
    const transaction = this.#transactionOf(session);
    const id = `${session.id}.${session.transaction}`;
    const spool = new Spool({ directory: this.#deps.spoolDirectory, budget: this.#deps.budget });
    try {
      await receive(stream, {
        spool,
        newlines: this.#policy.newlines,
        onEndless: () =>
          this.#drop(session, { code: 552, status: '5.3.4', text: 'The message is too large' }),
      });
      return await this.#deliver(spool, transaction, session, id);
    } finally {
      await spool.close();
      if (this.#isClosing) setImmediate(() => this.#drop(session, NO_MORE));
    }
  }

  async #deliver(
    message: Spool,
    transaction: OpenTransaction<P>,
    session: SMTPServerSession,
    id: string,
  ): Promise<string | (string | Error)[]> {
    const receivedAt = this.#deps.now?.() ?? new Date();
    const isLmtp = this.#policy.name === 'lmtp';
    const [only] = transaction.recipients;
    const facts = {
      reversePath: transaction.reversePath,
      id,
      arrivedAt: receivedAt.getTime(),
      isUtf8: transaction.isUtf8,
      submitter: this.#policy.submitter?.(transaction) ?? null,
      isMadeHere: false,
      ...transaction.dsn,
    };
    const { outcomes, failures } = await this.#deps.deliverer.deliver({
      message,
      acceptance: {
        trace: {
          returnPath: transaction.reversePath,
          helo: session.hostNameAppearsAs,
          remoteAddress: session.remoteAddress,
          host: this.#options.host,
          via: transmissionOf(session, transaction, isLmtp),
          id,
          receivedAt,
          forRecipient: transaction.recipients.length === 1 ? only!.address : null,
        },
        rules: this.#policy.rules(transaction, receivedAt),
      },
      recipients: transaction.recipients.map(({ placements }) => placements),
      onward: facts,
      answers: isLmtp ? 'each' : 'all',
    });
    const place = { listener: this.#policy.name, connection: session.id, message: id };
    for (const [mailbox, error] of failures)
      logFailure(this.#log, error, { ...place, mailbox, stage: 'data' });
    const failed = outcomes.filter((outcome) => outcome !== null);
    this.#log.info(
      {
        ...place,
        octets: message.sizeOctets,
        recipients: outcomes.length - failed.length,
        failed: failed.length,
        mailboxesMissed: failures.size,
      },
      'message received',
    );
    // The client sends all of it again, and reports would go out twice.
    if (!isLmtp && failed.length > 0) throw failed[0];
    const { reporter } = this.#deps;
    if (reporter !== undefined) {
      const delivered = { recipients: transaction.recipients, outcomes, failures };
      await reportDelivery(reporter, message, facts, delivered).catch((error: unknown) =>
        logFailure(this.#log, error, { ...place, stage: 'report' }),
      );
    }
    const accepted = `2.0.0 Accepted as ${id}`;
    if (failed.length < outcomes.length) this.counts.accepted(message.sizeOctets);
    else this.counts.failed('data', failed[0]);
    if (!isLmtp) return accepted;
    return outcomes.map((outcome) =>
      outcome === null ? accepted : toPackageError(replyTo(outcome, 'data')),
    );
  }

  #transactionOf(session: SMTPServerSession): OpenTransaction<P> {
    const transaction = this.#transactions.get(session.envelope);
    if (transaction === undefined) throw new ProtocolError('Send MAIL first', 'sequence');
    return transaction;
  }

  #refuseWhenClosing(): void {
    if (this.#isClosing) throw new UnavailableError('shutting-down', 'The server is shutting down');
  }

  #drop(session: SMTPServerSession, reply: SmtpReply): void {
    this.#server.connectionOf(session)?.drop(reply);
  }

  #sweep(): void {
    const now = Date.now();
    for (const connection of this.#server.edgeConnections()) connection.sweep(now);
  }
}

/** The package replies with an error's message and `responseCode`. */
function toPackageError(reply: SmtpReply): Error {
  return Object.assign(new Error(`${reply.status} ${reply.text}`), { responseCode: reply.code });
}

function unknownParameter(name: string): ProtocolError {
  return new ProtocolError(
    `Parameter ${name.replace(/[^A-Z0-9-]/g, '?').slice(0, 20)} is not supported`,
    'unknown-parameter',
  );
}

function tooManyRecipients(): RefusedError {
  return new RefusedError('too-many', 'Too many recipients, send the message again to those left');
}

/** A queue counts for everybody that it carries the message to. */
const weightOf = (placements: readonly Destination[]): number =>
  placements.reduce((sum, { onward }) => sum + (onward?.length ?? 1), 0);

function transmissionOf<P>(
  session: SMTPServerSession,
  transaction: OpenTransaction<P>,
  isLmtp: boolean,
): TransmissionFacts {
  const tls = session.tlsOptions;
  return {
    protocol: isLmtp ? 'LMTP' : session.openingCommand === 'EHLO' ? 'ESMTP' : 'SMTP',
    isUtf8: transaction.isUtf8,
    isAuthenticated: transaction.client.principal !== null,
    tls: tls ? { version: tls.version, cipher: tls.standardName ?? tls.name } : null,
  };
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.name;
}
