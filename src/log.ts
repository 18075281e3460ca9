/**
 * The log: JSON lines by pino, to standard output or a file. What may stand in it: codes, ids, IP addresses, counts.
 * Never a subject, an address of mail, a credential, a key or mail itself; so errors are cut down to what is ours to
 * say, since the message of any other may quote what it choked on.
 */
import { writeSync } from 'node:fs';
import { type LogFn, type Logger, pino, stdTimeFunctions } from 'pino';
import { LetterlockError } from './errors.ts';
import { LogSink } from './log-sink.ts';

export type { Logger } from 'pino';

export interface LogOptions {
  /** pino's levels, or `silent`. */
  readonly level: string;
  /** Null: standard output. Made (0600) with its directory when absent. */
  readonly file: string | null;
}

export interface ServerLog {
  readonly logger: Logger;
  /** Begins the file anew, after it was moved away. */
  reopen(): void;
  /** The last words of a process that cannot go on: written when this returns, to standard error if need be. */
  fatal(error: unknown, message: string): void;
  /** Writes out what waits. Nothing may be logged afterwards. */
  close(): Promise<void>;
}

/** A second line of defence: what should not be logged in the first place. */
const SECRETS = [
  'password',
  'authorization',
  'secret',
  'token',
  'subject',
  'from',
  'to',
  'sender',
  'recipient',
];
const CAUSES = 5;
const STACK_FRAMES = 12;
const STDERR = 2;

/** @throws the system's error when the file cannot be opened. */
export async function openLog({ level, file }: LogOptions): Promise<ServerLog> {
  const sink = await LogSink.open(file);
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      hooks: { logMethod: withOwnMessage },
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    },
    sink,
  );
  return {
    logger,
    reopen: () => sink.reopen(),
    fatal(error, message) {
      logger.fatal({ err: error }, message);
      try {
        sink.writeOut();
      } catch {
        writeSync(STDERR, `${message} ${JSON.stringify(describeError(error))}\n`);
      }
    },
    close: () => sink.close(),
  };
}

/** An error that is logged without a message would lend the line its own. */
function withOwnMessage(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  const [first, message = 'error', ...rest] = args as unknown[];
  if (typeof first !== 'object' || first === null) method.apply(this, args);
  else method.call(this, first instanceof Error ? { err: first } : first, message as string, ...rest);
}

/** What a log may say of anything thrown: kind, code and place, of it and of its causes. */
export function describeError(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { thrown: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    // Our sentences are public; others' are not known to be. Ours say enough without a stack.
    ...(error instanceof LetterlockError
      ? { kind: error.kind, message: error.message }
      : { stack: framesOf(error) }),
    ...(error.cause === undefined || depth >= CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** The stack without its first lines, which repeat the message. */
function framesOf(error: Error): string {
  const frames = error.stack?.split('\n').filter((line) => /^ {4}at /.test(line)) ?? [];
  return frames.slice(0, STACK_FRAMES).join('\n');
}
