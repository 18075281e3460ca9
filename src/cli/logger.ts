/** Where a process's log goes. What may stand in it is the business of those who log: ids and codes. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { Config } from '../config/load.ts';

export interface LogFile {
  readonly log: Logger;
  /** Opens the file of that name anew, after a rotation. */
  reopen(): void;
}

/**
 * Lines are written at once, so that none is lost with the process.
 * @param descriptor Where they go when no file is configured.
 */
export async function openLog({ level, file }: Config['logging'], descriptor: 1 | 2): Promise<LogFile> {
  if (file !== null) await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const stream = destination({ dest: file ?? descriptor, sync: true, mode: 0o600 });
  const log = pino({ level, base: null, timestamp: isoTime }, stream as DestinationStream);
  return { log, reopen: () => (file === null ? undefined : stream.reopen()) };
}

const isoTime = (): string => `,"time":"${new Date().toISOString()}"`;
