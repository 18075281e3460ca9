/**
 * Sessions with other servers: so many at once, in all and to each destination; one that is done with a message takes the
 * next for the same destination. A destination that could not be reached is left alone for a while.
 */
import { Gate } from '../delivery/gate.ts';
import {
  OUTBOUND_DESTINATIONS,
  OUTBOUND_IDLE_CONNECTIONS,
  OUTBOUND_IDLE_MS,
  OUTBOUND_MESSAGES_PER_CONNECTION,
  OUTBOUND_UNREACHABLE_MS,
} from '../limits.ts';
import { SessionError, SmtpClient } from './client.ts';
import type { RemoteReply } from './reply.ts';
import type { Hop, Route } from './route.ts';

export interface ConnectionOptions {
  /** What we call ourselves. */
  readonly hostname: string;
  /** Sessions at once. */
  readonly total: number;
  readonly perDestination: number;
}

type Hops = Extract<Route, { kind: 'hops' }>;

interface Destination {
  readonly gate: Gate;
  readonly idle: IdleClient[];
  /** Those that are at it, or wait. */
  users: number;
  unreachable: { readonly until: number; readonly reply: RemoteReply } | null;
}

interface IdleClient {
  readonly client: SmtpClient;
  readonly timer: NodeJS.Timeout;
}

export class Connections {
  readonly #options: ConnectionOptions;
  readonly #all: Gate;
  readonly #destinations = new Map<string, Destination>();
  readonly #busy = new Set<SmtpClient>();
  #idle = 0;
  #isClosing = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#all = new Gate(options.total);
  }

  /**
   * Does `work` with a session to the route's destination: with one after the other of its hops while `work` throws
   * SessionErrors. What `work` resolves to is durable then, so that the session may go on to the next message.
   * @throws SessionError of the last hop; what else `work` throws.
   */
  async use<T>(route: Hops, work: (client: SmtpClient) => Promise<T>): Promise<T> {
    const destination = this.#destination(route.key);
    destination.users++;
    try {
      return await destination.gate.pass(() =>
        this.#all.pass(() => this.#use(destination, route.hops, work)),
      );
    } finally {
      destination.users--;
      this.#forget(route.key, destination);
    }
  }

  /** Whether a further session would have to wait for another to end. */
  isFull(key: string): boolean {
    return (this.#destinations.get(key)?.users ?? 0) >= this.#options.perDestination;
  }

  /** Tries destinations again that were not reachable. */
  forgetFailures(): void {
    for (const [key, destination] of this.#destinations) {
      destination.unreachable = null;
      this.#forget(key, destination);
    }
  }

  /** Ends idle sessions; those at work go on. */
  close(): void {
    this.#isClosing = true;
    for (const destination of this.#destinations.values()) {
      for (const { client, timer } of destination.idle.splice(0)) {
        clearTimeout(timer);
        client.quit();
      }
    }
    this.#idle = 0;
  }

  /** Ends sessions that are at work too. */
  abort(): void {
    for (const client of this.#busy) client.destroy();
  }

  async #use<T>(
    destination: Destination,
    hops: readonly Hop[],
    work: (client: SmtpClient) => Promise<T>,
  ): Promise<T> {
    const waiting = this.#takeIdle(destination);
    if (waiting !== null) {
      try {
        return await this.#work(destination, waiting, work);
      } catch (error) {
        // The server may have ended the session while it was idle: that says nothing of the message.
        if (!(error instanceof SessionError)) throw error;
      }
    }
    if (destination.unreachable !== null && destination.unreachable.until > Date.now()) {
      throw new SessionError(destination.unreachable.reply);
    }
    let last: SessionError | null = null;
    let isReached = false;
    for (const hop of hops) {
      try {
        const client = await SmtpClient.connect(hop, this.#options);
        isReached = true;
        return await this.#work(destination, client, work);
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        last = error;
      }
      if (this.#isClosing) break;
    }
    if (!isReached) {
      destination.unreachable = { until: Date.now() + OUTBOUND_UNREACHABLE_MS, reply: last!.reply };
    }
    throw last;
  }

  async #work<T>(
    destination: Destination,
    client: SmtpClient,
    work: (client: SmtpClient) => Promise<T>,
  ): Promise<T> {
    this.#busy.add(client);
    try {
      return await work(client);
    } finally {
      this.#busy.delete(client);
      this.#release(destination, client);
    }
  }

  #release(destination: Destination, client: SmtpClient): void {
    if (!client.isUsable) return client.destroy();
    const isSpent = client.transactions >= OUTBOUND_MESSAGES_PER_CONNECTION;
    if (isSpent || this.#isClosing || this.#idle >= OUTBOUND_IDLE_CONNECTIONS) return client.quit();
    const timer = setTimeout(() => {
      const index = destination.idle.findIndex((idle) => idle.client === client);
      if (index < 0) return;
      destination.idle.splice(index, 1);
      this.#idle--;
      client.quit();
    }, OUTBOUND_IDLE_MS);
    destination.idle.push({ client, timer });
    this.#idle++;
  }

  #takeIdle({ idle }: Destination): SmtpClient | null {
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      clearTimeout(last.timer);
      this.#idle--;
      if (last.client.isUsable) return last.client;
    }
    return null;
  }

  #destination(key: string): Destination {
    let destination = this.#destinations.get(key);
    if (destination === undefined) {
      // Those that were not reachable and had no mail since.
      if (this.#destinations.size >= OUTBOUND_DESTINATIONS) {
        for (const [other, found] of this.#destinations) this.#forget(other, found);
      }
      const gate = new Gate(this.#options.perDestination);
      destination = { gate, idle: [], users: 0, unreachable: null };
      this.#destinations.set(key, destination);
    }
    return destination;
  }

  #forget(key: string, { users, idle, unreachable }: Destination): void {
    const isUnreachable = unreachable !== null && unreachable.until > Date.now();
    if (users === 0 && idle.length === 0 && !isUnreachable) this.#destinations.delete(key);
  }
}
