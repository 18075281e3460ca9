/** Programs that only root may run (a private Postfix or Dovecot changes users), by sudo when we are not root. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const runFile = promisify(execFile);

const command = (argv: readonly [string, ...string[]]): [string, string[]] => {
  const [program, ...args] = process.getuid!() === 0 ? argv : (['sudo', '-n', ...argv] as const);
  return [program, args];
};

/** Runs to the end. Returns standard output; rejects with standard error when the exit code is not 0. */
export async function runAsRoot(...argv: [string, ...string[]]): Promise<string> {
  const { stdout } = await runFile(...command(argv));
  return stdout;
}

/** Starts a daemon in the foreground, silent: it logs to a file of its own. */
export const spawnAsRoot = (...argv: [string, ...string[]]): ChildProcess =>
  spawn(...command(argv), { stdio: 'ignore' });
