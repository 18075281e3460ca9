/** What a demo offers for trying: a first message, and the two lines of curl that send it and read it back. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

export interface DemoLogin {
  readonly address: string;
  readonly password: string;
}

/** Complete, with CRLF (RFC 5322 §2.3), dated now. */
export async function writeFirstMessage(file: string, from: string, to: string, now: Date): Promise<void> {
  const domain = from.slice(from.indexOf('@') + 1);
  const lines = [
    `From: ${from}`,
    `To: ${to}`,
    'Subject: The first message',
    `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${domain}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Hello,',
    '',
    'Letterlock sealed this message when it arrived, with a key that only your mailbox opens.',
    '',
  ];
  await writeFile(file, lines.join('\r\n'), { mode: 0o600 });
}

/** Sends the message over implicit TLS (RFC 8314 §3.3). The URL's path is what curl says in EHLO. */
export function sendLine(ca: string, port: number, from: DemoLogin, to: string, message: string): string {
  return commandLine([
    ...curl(ca, `smtps://localhost:${port}/localhost`, from),
    ...['--mail-from', from.address, '--mail-rcpt', to, '--upload-file', message],
  ]);
}

/** Reads the newest message of INBOX: `*` is the highest sequence number (RFC 9051 §9, seq-number). */
export function readLine(ca: string, port: number, user: DemoLogin): string {
  return commandLine(curl(ca, `imaps://localhost:${port}/INBOX;MAILINDEX=*`, user));
}

const curl = (ca: string, url: string, { address, password }: DemoLogin): string[] => [
  ...['curl', '--silent', '--show-error', '--cacert', ca, '--url', url],
  ...['--user', `${address}:${password}`],
];

const commandLine = (words: readonly string[]): string => words.map(quoted).join(' ');

/** As any POSIX shell reads it back. */
const quoted = (word: string): string =>
  /^[\w@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
