/**
 * IMAP without a library, in clear: for tests that need every response as it was sent, thousands of commands a second,
 * or a command that stops half-way. The server must allow passwords in clear (`plaintextAuthNetworks`).
 */
import { LineSocket } from './line-socket.ts';

export interface ImapAnswer {
  /** `OK`, `NO` or `BAD`. */
  readonly status: string;
  /** What follows the status: a response code, text. */
  readonly text: string;
  /** Untagged responses without their `* `; literals stand where they were, after `{n}CRLF`. */
  readonly untagged: readonly string[];
}

export class RawImap {
  readonly #socket: LineSocket;
  readonly #tagPrefix: string;
  #tag = 0;

  private constructor(socket: LineSocket, tagPrefix: string) {
    this.#socket = socket;
    this.#tagPrefix = tagPrefix;
  }

  /** @param tagPrefix Letters that begin the tags of this connection. */
  static async connect(port: number, tagPrefix = 'a'): Promise<RawImap> {
    const socket = new LineSocket(port);
    await socket.line();
    return new RawImap(socket, tagPrefix);
  }

  /** @throws Error unless the server says OK. */
  static async login(
    port: number,
    login: { readonly address: string; readonly password: string },
    tagPrefix?: string,
  ): Promise<RawImap> {
    const connection = await RawImap.connect(port, tagPrefix);
    await connection.ok(`LOGIN ${login.address} "${login.password}"`);
    return connection;
  }

  /** The tag of the last command. */
  get tag(): string {
    return `${this.#tagPrefix}${this.#tag}`;
  }

  /**
   * Sends a command and waits for its tagged response.
   * @param command Without tag and CRLF; literals as `{n+}CRLF` and octets (RFC 7888), one character an octet.
   * @throws ConnectionLost
   */
  command(command: string): Promise<ImapAnswer> {
    this.begin(command);
    return this.finish('');
  }

  /** Sends what was left of a command that `begin` began, and waits for its tagged response. */
  async finish(rest: string): Promise<ImapAnswer> {
    this.write(`${rest}\r\n`);
    const tag = `${this.tag} `;
    const untagged: string[] = [];
    for (;;) {
      const response = await this.#response();
      if (response.startsWith('* ')) untagged.push(response.slice(2));
      else if (response.startsWith(tag)) {
        const [status, ...text] = response.slice(tag.length).split(' ');
        return { status: status!, text: text.join(' '), untagged };
      }
    }
  }

  /** The same. @throws Error with the response when it is not OK. */
  async ok(command: string): Promise<ImapAnswer> {
    const answer = await this.command(command);
    if (answer.status !== 'OK') {
      throw new Error(`${command.slice(0, 60)} was answered ${answer.status} ${answer.text}`);
    }
    return answer;
  }

  /** Sends the tag and what is to be the beginning of a command, and waits for nothing. */
  begin(start: string): void {
    this.#tag++;
    this.write(`${this.tag} ${start}`);
  }

  write(octets: string): void {
    this.#socket.write(octets);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #response(): Promise<string> {
    let line = await this.#socket.line();
    let response = line;
    for (let literal = literalAtEnd(line); literal !== null; literal = literalAtEnd(line)) {
      const octets = await this.#socket.octets(literal);
      line = await this.#socket.line();
      response += `\r\n${octets}${line}`;
    }
    return response;
  }
}

/** How many octets the literal has that a line announces, or null. */
function literalAtEnd(line: string): number | null {
  const match = /\{(\d+)\}$/.exec(line);
  return match === null ? null : Number(match[1]);
}

/** `APPEND` of one message with a non-synchronizing literal. */
export const appendCommand = (folder: string, flags: string, message: string): string =>
  `APPEND ${folder} (${flags}) {${message.length}+}\r\n${message}`;
