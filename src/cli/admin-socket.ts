/**
 * The command line's way into a running server: a Unix socket in the data directory, open to its owner alone.
 *
 * One request a connection. The client sends a line of JSON, `{"name":...,"args":...}`; the server answers with a line
 * `{"record":...}` for each record, then `{"end":true}` or `{"error":{"kind","code","sentence"}}`. An answer without
 * its last line is one that broke off. Who may open the socket may do anything: there is no other check behind it.
 */
import { once } from 'node:events';
import { chmod, type FileHandle, mkdtemp, open, rename, rm, rmdir } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import {
  IntegrityError,
  LetterlockError,
  ProtocolError,
  type RefusedCode,
  RefusedError,
  UnavailableError,
} from '../errors.ts';
import {
  ADMIN_ANSWER_MS,
  ADMIN_CONNECTIONS,
  ADMIN_RECORD_OCTETS,
  ADMIN_REQUEST_MS,
  ADMIN_REQUEST_OCTETS,
} from '../limits.ts';
import { readLines } from './lines.ts';

/** An administrative operation, as data. */
export interface AdminRequest {
  readonly name: string;
  readonly args: unknown;
}

/** One thing of an answer: an organization, a user ... JSON carries it. */
export type AdminRecord = object;

export type AdminHandler = (request: AdminRequest) => Promise<readonly AdminRecord[]>;

export interface AdminSocketOptions {
  /** Told of what the handler throws that is none of the four kinds: a bug, which the client hears of without words. */
  readonly onBug?: (error: unknown) => void;
}

export interface AdminSocket {
  /** Takes no more requests, lets those at work end, removes the file. */
  close(): Promise<void>;
}

/** The socket's place under a data directory. */
export const adminSocketPath = (dataDirectory: string): string => join(dataDirectory, 'admin.sock');

/**
 * Serves requests until closed. A file that a killed server left is replaced: the caller holds the data directory's
 * lock, so nobody listens there.
 * @throws the system's error when the directory cannot be written.
 */
export async function startAdminSocket(
  path: string,
  handler: AdminHandler,
  { onBug = () => {} }: AdminSocketOptions = {},
): Promise<AdminSocket> {
  const working = new Set<Promise<void>>();
  /** Sockets whose request has not come yet. */
  const waiting = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    waiting.add(socket);
    const handle: AdminHandler = (request) => {
      waiting.delete(socket);
      return handler(request);
    };
    const work = converse(socket, handle, onBug).finally(() => {
      waiting.delete(socket);
      working.delete(work);
    });
    working.add(work);
  });
  server.maxConnections = ADMIN_CONNECTIONS;
  const directory = await listenPrivately(server, path);
  return {
    async close() {
      const closed = once(server, 'close');
      server.close();
      await rm(path, { force: true });
      for (const socket of waiting) socket.destroy();
      await Promise.all(working);
      await closed;
      await directory.close();
    },
  };
}

/**
 * Binds where only the owner can reach it, and moves the socket to its place once its mode is right. The directory is
 * named through its descriptor, because a socket's path may have 107 octets only.
 * @returns The directory, to be closed after the server: libuv unlinks the bound name through it.
 */
async function listenPrivately(server: Server, path: string): Promise<FileHandle> {
  const hidden = await mkdtemp(`${path}.`); // mode 0700
  const directory = await open(hidden, 'r');
  const bound = join(`/proc/self/fd/${directory.fd}`, basename(path));
  try {
    server.listen(bound);
    await once(server, 'listening');
    await chmod(bound, 0o600);
    await rename(bound, path);
    await rmdir(hidden);
    return directory;
  } catch (error) {
    server.close();
    await directory.close();
    await rm(hidden, { recursive: true, force: true });
    throw error;
  }
}

async function converse(
  socket: Socket,
  handler: AdminHandler,
  onBug: (error: unknown) => void,
): Promise<void> {
  socket.on('error', () => {}); // a client that leaves ends the reads and writes below
  try {
    const deadline = setTimeout(() => socket.destroy(), ADMIN_REQUEST_MS);
    const request = await readRequest(socket).finally(() => clearTimeout(deadline));
    if (request === null) return;
    for (const record of await handler(request)) await send(socket, { record });
    await send(socket, { end: true });
  } catch (error) {
    if (!(error instanceof LetterlockError)) onBug(error);
    await send(socket, { error: describe(error) }).catch(() => {});
  } finally {
    socket.end();
    await finished(socket, { readable: false, signal: AbortSignal.timeout(ADMIN_REQUEST_MS) }).catch(
      () => {},
    );
    socket.destroy();
  }
}

