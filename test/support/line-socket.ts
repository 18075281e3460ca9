/**
 * A TCP connection read by lines and by counted octets, without any knowledge of a protocol and without a deadline
 * but silence: the ground of raw-imap.ts and raw-smtp.ts. Octets are latin1 text, one character an octet.
 */
import { connect, type Socket } from 'node:net';

/** A server that hangs fails its test instead of stopping it. */
const SILENCE_DEADLINE_MS = 30_000;

export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

interface Waiting {
  /** Takes what it wants from the front of the buffer, or returns null for more. */
  readonly take: () => string | null;
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

export class LineSocket {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #buffer = '';
  #error: Error | null = null;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    this.#socket.setTimeout(SILENCE_DEADLINE_MS, () => this.#fail(new Error('The server does not answer.')));
    this.#socket.on('data', (text: string) => {
      this.#buffer += text;
      this.#serve();
    });
    this.#socket.on('error', () => this.#fail(new ConnectionLost('The connection broke.')));
    this.#socket.on('close', () => this.#fail(new ConnectionLost('The connection was closed.')));
  }

  write(octets: string | Uint8Array): void {
    if (typeof octets === 'string') this.#socket.write(octets, 'latin1');
    else this.#socket.write(octets);
  }

  /** The next line, without CRLF. @throws ConnectionLost */
  line(): Promise<string> {
    return this.#read(() => {
      const end = this.#buffer.indexOf('\r\n');
      if (end === -1) return null;
      const line = this.#buffer.slice(0, end);
      this.#buffer = this.#buffer.slice(end + 2);
      return line;
    });
  }

  /** The next `count` octets. @throws ConnectionLost */
  octets(count: number): Promise<string> {
    return this.#read(() => {
      if (this.#buffer.length < count) return null;
      const octets = this.#buffer.slice(0, count);
      this.#buffer = this.#buffer.slice(count);
      return octets;
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(take: () => string | null): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ take, resolve, reject });
      this.#serve();
    });
  }

  /** What arrived before the connection was lost still counts. */
  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const text = next.take();
      if (text !== null) next.resolve(text);
      else if (this.#error !== null) next.reject(this.#error);
      else return;
      this.#waiting.shift();
    }
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#serve();
  }
}
