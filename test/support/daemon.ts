/** A daemon of somebody else's, run in the foreground as our child: waiting until it answers, and its end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnAsRoot } from './as-root.ts';

const ANSWER_DEADLINE_MS = 20_000;
const POLL_MS = 50;
const STOP_DEADLINE_MS = 10_000;

export interface Daemon {
  readonly pid: number;
  /** SIGTERM, and SIGKILL after 10 s. */
  stop(): Promise<void>;
}

/**
 * Starts a daemon and waits until it accepts connections on a port of 127.0.0.1.
 * @param log Its log file, whose end explains a failure.
 * @throws Error when it ends, or does not answer within 20 s.
 */
export const startDaemon = (argv: Argv, port: number, log: string): Promise<Daemon> =>
  awaitDaemon(argv, spawnAsRoot(...argv), port, log);

/** The same with our own rights: `pid` is the daemon's own then, and takes our signals. */
export const startOurDaemon = ([program, ...args]: Argv, port: number, log: string): Promise<Daemon> =>
  awaitDaemon([program], spawn(program, args, { stdio: 'ignore' }), port, log);

type Argv = [string, ...string[]];

async function awaitDaemon(argv: Argv, child: ChildProcess, port: number, log: string): Promise<Daemon> {
  const exited = once(child, 'exit');
  const killWithUs = (): unknown => child.kill('SIGTERM');
  process.once('exit', killWithUs);
  const daemon: Daemon = {
    pid: child.pid!,
    async stop() {
      process.off('exit', killWithUs);
      child.kill('SIGTERM');
      const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
      await exited;
      clearTimeout(deadline);
    },
  };
  try {
    await answers(child, port);
  } catch (error) {
    await daemon.stop();
    const words = await readFile(log, 'utf8').catch(() => '');
    throw new Error(`${argv[0]} did not start.\n${words.slice(-4096)}`, { cause: error });
  }
  return daemon;
}

async function answers(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + ANSWER_DEADLINE_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`It ended with exit code ${child.exitCode}.`);
    if (performance.now() > deadline) throw new Error('It does not answer.');
    await sleep(POLL_MS);
  }
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
