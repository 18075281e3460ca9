/** What the tests of IMAP share: a server on a real store and real keys, users in it, and a client of plain lines. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { discardSealed, sealMessage } from '../../src/delivery/seal-message.ts';
import { RefusedError } from '../../src/errors.ts';
import type { MailboxId } from '../../src/ids.ts';
import type { ImapDependencies } from '../../src/imap/command/context.ts';
import { ImapServer, type ImapServerOptions } from '../../src/imap/server.ts';
import { spoolDirectory } from '../../src/store/embedded/layout.ts';
import { StoreFixture } from '../store/support.ts';
import { deflated } from '../support/deflated.ts';

export interface Logged {
  readonly level: string;
  readonly fields: object;
  readonly text: string;
}

export class ImapFixture {
  readonly store: StoreFixture;
  readonly logged: Logged[] = [];
  readonly dependencies: ImapDependencies;
  readonly #users = new Map<string, { mailbox: MailboxId; quotaOctets: number | null }>();
  readonly #clients: Client[] = [];
  server: ImapServer;
  ports: readonly number[] = [];
  /** What opening keys fails with, for users that sign in from now on. */
  leaseError: Error | null = null;
  /** The same for those that are signed in already. */
  lockedError: Error | null = null;
  readonly load = { isBusy: false };

  private constructor(store: StoreFixture, options: Partial<ImapServerOptions>) {
    this.store = store;
    const log = (level: string) => (fields: object, text: string) =>
      void this.logged.push({ level, fields, text });
    this.dependencies = {
      store: { openMailbox: (owner) => this.store.store.openMailbox(owner) },
      signIn: async (username, password) => {
        const user = this.#users.get(username);
        if (user === undefined || password !== 'secret') {
          throw new RefusedError('bad-credentials', 'Wrong user or password.');
        }
        const owner = this.store.owner(user.mailbox, user.quotaOctets);
        const signInError = this.leaseError;
        const lease = (): ReturnType<typeof owner.lease> => {
          const error = signInError ?? this.lockedError;
          return error === null ? owner.lease() : Promise.reject(error);
        };
        const heldLease = (): ReturnType<typeof owner.heldLease> =>
          signInError === null && this.lockedError === null ? owner.heldLease() : null;
        return { owner: { ...owner, lease, heldLease }, userId: username };
      },
      sealMessage: (source) => sealMessage(source, { spoolDirectory: spoolDirectory(this.store.directory) }),
      discardSealed,
      load: this.load,
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    };
    this.server = new ImapServer(this.dependencies, {
      listeners: [{ host: '127.0.0.1', port: 0, isImplicitTls: false }],
      secureContext: (): SecureContext | null => null,
      isPlaintextAllowed: () => true,
      ...options,
    });
  }

  static async open(options: Partial<ImapServerOptions> = {}): Promise<ImapFixture> {
    const fixture = new ImapFixture(await StoreFixture.open(), options);
    fixture.ports = await fixture.server.listen();
    return fixture;
  }

  /** A user with that name and the password 'secret', and a fresh mailbox. */
  async addUser(name: string, quotaOctets: number | null = null): Promise<MailboxId> {
    const mailbox = await this.store.newMailbox();
    this.#users.set(name, { mailbox, quotaOctets });
    return mailbox;
  }

  async connect(port = this.ports[0]!): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new Client(socket);
    this.#clients.push(client);
    return client;
  }

  /** A client that has signed in; its greeting and login are read. */
  async signIn(name: string): Promise<Client> {
    const client = await this.connect();
    await client.line();
    client.send(`login LOGIN ${name} secret`);
    await client.until('login');
    return client;
  }

  disconnectAll(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  async close(): Promise<void> {
    this.disconnectAll();
    await this.server.close();
    await this.store.remove();
  }
}

/** Sends lines and reads lines; octets are latin1. */
export class Client {
  #socket: Duplex;
  #buffer = '';
  #isEnded = false;
  #wake: (() => void) | null = null;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#listen(socket);
  }

  #listen(socket: Duplex): void {
    socket.on('data', (octets: Buffer) => {
      this.#buffer += octets.toString('latin1');
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isEnded = true;
      this.#wake?.();
    });
  }

  /** One line, with its line end. */
  send(line: string): void {
    this.write(`${line}\r\n`);
  }

  write(octets: string): void {
    this.#socket.write(octets, 'latin1');
  }

  get socket(): Duplex {
    return this.#socket;
  }

  /** From here on both directions are compressed: the reply to COMPRESS was read. @returns the socket below. */
  compress(): Duplex {
    const socket = this.#socket;
    socket.removeAllListeners('data').removeAllListeners('close');
    this.#socket = deflated(socket);
    this.#listen(this.#socket);
    return socket;
  }

  /** The next line without its end. @throws when the connection ends first. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n');
      if (end >= 0) {
        const line = this.#buffer.slice(0, end);
        this.#buffer = this.#buffer.slice(end + 2);
        return line;
      }
      if (this.#isEnded) throw new Error(`the connection ended; left: ${JSON.stringify(this.#buffer)}`);
      await this.#more();
    }
  }

  /** All lines up to and including the tagged one. */
  async until(tag: string): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      lines.push(line);
      if (line.startsWith(`${tag} `)) return lines;
    }
  }

  /** Sends a command with a tag of its own and answers all its lines. */
  async run(command: string): Promise<string[]> {
    this.send(`t ${command}`);
    return this.until('t');
  }

  /** Resolves when the server has closed the connection. @returns what it said until then. */
  async ended(): Promise<string> {
    while (!this.#isEnded) await this.#more();
    return this.#buffer;
  }

  close(): void {
    this.#socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
