/** What the tests of SMTP share: listeners on a real store, real keys and a real directory, and a client of raw octets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { Deliverer } from '../../src/delivery/deliver.ts';
import type { Reporter } from '../../src/delivery/reporter.ts';
import { MemoryBudget } from '../../src/delivery/spool.ts';
import { Accounts } from '../../src/directory/accounts.ts';
import { Authenticator } from '../../src/directory/authenticator.ts';
import { Directory } from '../../src/directory/directory.ts';
import type { User } from '../../src/directory/types.ts';
import { UnavailableError } from '../../src/errors.ts';
import type { OrganizationId } from '../../src/ids.ts';
import type { SmtpListener } from '../../src/smtp/edge.ts';
import { startLmtp } from '../../src/smtp/lmtp.ts';
import { type MxOptions, startMx } from '../../src/smtp/mx.ts';
import { type SubmissionDeps, type SubmissionOptions, startSubmission } from '../../src/smtp/submission.ts';
import type { EmbeddedStoreOptions } from '../../src/store/embedded/embedded-store.ts';
import { spoolDirectory } from '../../src/store/embedded/layout.ts';
import type { DeliverHandle } from '../../src/store/handles.ts';
import { contents, StoreFixture } from '../store/support.ts';
import { cert, key } from '../support/certificate.ts';

export const CERTIFICATE = { cert, key };

export const PASSWORD = 'correct horse';
export const NOW = new Date('2026-11-03T04:05:06Z');
const DATE = 'Tue, 03 Nov 2026 04:05:06 +0000';

type Started<O> = Partial<Omit<O, 'address' | 'port'>>;

/** alice@, bob@ and full@demo.test (no room), an alias al@, the group all@ of alice and bob, and a disabled user. */
export class SmtpFixture {
  readonly store: StoreFixture;
  readonly directory: Directory;
  readonly accounts: Accounts;
  readonly budget: MemoryBudget;
  readonly logged: { level: string; fields: object; text: string }[] = [];
  now = (): Date => NOW;
  /** Whether users may send to the world. */
  hasQueue = false;
  /** Who tells senders; null: nobody. */
  reporter: Reporter | null = null;
  /** Quota of queues. */
  queueOctets: number | null = null;
  readonly #listeners: SmtpListener[] = [];
  readonly #clients: Client[] = [];

  private constructor(store: StoreFixture, budget: MemoryBudget) {
    this.store = store;
    this.budget = budget;
    this.directory = Directory.open(join(store.directory, 'directory.db'));
    this.accounts = new Accounts({
      directory: this.directory,
      keyring: store.keyring,
      store: store.store,
      defaultQuotaOctets: null,
    });
  }

  static async open(
    options: Partial<EmbeddedStoreOptions> = {},
    budget = new MemoryBudget(),
  ): Promise<SmtpFixture> {
    const fixture = new SmtpFixture(await StoreFixture.open(options), budget);
    const { accounts, directory } = fixture;
    const { id } = await accounts.createOrganization('Demo', null, 'test');
    directory.createDomain(id, 'demo.test');
    await fixture.addUsers('alice', 'bob', 'disabled');
    await accounts.createUsers([{ address: 'full@demo.test', quotaOctets: 2_000, password: null }], 'test');
    directory.setUserState(directory.user('disabled@demo.test').id, 'disabled');
    directory.createAlias('al@demo.test', 'alice@demo.test');
    directory.createGroup('all@demo.test', ['alice@demo.test', 'bob@demo.test']);
    return fixture;
  }

  addUsers(...names: readonly string[]): Promise<User[]> {
    const requests = names.map((name) => ({ address: `${name}@demo.test`, password: PASSWORD }));
    return this.accounts.createUsers(requests, 'test');
  }

  get spoolDirectory(): string {
    return spoolDirectory(this.store.directory);
  }

  mx(options: Started<MxOptions> = {}): Promise<SmtpListener> {
    return this.#keep(startMx({ ...this.#options, tls: CERTIFICATE, ...options }, this.deps));
  }

  lmtp(options: Started<MxOptions> = {}): Promise<SmtpListener> {
    return this.#keep(startLmtp({ ...this.#options, tls: null, ...options }, this.deps));
  }

  submission(options: Started<SubmissionOptions> = {}): Promise<SmtpListener> {
    return this.#keep(startSubmission({ ...this.#options, tls: CERTIFICATE, ...options }, this.deps));
  }

