/**
 * An SMTP client that costs little beside the server it loads: it pipelines MAIL, RCPT and DATA as MTAs do (RFC 2920)
 * and looks at nothing but reply codes. Plain TCP, on loopback.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const END_OF_DATA = Buffer.from('.\r\n');

/** Long enough for a peer that retries a delivery; a server that hangs ends the run instead of stopping it. */
const REPLY_DEADLINE_MS = 60_000;

export class SmtpConnection {
  readonly #socket: Socket;
  #partial = '';
  readonly #waiting: { resolve: (reply: string) => void; reject: (error: Error) => void }[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(REPLY_DEADLINE_MS, () => socket.destroy(new Error('The SMTP server does not answer.')));
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#consume(text));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('The SMTP server closed the connection.')));
  }

  /** Connects and greets. */
  static async open(port: number): Promise<SmtpConnection> {
    const connection = new SmtpConnection(connect(port, '127.0.0.1'));
    await connection.#reply('220');
    connection.#socket.write('EHLO bench.test\r\n');
    await connection.#reply('250');
    return connection;
  }

  /**
   * Sends one message.
   * @param message CRLF lines, none of which begins with a dot.
   * @returns When the last octet was handed to the kernel and when 250 came, on performance.now()'s clock.
   * @throws Error with the reply when the server refuses.
   */
  async send(
    from: string,
    to: string,
    message: Uint8Array,
  ): Promise<{ sentAt: number; acknowledgedAt: number }> {
    this.#socket.write(`MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
    await Promise.all([this.#reply('250'), this.#reply('250'), this.#reply('354')]);
    this.#socket.cork();
    this.#socket.write(message);
    this.#socket.write(END_OF_DATA);
    this.#socket.uncork();
    const sentAt = performance.now();
    await this.#reply('250');
    return { sentAt, acknowledgedAt: performance.now() };
  }

  async close(): Promise<void> {
    this.#socket.write('QUIT\r\n');
    await this.#reply('221');
    const closed = once(this.#socket, 'close');
    this.#socket.destroy();
    await closed;
  }

  async #reply(code: string): Promise<void> {
    const reply = await new Promise<string>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    if (!reply.startsWith(code)) throw new Error(`The SMTP server answered ${reply}, not ${code}.`);
  }

  #consume(text: string): void {
    const lines = (this.#partial + text).split('\r\n');
    this.#partial = lines.pop()!;
    for (const line of lines) if (line[3] !== '-') this.#waiting.shift()?.resolve(line); // RFC 5321 §4.2.1
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
