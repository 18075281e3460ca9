/**
 * Another mail server, as far as a client sees it: a scripted SMTP server on an address of loopback. It does what it is
 * told at each command, and keeps what it accepted.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { cert, key } from './certificate.ts';

/** A reply without its line end; several lines as SMTP has them. `drop`: the connection ends. `hang`: nothing more comes. */
export type Said = string | 'drop' | 'hang' | undefined;

export interface AcceptedMessage {
  /** As MAIL and RCPT had them, parameters and all. */
  readonly from: string;
  readonly to: readonly string[];
  /** Octets (latin1), dots unstuffed, without the last one. */
  readonly data: string;
  readonly isSecure: boolean;
}

export interface RemoteOptions {
  readonly address?: string;
  /** 0: any free one. */
  readonly port?: number;
  readonly extensions?: readonly string[];
  /** STARTTLS is offered: `works`, answers 454, or breaks in the handshake. Default: not offered. */
  readonly startTls?: 'works' | 'refuses' | 'breaks';
  /** Verbs and `greeting`, `end` (of DATA): what is said instead of yes. */
  readonly answer?: (verb: string, line: string) => Said;
}

export class RemoteServer {
  readonly accepted: AcceptedMessage[] = [];
  /** Every command so far. */
  readonly commands: string[] = [];
  /** May be changed at any time. */
  answer: (verb: string, line: string) => Said;
  connections = 0;
  /** Happens between a message and the answer to it. */
  beforeEnd: (() => Promise<void>) | null = null;
  readonly #options: RemoteOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #wake: () => void = () => undefined;

  private constructor(options: RemoteOptions) {
    this.#options = options;
    this.answer = options.answer ?? (() => undefined);
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(options: RemoteOptions = {}): Promise<RemoteServer> {
    const remote = new RemoteServer(options);
    remote.#server.listen(options.port ?? 0, options.address ?? '127.0.0.1');
    await once(remote.#server, 'listening');
    return remote;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Resolves when so many messages were accepted in all. */
  async received(count: number): Promise<readonly AcceptedMessage[]> {
    while (this.accepted.length < count) await this.changed();
    return this.accepted;
  }

  /** Resolves after the next command or message. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake;
      this.#wake = () => {
        before();
        resolve();
      };
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    new Session(socket, this.#options, this, (changed) => {
      this.#wake();
      if (changed) this.#wake = () => undefined;
    });
  }
}

class Session {
  #socket: Socket;
  readonly #options: RemoteOptions;
  readonly #remote: RemoteServer;
  readonly #notify: (changed: boolean) => void;
  #received = '';
  #isInData = false;
  #isSilent = false;
  #from = '';
  #to: string[] = [];

  constructor(
    socket: Socket,
    options: RemoteOptions,
    remote: RemoteServer,
    notify: (changed: boolean) => void,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#remote = remote;
    this.#notify = notify;
    this.#listen();
    this.#say(remote.answer('greeting', '') ?? '220 remote.test ESMTP');
  }

  #listen(): void {
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (octets: Buffer) => {
      if (this.#isSilent) return;
      this.#received += octets.toString('latin1');
      this.#read();
    });
  }

  #read(): void {
    for (;;) {
      const end = this.#received.indexOf(this.#isInData ? '\r\n.\r\n' : '\r\n');
      if (end < 0) return;
      const line = this.#received.slice(0, end);
      this.#received = this.#received.slice(end + (this.#isInData ? 5 : 2));
      if (this.#isInData) void this.#take(`${line}\r\n`);
      else if (!this.#command(line)) return;
    }
  }

  /** @returns false when the connection is not to be read on. */
  #command(line: string): boolean {
    const verb = line.split(' ')[0]!.toUpperCase();
    this.#remote.commands.push(line);
    const said = this.#remote.answer(verb, line);
    const isYes = said === undefined || /^[23]/.test(said);
    this.#notify(true);
    if (said === 'drop' || said === 'hang') {
      this.#say(said);
      return false;
    }
    switch (verb) {
      case 'EHLO':
        this.#say(
          said ??
            ['250-remote.test', ...this.#extensions().map((name) => `250-${name}`), '250 HELP'].join('\r\n'),
        );
        return true;
      case 'STARTTLS':
        return this.#startTls(said);
      case 'MAIL':
        if (isYes) [this.#from, this.#to] = [line.slice(10), []];
        break;
      case 'RCPT':
        if (isYes) this.#to.push(line.slice(8));
        break;
      case 'DATA':
        if (this.#to.length === 0) {
          this.#say(said ?? '554 5.5.1 no recipients');
          return true;
        }
        this.#say(said ?? '354 go on');
        this.#isInData = isYes;
        // So that a message of no lines has an end too.
        if (isYes) this.#received = `\r\n${this.#received}`;
        return true;
      case 'QUIT':
        this.#say(said ?? '221 bye');
        this.#socket.end();
        return false;
    }
    this.#say(said ?? '250 2.0.0 ok');
    return true;
  }

  async #take(data: string): Promise<void> {
    this.#isInData = false;
    if (this.#remote.beforeEnd !== null) await this.#remote.beforeEnd();
    const said = this.#remote.answer('end', '');
    if (said === undefined || said.startsWith('2')) {
      const isSecure = this.#socket instanceof TLSSocket;
      const clear = data.slice(2).replace(/^\.\./gm, '.');
      this.#remote.accepted.push({ from: this.#from, to: this.#to, data: clear, isSecure });
    }
    this.#to = [];
    this.#notify(true);
    this.#say(said ?? '250 2.0.0 taken');
  }

  #extensions(): string[] {
    const isClear = !(this.#socket instanceof TLSSocket);
    const { extensions = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 50000000'], startTls } = this.#options;
    return [...extensions, ...(isClear && startTls !== undefined ? ['STARTTLS'] : [])];
  }

  #startTls(said: Said): boolean {
    const { startTls } = this.#options;
    if (said !== undefined || startTls !== 'works') {
      this.#say(said ?? (startTls === 'breaks' ? '220 go' : '454 4.7.0 not now'));
      if (startTls !== 'breaks') return true;
      this.#isSilent = true;
      this.#socket.once('data', () => this.#socket.end('this is no TLS\r\n'));
      return false;
    }
    this.#say('220 go');
    this.#socket.removeAllListeners('data');
    this.#socket = new TLSSocket(this.#socket, { isServer: true, cert, key });
    this.#listen();
    return false;
  }

  #say(said: Exclude<Said, undefined>): void {
    if (said === 'hang') this.#isSilent = true;
    else if (said === 'drop') this.#socket.destroy();
    else this.#socket.write(`${said}\r\n`);
  }
}
