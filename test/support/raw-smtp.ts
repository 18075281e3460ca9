/** SMTP and LMTP without a library, in clear: every reply as it was sent, or a message that stops half-way. */
import { LineSocket } from './line-socket.ts';

export class RawSmtp {
  readonly #socket: LineSocket;
  readonly #isLmtp: boolean;

  private constructor(socket: LineSocket, isLmtp: boolean) {
    this.#socket = socket;
    this.#isLmtp = isLmtp;
  }

  /** Connects and greets: with `LHLO` the protocol is LMTP. */
  static async connect(port: number, greeting = 'EHLO client.test'): Promise<RawSmtp> {
    const connection = new RawSmtp(new LineSocket(port), greeting.startsWith('LHLO'));
    await connection.reply();
    await connection.command(greeting);
    return connection;
  }

  /** The next reply: its lines joined by LF (RFC 5321 §4.2.1). @throws ConnectionLost */
  async reply(): Promise<string> {
    const lines: string[] = [];
    do lines.push(await this.#socket.line());
    while (lines.at(-1)![3] === '-');
    return lines.join('\n');
  }

  async command(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /**
   * MAIL, RCPT of each recipient and DATA.
   * @throws Error unless each gets its 250 and DATA its 354.
   */
  async beginMessage(from: string, to: readonly string[]): Promise<void> {
    this.write(`MAIL FROM:<${from}>\r\n${to.map((address) => `RCPT TO:<${address}>\r\n`).join('')}DATA\r\n`);
    for (let replies = to.length + 1; replies > 0; replies--) expect('250', await this.reply());
    expect('354', await this.reply());
  }

  /**
   * Sends one message.
   * @param message CRLF lines, none of which begins with a dot.
   * @throws Error when it is refused, ConnectionLost.
   */
  async send(from: string, to: readonly string[], message: string): Promise<void> {
    await this.beginMessage(from, to);
    this.write(`${message}.\r\n`);
    const replies = this.#isLmtp ? to.length : 1; // RFC 2033 §4.2
    for (let reply = 0; reply < replies; reply++) expect('250', await this.reply());
  }

  write(octets: string): void {
    this.#socket.write(octets);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

function expect(code: string, reply: string): void {
  if (!reply.startsWith(code)) throw new Error(`The SMTP server answered ${reply}, not ${code}.`);
}
