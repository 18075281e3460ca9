/** Private Redis servers on loopback: one, one behind sentinels, a cluster. Nothing of them outlives the test. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Daemon, startOurDaemon } from './daemon.ts';
import { freePortBase } from './free-ports.ts';
import { runProgramWell } from './run-program.ts';
import { makeScratch, removeScratch } from './scratch.ts';

const PATIENCE_MS = 20_000;
const POLL_MS = 20;

export interface RedisServer {
  readonly port: number;
  /** Where a dump or an append-only file would be. */
  readonly directory: string;
  /** A connection with all rights, for looking and tampering. */
  readonly admin: Redis;
  /** Accepts connections, and says nothing any more. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Again, on the same port, with nothing in it. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** @param settings Lines of redis.conf over ours, as `name value`. */
export async function startRedis(settings: readonly string[] = [], port?: number): Promise<RedisServer> {
  const directory = await makeScratch('redis');
  const ownPort = port ?? (await freePortBase([0]));
  const config = join(directory, 'redis.conf');
  const log = join(directory, 'log');
  const lines = [
    `port ${ownPort}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `logfile ${log}`,
    'save ""',
    'appendonly no',
    'repl-diskless-sync-delay 0',
    ...settings,
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  let daemon: Daemon;
  const start = async (): Promise<void> => {
    daemon = await startOurDaemon(['redis-server', config], ownPort, log);
  };
  await start();
  const password = settings.find((line) => line.startsWith('requirepass '))?.split(' ')[1];
  const admin = new Redis({
    port: ownPort,
    host: '127.0.0.1',
    ...(password === undefined ? {} : { password }),
    retryStrategy: () => POLL_MS,
    maxRetriesPerRequest: null,
  });
  admin.on('error', () => {});
  const signal = (name: NodeJS.Signals): void => void process.kill(daemon.pid, name);
  return {
    port: ownPort,
    directory,
    admin,
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async kill() {
      signal('SIGKILL');
      await daemon.stop();
    },
    start,
    async stop() {
      admin.disconnect();
      try {
        signal('SIGCONT');
      } catch {
        // It was killed.
      }
      await daemon.stop();
      await removeScratch(directory);
    },
  };
}

export interface RedisWithSentinel {
  readonly sentinelPort: number;
  readonly servers: readonly [RedisServer, RedisServer];
  /** The server that is the master now, as the sentinel says. */
  master(): Promise<RedisServer>;
  failOver(): Promise<void>;
  stop(): Promise<void>;
}

/** A master that is called `mail`, its replica, and a sentinel. */
export async function startRedisWithSentinel(): Promise<RedisWithSentinel> {
  const first = await startRedis();
  const second = await startRedis([`replicaof 127.0.0.1 ${first.port}`]);
  const servers = [first, second] as const;
  await eventually(async () => /master_link_status:up/.test(await second.admin.info('replication')));
  const directory = await makeScratch('sentinel');
  const port = await freePortBase([0]);
  const config = join(directory, 'sentinel.conf');
  const log = join(directory, 'log');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `logfile ${log}`,
    `sentinel monitor mail 127.0.0.1 ${first.port} 1`,
    'sentinel down-after-milliseconds mail 1000',
    'sentinel failover-timeout mail 5000',
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  const daemon = await startOurDaemon(['redis-sentinel', config], port, log);
  const sentinel = new Redis({ port, host: '127.0.0.1' });
  await eventually(async () => {
    const replicas = (await sentinel.call('SENTINEL', 'REPLICAS', 'mail')) as unknown[];
    return replicas.length === 1;
  });
  const master = async (): Promise<RedisServer> => {
    const [, address] = (await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mail')) as string[];
    return servers.find((server) => String(server.port) === address)!;
  };
  return {
    sentinelPort: port,
    servers,
    master,
    async failOver() {
      const before = await master();
      // Refused until the replica is known well enough to be promoted.
      await eventually(() =>
        sentinel.call('SENTINEL', 'FAILOVER', 'mail').then(
          () => true,
          () => false,
        ),
      );
      await eventually(async () => (await master()) !== before);
      const now = await master();
      await eventually(async () => /role:master/.test(await now.admin.info('replication')));
    },
    async stop() {
      sentinel.disconnect();
      await daemon.stop();
      for (const server of servers) await server.stop();
      await removeScratch(directory);
    },
  };
}

/** A cluster of three masters. */
export async function startRedisCluster(): Promise<{
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}> {
  const base = await freePortBase([0, 1, 2, 3, 4, 5]);
  const servers = await Promise.all(
    [0, 1, 2].map((node) =>
      startRedis(['cluster-enabled yes', `cluster-port ${base + 3 + node}`], base + node),
    ),
  );
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await runProgramWell('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
  await eventually(async () => {
    const states = await Promise.all(servers.map(({ admin }) => admin.cluster('INFO')));
    return states.every((state) => state.includes('cluster_state:ok'));
  });
  return {
    servers,
    async stop() {
      for (const server of servers) await server.stop();
    },
  };
}

/** Waits until a claim holds. @throws Error when it does not within 20 s. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`It never came to be: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
