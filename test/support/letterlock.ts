/**
 * The real server in a process of its own, started as a user starts it: `scripts/run --json`. For end-to-end tests
 * and benchmarks.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { freePortBase } from './free-ports.ts';
import { runProgramWell } from './run-program.ts';
import { makeScratch, removeScratch } from './scratch.ts';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');
/** What `--port-base` adds to for mx, lmtp, submission, submissions, imap, imaps, http and metrics. */
const PORT_OFFSETS = [25, 24, 587, 465, 143, 993, 80, 94];
/** A first start makes keys, a certificate and the demo users; argon2 for each is what takes the time. */
const READY_DEADLINE_MS = 60_000;
/** The server promises to drain within 30 s of SIGTERM. */
const STOP_DEADLINE_MS = 30_000;
/** What is kept of stderr to explain a failure. */
const KEPT_STDERR_OCTETS = 16 * 1024;

export interface LetterlockPorts {
  readonly mx: number;
  readonly lmtp: number;
  readonly submission: number;
  readonly submissions: number;
  readonly imap: number;
  readonly imaps: number;
  readonly http: number;
  readonly metrics: number;
}

export interface LetterlockUser {
  readonly address: string;
  readonly password: string;
}

/** The one line that `scripts/run --json` prints. */
interface ReadyLine {
  readonly ready: true;
  readonly pid: number;
  readonly host: string;
  readonly ports: LetterlockPorts;
  /** PEM file of the demo's certificate authority. */
  readonly ca: string;
  readonly domain: string;
  readonly users: readonly LetterlockUser[];
  readonly group: string;
  readonly data: string;
  readonly logs: readonly string[];
}

export interface LetterlockOptions {
  /** An existing data directory, which stop() then keeps. Default: a temporary one that stop() removes. */
  readonly data?: string;
  readonly domain?: string;
  /** How many users u0001@, u0002@ ... there are besides the demo's two. */
  readonly users?: number;
  readonly password?: string;
  /** Merged over the demo's configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Besides our own. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Letterlock extends Omit<ReadyLine, 'ready'> {
  /** Runs the command line against this server, with this on its standard input; rejects unless it ends with 0. */
  administer(command: readonly string[], input?: string): Promise<void>;
  /** What the server has said on standard output and standard error so far. */
  said(): string;
  /** SIGTERM; rejects unless the server exits with 0 within 30 s. Removes a temporary data directory. */
  stop(): Promise<void>;
  /** SIGKILL, as a power cut would; the data directory stays, for the next start. */
  kill9(): Promise<void>;
}

/** @throws Error with the server's own words when it ends, or is not ready within 60 s. */
export async function startLetterlock(options: LetterlockOptions = {}): Promise<Letterlock> {
  const scratch = await makeScratch('server');
  const data = options.data ?? join(scratch, 'data');
  const args = ['--json', '--data', data, '--port-base', String(await freePortBase(PORT_OFFSETS))];
  if (options.domain !== undefined) args.push('--domain', options.domain);
  if (options.users !== undefined) args.push('--users', String(options.users));
  if (options.password !== undefined) args.push('--password', options.password);
  if (options.config !== undefined) {
    const file = join(scratch, 'config.yaml');
    await writeFile(file, JSON.stringify(options.config)); // JSON is YAML
    args.push('--config', file);
  }

  const child = spawn(join(SCRIPTS, 'run'), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (octets) => (said += octets));
  const killWithUs = (): unknown => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  const exited = once(child, 'exit').then(([code, signal]) => {
    process.off('exit', killWithUs);
    return { code, signal };
  });
  const ready = await readyLine(child).catch(async (error) => {
    child.kill('SIGKILL');
    await exited;
    await removeScratch(scratch);
    throw error;
  });

  return {
    ...ready,
    async administer(command, input) {
      await runProgramWell(join(SCRIPTS, 'letterlock'), [...command, '--data', data], input);
    },
    said: () => said,
    async stop() {
      child.kill('SIGTERM');
      const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
      const end = await exited;
      clearTimeout(deadline);
      await removeScratch(scratch);
      assert.deepEqual(end, { code: 0, signal: null }, 'the server ends with 0 within 30 s of SIGTERM');
    },
    async kill9() {
      process.kill(ready.pid, 'SIGKILL');
      child.kill('SIGKILL');
      await exited;
      if (options.data !== undefined) await removeScratch(scratch);
    },
  };
}

async function readyLine(child: ChildProcess): Promise<ReadyLine> {
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-KEPT_STDERR_OCTETS);
  });
  const lines = createInterface({ input: child.stdout! });
  const deadline = AbortSignal.timeout(READY_DEADLINE_MS);
  const ended = once(child, 'close', { signal: deadline }).then(() => [undefined]);
  const [line] = await Promise.race([once(lines, 'line', { signal: deadline }), ended]).catch(() => [
    undefined,
  ]);
  if (typeof line !== 'string') throw new Error(`scripts/run did not become ready.\n${stderr}`);
  const ready: ReadyLine = JSON.parse(line);
  assert.equal(ready.ready, true);
  child.stdout!.resume();
  return ready;
}