/** @returns null when the client left before it had asked. @throws ProtocolError. */
async function readRequest(socket: Socket): Promise<AdminRequest | null> {
  try {
    for await (const line of readLines(socket, ADMIN_REQUEST_OCTETS, { keepsStream: true })) {
      return parseRequest(line);
    }
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
  }
  return null;
}

function parseRequest(line: string): AdminRequest {
  const value = parseObject(line);
  if (typeof value?.['name'] !== 'string') throw new ProtocolError('That is not a request.');
  return { name: value['name'], args: value['args'] };
}

/** @throws Error when the client is gone, or takes nothing for ADMIN_REQUEST_MS. */
async function send(socket: Socket, message: object): Promise<void> {
  if (socket.destroyed) throw new UnavailableError('timeout', 'The client has left.');
  if (socket.write(`${JSON.stringify(message)}\n`)) return;
  await once(socket, 'drain', { signal: AbortSignal.timeout(ADMIN_REQUEST_MS) });
}

/**
 * Has a running server carry out a request.
 * @returns null when no server listens there.
 * @throws what the operation throws, as it is thrown in the server; UnavailableError when the answer breaks off.
 */
export async function askServer(path: string, request: AdminRequest): Promise<AdminRecord[] | null> {
  const line = `${JSON.stringify(request)}\n`;
  if (Buffer.byteLength(line) > ADMIN_REQUEST_OCTETS) {
    throw new RefusedError('too-big', `A request has at most ${ADMIN_REQUEST_OCTETS} octets.`);
  }
  const socket = await connectTo(path);
  if (socket === null) return null;
  const deadline = setTimeout(() => socket.destroy(), ADMIN_ANSWER_MS);
  try {
    socket.write(line);
    return await readAnswer(socket);
  } finally {
    clearTimeout(deadline);
    socket.destroy();
  }
}

/** @returns null when there is no socket, or one that a server left behind. */
async function connectTo(path: string): Promise<Socket | null> {
  let directory: FileHandle | null = null;
  try {
    directory = await open(dirname(path), 'r');
    const socket = connect(join(`/proc/self/fd/${directory.fd}`, basename(path)));
    await once(socket, 'connect');
    return socket.on('error', () => {}); // the answer below breaks off
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null;
    if (code === 'EACCES') {
      throw new RefusedError(
        'not-permitted',
        'Only the owner of the data directory may administer it.',
        error,
      );
    }
    throw error;
  } finally {
    await directory?.close();
  }
}

async function readAnswer(socket: Socket): Promise<AdminRecord[]> {
  const records: AdminRecord[] = [];
  for await (const line of readLines(socket, ADMIN_RECORD_OCTETS)) {
    const message = parseObject(line);
    if (message?.['end'] === true) return records;
    if (isObject(message?.['error'])) throw revive(message['error']);
    if (!isObject(message?.['record'])) throw new ProtocolError('That is not an answer.');
    records.push(message['record']);
  }
  throw new UnavailableError(
    'shutting-down',
    'The server broke off before it had answered; look whether it was done.',
  );
}

interface ErrorDescription {
  readonly kind: string;
  readonly code: string;
  readonly sentence: string;
}

const describe = (error: unknown): ErrorDescription =>
  error instanceof LetterlockError
    ? { kind: error.kind, code: error.code, sentence: error.message }
    : { kind: 'bug', code: 'bug', sentence: 'The server failed; its log says how.' };

function revive(description: Partial<Record<keyof ErrorDescription, unknown>>): Error {
  const sentence = String(description.sentence);
  const code = String(description.code);
  switch (description.kind) {
    case 'protocol':
      return new ProtocolError(sentence, code);
    case 'refused':
      return new RefusedError(code as RefusedCode, sentence);
    case 'unavailable':
      return new UnavailableError(code as UnavailableError['code'], sentence);
    case 'integrity':
      return new IntegrityError(code as IntegrityError['code'], sentence);
    default:
      return new Error(sentence);
  }
}

/** @returns null for what is no JSON object. */
function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
