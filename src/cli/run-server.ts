/** Serves until a signal ends it. */
import type { Config } from '../config/load.ts';
import type { ServerLog } from '../log.ts';
import { EXIT_DONE, type ExitCode } from './command.ts';
import { type Server, serve } from './serve.ts';

const INTERRUPTED = 130;
/** sysexits.h EX_SOFTWARE. */
const CANNOT_GO_ON = 70;

/**
 * SIGTERM and SIGINT close the server, a second one ends the process where it stands; SIGHUP reads the certificate
 * anew and reopens the log.
 * @param started Runs once all listens; the server is closed when it throws.
 */
export async function serveUntilSignal(
  config: Config,
  serverLog: ServerLog,
  started: (server: Server) => Promise<void> = async () => {},
): Promise<ExitCode> {
  const { logger: log } = serverLog;
  const { promise: signalled, resolve: signal } = Promise.withResolvers<void>();
  const end = (): void => {
    signal();
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.off(name, end).once(name, abandon);
  };
  process.on('SIGTERM', end).on('SIGINT', end);
  const fatal = (error: unknown): never => {
    serverLog.fatal(error, 'the server cannot go on');
    process.exit(CANNOT_GO_ON);
  };
  const server = await serve(config, { log, fatal });
  const reload = (): void => {
    serverLog.reopen();
    server
      .reload()
      .catch((error: unknown) => log.error({ err: error }, 'the certificate could not be read anew'));
  };
  process.on('SIGHUP', reload);
  try {
    await started(server);
    await signalled;
  } finally {
    process.off('SIGHUP', reload);
    await server.close();
    await serverLog.close();
  }
  return EXIT_DONE;
}

const abandon = (): never => process.exit(INTERRUPTED);
