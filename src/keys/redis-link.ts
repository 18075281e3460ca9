/**
 * Our way to Redis: four commands on single keys, each with a deadline, none of which ever rejects. Redis is a cache and
 * not needed: down, slow, frozen, full, failing over or answering nonsense it costs its deadline now and then, and
 * nothing else.
 *
 * ioredis' own queues are off: a command that cannot be sent now is not sent. What it reports is never logged as it is,
 * because its errors carry the command with all arguments, that of AUTH among them.
 */
import { once } from 'node:events';
import type { Cluster, ClusterOptions, Redis, RedisOptions } from 'ioredis';
import {
  LEASE_ENTRY_OCTETS,
  REDIS_CALLS,
  REDIS_DEADLINE_MS,
  REDIS_PAUSE_MS,
  REDIS_RECONNECT_MS,
  REDIS_SILENCE_MS,
  REDIS_START_MS,
} from '../limits.ts';
import { Circuit } from './circuit.ts';

/** The part of a logger that the cache uses; pino's is one. */
export interface CacheLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisLinkOptions {
  readonly where:
    | { readonly kind: 'single'; readonly address: RedisAddress; readonly database: number }
    | {
        readonly kind: 'sentinels';
        readonly addresses: readonly RedisAddress[];
        readonly master: string;
        readonly password: string | null;
      }
    | { readonly kind: 'cluster'; readonly addresses: readonly RedisAddress[] };
  readonly username: string | null;
  readonly password: string | null;
  /** null: in clear. `ca`: PEM of those who sign its certificate; null for the system's. */
  readonly tls: { readonly ca: string | null } | null;
  /** Default REDIS_DEADLINE_MS. */
  readonly deadlineMs?: number;
  /** Default REDIS_START_MS. */
  readonly startMs?: number;
  readonly log?: CacheLog;
}

/** What is not there, and what is not told, are the same to a cache. */
const NOTHING = Buffer.alloc(0);

export class RedisLink {
  readonly log: CacheLog | undefined;
  readonly #client: Redis | Cluster;
  readonly #deadlineMs: number;
  /** Broken when Redis does not answer; and when it answers, but refuses to store (full, a replica, no right). */
  readonly #answers: Circuit;
  readonly #stores: Circuit;
  #running = 0;

  /** Resolves when Redis answers, or does not so soon: with clients waiting to log in again, a start waits a moment. */
  static async open(options: RedisLinkOptions): Promise<RedisLink> {
    const client = await connect(options);
    const link = new RedisLink(client, options);
    const isReady = await link.#settled(options.startMs ?? REDIS_START_MS);
    if (!isReady) link.#answers.failed('not connected');
    else options.log?.info({}, 'the lease cache answers');
    return link;
  }

  private constructor(client: Redis | Cluster, { deadlineMs = REDIS_DEADLINE_MS, log }: RedisLinkOptions) {
    this.#client = client;
    this.log = log;
    this.#deadlineMs = deadlineMs;
    const now = () => performance.now();
    const circuit = (works: string, fails: string): Circuit =>
      new Circuit({
        pauseMs: REDIS_PAUSE_MS,
        now,
        onChange: (reason) => (reason === null ? log?.info({}, works) : log?.warn({ reason }, fails)),
      });
    this.#answers = circuit('the lease cache answers again', 'the lease cache does not answer');
    this.#stores = circuit('the lease cache stores again', 'the lease cache refuses to store');
    // Without a listener ioredis prints what it has to say. The calls find out by themselves.
    client.on('error', () => {});
  }

  get isAnswering(): boolean {
    return !this.#answers.isBroken;
  }

  /** Calls that Redis has not ended yet, those whose deadline has passed included. */
  get running(): number {
    return this.#running;
  }