  get #options() {
    return { address: '127.0.0.1', port: 0, host: 'mx.demo.test' };
  }

  async #keep(starting: Promise<SmtpListener>): Promise<SmtpListener> {
    const listener = await starting;
    this.#listeners.push(listener);
    return listener;
  }

  get deps(): SubmissionDeps {
    const log = (level: string) => (fields: object, text: string) =>
      void this.logged.push({ level, fields, text });
    const { store } = this.store;
    const { keyring } = this.store;
    const authenticator = new Authenticator({ directory: this.directory, wait: async () => {} });
    return {
      deliverer: new Deliverer({ store, spoolDirectory: this.spoolDirectory }),
      budget: this.budget,
      spoolDirectory: this.spoolDirectory,
      log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
      now: this.now,
      resolve: (address) => this.directory.resolve(address),
      deliverHandle: keyring.deliverHandle.bind(keyring),
      store,
      ...(this.reporter === null ? {} : { reporter: this.reporter }),
      ...(this.hasQueue ? { queueHandle: (organization) => this.queueHandle(organization) } : {}),
      authenticate: async ({ username, password, remoteAddress }) => {
        const user = await authenticator.authenticate(username, password, remoteAddress);
        const { organization, mailbox, userId } = user;
        return { organization, mailbox, owns: (address) => this.directory.maySendAs(userId, address) };
      },
    };
  }

  queueHandle(organization: OrganizationId): DeliverHandle {
    const mailbox = this.directory.queueMailbox(organization);
    if (mailbox === null) throw new UnavailableError('busy', 'no queue yet');
    return this.store.keyring.deliverHandle(organization, mailbox, this.queueOctets);
  }

  async connect({ port }: { port: number }): Promise<Client> {
    const client = new Client(connect({ port, host: '127.0.0.1', noDelay: true }));
    this.#clients.push(client);
    return client;
  }

  async connectTls({ port }: { port: number }): Promise<Client> {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const client = new Client(socket);
    this.#clients.push(client);
    return client;
  }

  /** A client of a submission listener that is over TLS and has authenticated. */
  async signIn(listener: { port: number }, user = 'alice@demo.test'): Promise<Client> {
    const client = await this.connect(listener);
    await client.talk('S: 220\nC: EHLO h\nS: 250\nC: STARTTLS\nS: 220 2.0.0');
    await client.startTls();
    await client.talk(`C: EHLO h\nS: 250\nC: AUTH PLAIN ${plain(user, PASSWORD)}\nS: 235 2.7.0`);
    return client;
  }

  /** Octets (latin1) of every message in INBOX, in order. */
  async inbox(user: string): Promise<string[]> {
    const { organization, mailbox, quotaOctets } = this.directory.user(`${user}@demo.test`);
    const who = { principal: 'test', protocol: 'test', address: 'local', reason: 'test' };
    const opened = await this.store.store.openMailbox(
      this.store.keyring.ownerHandle({ organization, mailbox, quotaOctets, ...who }),
    );
    try {
      return (await contents(opened)).map(([, octets]) => octets);
    } finally {
      opened.close();
    }
  }

  /** The same without the trace block. */
  async bodies(user: string): Promise<string[]> {
    return (await this.inbox(user)).map((octets) => octets.slice(octets.indexOf(DATE) + DATE.length + 2));
  }

  disconnectAll(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  async close(): Promise<void> {
    this.disconnectAll();
    await Promise.all(this.#listeners.map((listener) => listener.close(0)));
    await this.store.remove();
    this.directory.close();
  }
}

export const plain = (user: string, password: string): string => base64(`\0${user}\0${password}`);
export const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Sends octets and reads replies; both latin1. */
export class Client {
  #socket: Socket;
  #received = '';
  #isEnded = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  #listen(): void {
    this.#socket.on('data', (octets: Buffer) => {
      this.#received += octets.toString('latin1');
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  /** Octets as they are: no line end is added. Resolves when the system has taken them. */
  send(octets: string | Buffer): Promise<void> {
    const buffer = typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets;
    return new Promise((resolve) => void this.#socket.write(buffer, () => resolve()));
  }

  /** One reply, of one line or more, without its last line end; '' when the connection has ended instead. */
  async reply(): Promise<string> {
    for (;;) {
      const end = /^\d{3}(?: .*)?\r\n/m.exec(this.#received);
      if (end !== null) {
        const length = end.index + end[0].length;
        const reply = this.#received.slice(0, length - 2);
        this.#received = this.#received.slice(length);
        return reply;
      }
      if (this.#isEnded) return '';
      await this.#change();
    }
  }

  /** Waits for the server to close. @returns What it still sent. */
  async ended(): Promise<string> {
    while (!this.#isEnded) await this.#change();
    return this.#received;
  }

  /**
   * Plays a conversation: `C: ` is a line to send, `S: ` the beginning of the reply that must come, `S: end` the end of
   * the connection.
   */
  async talk(conversation: string): Promise<void> {
    for (const line of conversation.trim().split('\n')) {
      const text = line.trim().slice(3);
      if (line.trim().startsWith('C:')) await this.send(`${text}\r\n`);
      else if (text === 'end') assert.equal(await this.ended(), '');
      else {
        const reply = await this.reply();
        assert.ok(reply.startsWith(text), `after ${JSON.stringify(line)} came ${JSON.stringify(reply)}`);
      }
    }
  }

  /** From a greeting to DATA's 354. */
  async begin(...recipients: readonly string[]): Promise<void> {
    await this.talk('S: 220\nC: EHLO h\nS: 250');
    await this.beginMail(...recipients);
  }

  async beginMail(...recipients: readonly string[]): Promise<void> {
    await this.talk('C: MAIL FROM:<x@example.org>\nS: 250 2.1.0');
    for (const recipient of recipients) await this.talk(`C: RCPT TO:<${recipient}>\nS: 250 2.1.5`);
    await this.talk('C: DATA\nS: 354');
  }

  async startTls(): Promise<void> {
    const plainSocket = this.#socket;
    plainSocket.removeAllListeners();
    const socket = connectTls({ socket: plainSocket, rejectUnauthorized: false });
    this.#socket = socket;
    this.#listen();
    await once(socket, 'secureConnect');
  }

  /** Waits until nothing came for a moment. @returns What is there and was not read. */
  async quiet(ms = 50): Promise<string> {
    for (let before = -1; before !== this.#received.length; ) {
      before = this.#received.length;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    return this.#received;
  }

  /** Stops reading, so that the server's replies pile up. */
  pause(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
