/** Whether a listener answers: connects to it as a client does, and waits for what its protocol says first. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ListenerName } from '../config/load.ts';
import { KIB } from '../limits.ts';
import { FailedError } from './command.ts';
import { readLines } from './lines.ts';

interface Protocol {
  readonly isImplicitTls?: true;
  /** What a client says first, where it does. */
  readonly request?: string;
  readonly greeting: RegExp;
}

/** RFC 5321 §4.2; RFC 9051 §7.1.1; RFC 9112 §4. */
const SMTP: Protocol = { greeting: /^220 / };
const IMAP: Protocol = { greeting: /^\* OK / };
const HTTP = (path: string): Protocol => ({
  request: `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
  greeting: /^HTTP\/1\.1 200 /,
});
const PROTOCOLS: Readonly<Record<ListenerName, Protocol>> = {
  mx: SMTP,
  lmtp: SMTP,
  submission: SMTP,
  submissions: { ...SMTP, isImplicitTls: true },
  imap: IMAP,
  imaps: { ...IMAP, isImplicitTls: true },
  http: HTTP('/readyz'),
  metrics: HTTP('/metrics'),
};

const GREETING_LINE_OCTETS = 8 * KIB;

/** @throws FailedError when no greeting, or another, comes before the signal. */
export async function awaitGreeting(
  listener: ListenerName,
  at: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<void> {
  const { isImplicitTls, request, greeting } = PROTOCOLS[listener];
  const refuse = (cause?: unknown): FailedError =>
    new FailedError(`The listener ${listener} on port ${at.port} does not answer.`, { cause });
  const options = { host: reachable(at.host), port: at.port };
  // Whose certificate it is does not matter here: nothing is told to the other side.
  const socket: Socket = isImplicitTls
    ? connectTls({ ...options, rejectUnauthorized: false })
    : connect(options);
  try {
    await once(socket, isImplicitTls ? 'secureConnect' : 'connect', { signal });
    socket.on('error', () => {}); // what follows breaks off
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    if (request !== undefined) socket.write(request);
    for await (const line of readLines(socket, GREETING_LINE_OCTETS)) {
      if (greeting.test(line)) return;
      throw refuse();
    }
    throw refuse();
  } catch (error) {
    throw error instanceof FailedError ? error : refuse(error);
  } finally {
    socket.destroy();
  }
}

/** What listens everywhere is reached on loopback. */
const reachable = (host: string): string => (host === '::' || host === '0.0.0.0' ? 'localhost' : host);