  /** At most LEASE_ENTRY_OCTETS + 1 octets of the value; empty when there is none, or no answer. */
  async read(name: string): Promise<Buffer> {
    if (!this.#mayCall(this.#answers)) return NOTHING;
    // GETRANGE and not GET: whoever writes to Redis could have us read half a gigabyte.
    const answer = await this.#call(() => this.#client.getrangeBuffer(name, 0, LEASE_ENTRY_OCTETS));
    if (answer.kind === 'value' && Buffer.isBuffer(answer.value)) {
      this.#answers.succeeded();
      return answer.value;
    }
    // A value of another type is no entry of ours, and says nothing of the next one.
    if (answer.kind === 'refused' && answer.reason === 'WRONGTYPE') {
      this.#answers.succeeded();
      return Buffer.of(0);
    }
    this.#answers.failed(answer.kind === 'value' ? 'unexpected reply' : answer.reason);
    return NOTHING;
  }

  /** @param ttlMs At least 1. */
  write(name: string, value: Buffer, ttlMs: number): Promise<void> {
    return this.#change(() => this.#client.set(name, value, 'PX', ttlMs));
  }

  /** Gives a value that is there so much time from now. */
  extend(name: string, ttlMs: number): Promise<void> {
    return this.#change(() => this.#client.pexpire(name, ttlMs));
  }

  /** Tried even while Redis is left alone: what is removed is not to be found when it comes back. */
  async remove(name: string): Promise<void> {
    if (this.#running >= REDIS_CALLS) return;
    await this.#call(() => this.#client.del(name));
  }

  close(): void {
    this.#client.disconnect();
  }

  async #change(command: () => Promise<unknown>): Promise<void> {
    if (!this.#stores.mayTry || !this.#mayCall(this.#answers)) return;
    this.#stores.begin();
    const answer = await this.#call(command);
    switch (answer.kind) {
      case 'value':
        this.#answers.succeeded();
        this.#stores.succeeded();
        break;
      case 'refused':
        this.#answers.succeeded();
        this.#stores.failed(answer.reason);
        break;
      case 'failed':
        this.#answers.failed(answer.reason);
        this.#stores.undecided();
        break;
    }
  }

  #mayCall(circuit: Circuit): boolean {
    if (this.#running >= REDIS_CALLS || !circuit.mayTry) return false;
    circuit.begin();
    return true;
  }

  async #call(command: () => Promise<unknown>): Promise<Answer> {
    this.#running += 1;
    const answered: Promise<Answer> = Promise.try(command)
      .then(
        (value): Answer => ({ kind: 'value', value }),
        (error: unknown) => failureOf(error),
      )
      .finally(() => {
        this.#running -= 1;
      });
    const { promise: late, resolve } = Promise.withResolvers<Answer>();
    const give = () => resolve({ kind: 'failed', reason: 'no answer in time' });
    // When the loop was held up, the answer may lie in the socket unread: it is read before `give` runs.
    const timer = setTimeout(() => setImmediate(give), this.#deadlineMs);
    try {
      return await Promise.race([answered, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns whether Redis is ready within so much time, each node of a cluster; false also at its first error. */
  async #settled(startMs: number): Promise<boolean> {
    const deadline = AbortSignal.timeout(startMs);
    const isReady = async (client: Redis | Cluster): Promise<void> => {
      // Rejects at 'error', too.
      if (client.status !== 'ready') await once(client, 'ready', { signal: deadline });
    };
    try {
      await isReady(this.#client);
      if (this.#client.isCluster) await Promise.all((this.#client as Cluster).nodes('master').map(isReady));
      return true;
    } catch {
      return false;
    }
  }
}

type Answer =
  | { readonly kind: 'value'; readonly value: unknown }
  /** Redis answers with an error: its first word. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

function failureOf(error: unknown): Answer {
  if (error instanceof Error && error.name === 'ReplyError') {
    const [word] = /^[A-Z]{2,20}\b/.exec(error.message) ?? ['ERR'];
    // Of these the server is to blame, not the command: it would say the same to a read.
    const isWhole = ['LOADING', 'CLUSTERDOWN', 'MASTERDOWN', 'NOAUTH'].includes(word);
    return { kind: isWhole ? 'failed' : 'refused', reason: word };
  }
  return { kind: 'failed', reason: 'not connected' };
}

/** Loaded here alone: most servers have no Redis. */
async function connect(options: RedisLinkOptions): Promise<Redis | Cluster> {
  const { Cluster, Redis } = await import('ioredis');
  const { where, username, password } = options;
  const tls = options.tls === null ? null : options.tls.ca === null ? {} : { ca: options.tls.ca };
  const common = {
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls === null ? {} : { tls }),
    // RESP2 and no CLIENT SETINFO: nothing of RESP3 is used, and fewer commands need a right.
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: REDIS_SILENCE_MS,
    // Of a connection on which something is due: also of a server that accepts and then says nothing.
    socketTimeout: REDIS_SILENCE_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  } satisfies RedisOptions;
  const retryStrategy = (times: number): number =>
    Math.min(50 * 2 ** Math.min(times, 10), REDIS_RECONNECT_MS) * (0.5 + Math.random() / 2);
  switch (where.kind) {
    case 'single':
      return new Redis({
        ...common,
        ...where.address,
        db: where.database,
        retryStrategy,
        enableOfflineQueue: false,
      });
    case 'sentinels':
      return new Redis({
        ...common,
        sentinels: where.addresses.map((address) => ({ ...address })),
        name: where.master,
        ...(where.password === null ? {} : { sentinelPassword: where.password }),
        ...(tls === null ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
        sentinelRetryStrategy: retryStrategy,
        sentinelCommandTimeout: REDIS_SILENCE_MS,
        retryStrategy,
        enableOfflineQueue: false,
        // A master that became a replica: ask the sentinels who is it now.
        reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
      });
    case 'cluster': {
      const settings = {
        redisOptions: common,
        clusterRetryStrategy: retryStrategy,
        enableOfflineQueue: false,
        maxRedirections: 3,
        retryDelayOnFailover: 0,
        retryDelayOnClusterDown: 0,
        retryDelayOnTryAgain: 0,
        slotsRefreshTimeout: REDIS_SILENCE_MS,
        // A certificate is for the name that the cluster gives its nodes, not for the address behind it.
        ...(tls === null ? {} : { dnsLookup: (name, callback) => callback(null, name) }),
      } satisfies ClusterOptions;
      const cluster = new Cluster(
        where.addresses.map((address) => ({ ...address })),
        settings,
      );
      // Connected ahead: else the first call to each node would have to wait for it within its deadline. But not before
      // the cluster is ready: its own check, sent to any node, takes one that is connecting for one that is gone.
      const connectAhead = (node: Redis): void => {
        if (cluster.status === 'ready' && node.status === 'wait') node.connect().catch(() => {});
      };
      cluster.on('+node', connectAhead);
      cluster.on('ready', () => cluster.nodes('master').forEach(connectAhead));
      return cluster;
    }
  }
}
