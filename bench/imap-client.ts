/**
 * An IMAP client that costs little beside the server it loads: it steps over literals without looking at them, counts
 * them, and gives lines to whoever asked. When TLS is wanted it is 1.3 with one
 * fixed cipher, so that all servers do the same work there.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A bulk FETCH from a slow server may take this long; a hanging server ends the run instead of stopping it. */
const SILENCE_DEADLINE_MS = 60_000;
export const TLS_CIPHER = 'TLS_AES_128_GCM_SHA256';

export type Transport = 'tls' | 'clear';

export interface Literals {
  readonly count: number;
  readonly octets: number;
}

export class ImapConnection {
  /** Called with every untagged line, without CRLF. */
  onLine: (line: string) => void = () => {};
  /** Called with each piece of a literal, when set. The piece is valid during the call. */
  onLiteral: ((piece: Buffer, isLast: boolean) => void) | undefined;

  readonly #socket: Socket;
  #partial = '';
  #literalLeft = 0;
  #literals = 0;
  #literalOctets = 0;
  #tag = 0;
  #awaited: { prefix: string; resolve: (line: string) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_DEADLINE_MS, () =>
      socket.destroy(new Error('The IMAP server does not answer.')),
    );
    socket.on('data', (chunk: Buffer) => this.#consume(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('The IMAP server closed the connection.')));
  }

  /**
   * Connects and logs in.
   * @param transport `tls` from the first octet, or `clear`. The server is ours, on loopback: its certificate is not
   *   looked at.
   */
  static async open(
    port: number,
    transport: Transport,
    login: { readonly address: string; readonly password: string },
  ): Promise<ImapConnection> {
    const host = '127.0.0.1';
    const tls = { rejectUnauthorized: false, minVersion: 'TLSv1.3', ciphers: TLS_CIPHER } as const;
    const connection = new ImapConnection(
      transport === 'tls' ? connectTls({ port, host, ...tls }) : connect(port, host),
    );
    await connection.#line('* OK');
    await connection.command(`LOGIN ${login.address} "${login.password}"`);
    return connection;
  }

  /**
   * Sends a command and waits for its tagged OK.
   * @returns The literals that came before it.
   * @throws Error with the response when it is not OK.
   */
  async command(text: string): Promise<Literals> {
    const count = this.#literals;
    const octets = this.#literalOctets;
    const tag = `a${++this.#tag}`;
    this.#socket.write(`${tag} ${text}\r\n`);
    const response = await this.#line(`${tag} `);
    if (!response.startsWith(`${tag} OK`)) throw new Error(`The IMAP server answered ${response}.`);
    return { count: this.#literals - count, octets: this.#literalOctets - octets };
  }

  /** RFC 9051 §6.3.11. */
  async messagesIn(folder: string): Promise<number> {
    let messages: number | undefined;
    this.onLine = (line) => {
      const match = /^\* STATUS .*MESSAGES (\d+)/.exec(line);
      if (match) messages = Number(match[1]);
    };
    await this.command(`STATUS ${folder} (MESSAGES)`);
    if (messages === undefined) throw new Error('The IMAP server gave no STATUS.');
    return messages;
  }

  /** RFC 9051 §6.3.13: begins to idle. Returns what ends it. */
  async idle(): Promise<() => Promise<void>> {
    const tag = `a${++this.#tag}`;
    this.#socket.write(`${tag} IDLE\r\n`);
    await this.#line('+');
    return async () => {
      this.#socket.write('DONE\r\n');
      await this.#line(`${tag} `);
    };
  }

  async close(): Promise<void> {
    await this.command('LOGOUT');
    const closed = once(this.#socket, 'close');
    this.#socket.destroy();
    await closed;
  }

  #line(prefix: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#awaited = { prefix, resolve, reject };
    });
  }

  #consume(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#literalLeft > 0) {
        const octets = Math.min(this.#literalLeft, chunk.length - at);
        this.#literalLeft -= octets;
        this.onLiteral?.(chunk.subarray(at, at + octets), this.#literalLeft === 0);
        at += octets;
        continue;
      }
      const lineFeed = chunk.indexOf(0x0a, at);
      if (lineFeed === -1) {
        this.#partial += chunk.toString('latin1', at);
        return;
      }
      const line = this.#partial + chunk.toString('latin1', at, lineFeed);
      this.#partial = '';
      at = lineFeed + 1;
      this.#take(line.endsWith('\r') ? line.slice(0, -1) : line);
    }
  }

  #take(line: string): void {
    if (line.endsWith('}')) {
      this.#literalLeft = Number(line.slice(line.lastIndexOf('{') + 1, -1));
      this.#literalOctets += this.#literalLeft;
      this.#literals++;
    }
    const awaited = this.#awaited;
    if (awaited !== undefined && line.startsWith(awaited.prefix)) {
      this.#awaited = undefined;
      awaited.resolve(line);
    } else if (line.startsWith('* ')) {
      this.onLine(line);
    }
  }

  #fail(error: Error): void {
    this.#awaited?.reject(error);
    this.#awaited = undefined;
  }
}
