/** The parts of a server for a command that works alone, on a data directory where none runs. */
import { pino } from 'pino';
import type { Config } from '../config/load.ts';
import { EXIT_FAILED } from './command.ts';
import { openParts, type Parts } from './parts.ts';

/** @throws UnavailableError 'locked-data-directory' when a server, or another command, has the directory. */
export const openAlone = (config: Config): Promise<Parts> =>
  openParts(config, { log: pino({ level: 'silent' }), fatal: abandon });

/** The store cannot vouch for what it holds in memory any more; recovery is the next start's. */
function abandon(error: unknown): never {
  const why = error instanceof Error ? error.message : String(error);
  process.stderr.write(`letterlock: The disk failed, and the command was ended: ${why}.\n`);
  process.exit(EXIT_FAILED);
}
