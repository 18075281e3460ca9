/**
 * Stands in for `docker` where there is none: the commands of docs/operating.md, carried out by this checkout instead of
 * an image made of it. What a container has, its environment, volumes and health check, comes from compose.yaml and the
 * Dockerfile. An option or a command that is not known here is an error.
 *
 * Redis is this machine's, with the arguments and files of compose.yaml, and its host name an address of loopback.
 *
 * WALK_ROOT is the directory that stands for the root of containers, WALK_PORT_BASE what stands for their port 2000, and
 * WALK_ENDPOINT for KMS.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ROOT, readDockerfile, readService, readVariables, type Service } from './compose-file.ts';

const HEALTHY_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 30_000;
const POLL_MS = 100;
const CONTAINER_PORTS = 2000;
/** From WALK_PORT_BASE. */
const REDIS_OFFSET = 79;

const { WALK_ROOT, WALK_PORT_BASE, WALK_ENDPOINT, PATH = '' } = process.env;
if (WALK_ROOT === undefined) throw new Error('WALK_ROOT is not set.');

/** The containers of a project. */
class Project {
  readonly #root: string;

  constructor(name: string) {
    this.#root = join(WALK_ROOT!, name);
  }

  get log(): string {
    return join(this.#root, 'letterlock.log');
  }

  /** As the host knows a path of the container. */
  path(inside: string): string {
    return /^\/(var\/lib|etc\/letterlock)(\/|$)/.test(inside) ? join(this.#root, inside) : inside;
  }

  /** Makes what stands for volumes and mounts, as an engine does when it makes a container. */
  service(): Service {
    const variables = { ...readVariables(readFileSync('.env', 'utf8')), ...process.env };
    const service = readService('compose.yaml', 'letterlock', variables);
    for (const volume of service.volumes) {
      const [from, to] = volume.split(':') as [string, string];
      const place = this.path(to);
      if (!from.startsWith('.')) mkdirSync(place, { recursive: true, mode: 0o700 });
      else if (!existsSync(place)) {
        mkdirSync(resolve(place, '..'), { recursive: true });
        symlinkSync(resolve(from), place);
      }
    }
    return service;
  }

  environment(service: Service): Record<string, string> {
    const inside = { ...readDockerfile().environment, ...service.environment };
    const values = Object.entries(inside).map(([name, value]) => {
      if (name.endsWith('_PORT') && name.includes('LISTENERS')) return [name, outerPort(Number(value))];
      return [name, this.path(value)];
    });
    const hosts = Object.keys(inside).flatMap(
      (name) => /^(LETTERLOCK_LISTENERS_\w+)_PORT$/.exec(name)?.[1] ?? [],
    );
    // A container's addresses are its own, and so is its KMS here.
    const network = hosts.map((listener) => [`${listener}_HOST`, '127.0.0.1']);
    const kms = WALK_ENDPOINT === undefined ? [] : [['LETTERLOCK_KEYS_AWS_ENDPOINT', WALK_ENDPOINT]];
    for (const name of ['LETTERLOCK_DATA_DIRECTORY', 'LETTERLOCK_KEYS_DIRECTORY']) {
      if (inside[name]?.startsWith('/var/lib/') !== true) throw new Error(`The image does not set ${name}.`);
    }
    const urlFile = join(this.#root, 'redis-url');
    const url = readFileSync(this.path(inside['LETTERLOCK_REDIS_URL_FILE']!), 'utf8');
    writeFileSync(urlFile, url.replace('@redis:6379', `@127.0.0.1:${redisPort}`), { mode: 0o600 });
    network.push(['LETTERLOCK_REDIS_URL_FILE', urlFile]);
    return { PATH, HOME: '/nonexistent', ...Object.fromEntries([...values, ...network, ...kms]) };
  }

  /** Runs to the end, with our streams. Returns the exit code. */
  run(program: string, args: readonly string[]): number {
    const service = this.service();
    const words = args.map((word) => this.path(word));
    const { status, error } = spawnSync(inCheckout(program), words, {
      stdio: 'inherit',
      env: this.environment(service),
    });
    if (error !== undefined) throw error;
    return status ?? 1;
  }

  get pid(): number | null {
    return this.#pidOf('letterlock');
  }

  #pidOf(name: string): number | null {
    const file = join(this.#root, `${name}.pid`);
    if (!existsSync(file)) return null;
    const pid = Number(readFileSync(file, 'utf8'));
    return isAlive(pid) ? pid : null;
  }

  /** Starts what does not run, and waits until it is healthy by the health check of compose.yaml. */
  async up(): Promise<void> {
    const service = this.service();
    const environment = this.environment(service);
    if (this.#pidOf('redis') === null) this.#startRedis();
    if (this.pid === null) this.#start('letterlock', inCheckout('letterlock'), ['serve'], environment);
    const [, ...check] = service.healthcheck.test as [string, string, ...string[]];
    const deadline = performance.now() + HEALTHY_DEADLINE_MS;
    for (;;) {
      const [program, ...args] = check as [string, ...string[]];
      if (spawnSync(inCheckout(program), args, { env: environment }).status === 0) return;
      if (this.pid === null || performance.now() > deadline) {
        throw new Error(`container letterlock is unhealthy\n${readFileSync(this.log, 'utf8')}`);
      }
      await sleep(POLL_MS);
    }
  }

  #start(name: string, program: string, args: readonly string[], env: Record<string, string>): void {
    const log = openSync(join(this.#root, `${name}.log`), 'a');
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env });
    writeFileSync(join(this.#root, `${name}.pid`), String(child.pid));
    child.unref();
  }

  #startRedis(): void {
    const { command } = readService('compose.yaml', 'redis', process.env);
    const [program, ...args] = command!.map((word) => this.path(word)) as [string, ...string[]];
    const address = ['--bind', '127.0.0.1', '--port', String(redisPort), '--dir', this.#root];
    this.#start('redis', program, [...args, ...address], { PATH });
  }

  async stop(name = 'letterlock'): Promise<void> {
    const pid = this.#pidOf(name);
    if (pid === null) return;
    process.kill(pid, 'SIGTERM');
    const deadline = performance.now() + END_DEADLINE_MS;
    while (isAlive(pid)) {
      if (performance.now() > deadline) throw new Error(`${name} does not end.`);
      await sleep(POLL_MS);
    }
  }

  removeVolumes(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

const redisPort = Number(WALK_PORT_BASE) + REDIS_OFFSET;

const outerPort = (inside: number): string => String(Number(WALK_PORT_BASE) + inside - CONTAINER_PORTS);

const inCheckout = (program: string): string =>
  program === 'letterlock' ? join(ROOT, 'scripts/letterlock') : program;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is an end that nobody has asked for yet.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function build(args: readonly string[]): number {
  const { positionals } = parseArgs({
    args: [...args],
    options: { tag: { type: 'string' } },
    allowPositionals: true,
  });
  if (realpathSync(join(positionals[0]!, 'Dockerfile')) !== join(ROOT, 'Dockerfile')) {
    throw new Error(`${positionals[0]} is not this checkout.`);
  }
  return (
    spawnSync(inCheckout('letterlock'), ['help'], { stdio: ['ignore', 'ignore', 'inherit'] }).status ?? 1
  );
}

/** What follows `docker compose`: its own options, the command, and the command's options up to the service's name. */
async function compose(args: readonly string[]): Promise<number> {
  const {
    values,
    rest: [command, ...rest],
  } = leading(args, { 'project-name': { type: 'string' } });
  const project = new Project((values['project-name'] as string | undefined) ?? 'letterlock');
  switch (command) {
    case 'up': {
      only(leading(rest, { detach: { type: 'boolean' }, wait: { type: 'boolean' } }).rest, []);
      await project.up();
      return 0;
    }
    case 'exec': {
      const [service, program, ...words] = leading(rest, { T: { type: 'boolean', short: 'T' } }).rest;
      only([service!], ['letterlock']);
      if (project.pid === null) throw new Error('service "letterlock" is not running');
      return project.run(program!, words);
    }
    case 'run': {
      const options = {
        rm: { type: 'boolean' },
        T: { type: 'boolean', short: 'T' },
        entrypoint: { type: 'string' },
      } as const;
      const { values: given, rest: words } = leading(rest, options);
      only([words[0]!], ['letterlock']);
      return project.run((given.entrypoint as string | undefined) ?? 'letterlock', words.slice(1));
    }
    case 'kill': {
      const { values: given, rest: words } = leading(rest, { signal: { type: 'string' } });
      only([String(given.signal), ...words], ['HUP', 'letterlock']);
      process.kill(project.pid!, 'SIGHUP');
      return 0;
    }
    case 'stop':
      only(rest, ['letterlock']);
      await project.stop();
      return 0;
    case 'restart':
      only(rest, ['letterlock', 'redis']);
      await project.stop();
      await project.stop('redis');
      await project.up();
      return 0;
    case 'down': {
      only(leading(rest, { volumes: { type: 'boolean' } }).rest, []);
      await project.stop();
      await project.stop('redis');
      project.removeVolumes();
      return 0;
    }
    case 'ps':
      only(rest, []);
      console.log(project.pid === null ? '' : 'letterlock  running');
      return 0;
    case 'logs':
      only(rest, ['letterlock']);
      console.log(readFileSync(project.log, 'utf8'));
      return 0;
    default:
      throw new Error(`docker compose ${command} is not known here.`);
  }
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options'];

/** Options up to the first operand; what follows belongs to somebody else. */
function leading(
  args: readonly string[],
  options: Options,
): { values: Record<string, unknown>; rest: string[] } {
  let count = 0;
  while (args[count]?.startsWith('-')) {
    const name = args[count]!.replace(/^-+/, '');
    count += options?.[name]?.type === 'string' ? 2 : 1;
  }
  const { values } = parseArgs({ args: args.slice(0, count), options: options ?? {} });
  return { values, rest: args.slice(count) };
}

function only(words: readonly string[], expected: readonly string[]): void {
  if (words.join(' ') !== expected.join(' ')) throw new Error(`${words.join(' ')} is not known here.`);
}

const [command, ...args] = process.argv.slice(2);
if (command === 'build') process.exitCode = build(args);
else if (command === 'compose') process.exitCode = await compose(args);
else throw new Error(`docker ${command} is not known here.`);
