/**
 * Sessions with other servers: so many at once, in all, of each organization and to each destination; one that is done with a message takes the
 * next for the same destination. A destination that could not be reached is left alone for a while.
 */
import { setMaxListeners } from 'node:events';
import { Gate } from '../delivery/gate.ts';
import type { OrganizationId } from '../ids.ts';
import {
  OUTBOUND_DESTINATIONS,
  OUTBOUND_IDLE_CONNECTIONS,
  OUTBOUND_IDLE_MS,
  OUTBOUND_MESSAGES_PER_CONNECTION,
  OUTBOUND_SHARE,
  OUTBOUND_UNREACHABLE_MS,
} from '../limits.ts';
import { endedHere, FileError, SessionError, SmtpClient } from './client.ts';
import type { RemoteReply } from './reply.ts';
import type { Hop, Route } from './route.ts';

export interface ConnectionOptions {
  /** What we call ourselves. */
  readonly hostname: string;
  /** Sessions at once. */
  readonly total: number;
  readonly perDestination: number;
  readonly log: { warn(fields: object, message: string): void };
}

type Hops = Extract<Route, { kind: 'hops' }>;

interface Destination {
  readonly gate: Gate;
  readonly idle: IdleClient[];
  /** Those that are at it, or wait. */
  users: number;
  unreachable: { readonly until: number; readonly reply: RemoteReply } | null;
}

/** That has mail on its way. */
interface Organization {
  readonly gate: Gate;
  users: number;
}

interface IdleClient {
  readonly client: SmtpClient;
  readonly timer: NodeJS.Timeout;
}

export class Connections {
  readonly #options: ConnectionOptions;
  readonly #all: Gate;
  readonly #organizations = new Map<OrganizationId, Organization>();
  readonly #destinations = new Map<string, Destination>();
  readonly #aborted = new AbortController();
  /** Files that could not be read, so that each is said once. */
  readonly #unreadable = new Set<string>();
  #idle = 0;
  #isClosing = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#all = new Gate(options.total);
    // One for each session.
    setMaxListeners(0, this.#aborted.signal);
  }

  /**
   * Does `work` with a session to the route's destination: with one after the other of its hops while `work` throws
   * SessionErrors. What `work` resolves to is durable then, so that the session may go on to the next message.
   * @throws SessionError of the last hop; what else `work` throws.
   */
  use<T>(organization: OrganizationId, route: Hops, work: (client: SmtpClient) => Promise<T>): Promise<T> {
    // First: what waits for its organization's other sessions to end takes no place at a destination that others need.
    return this.#inShare(organization, async () => {
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
    });
  }

  async #inShare<T>(id: OrganizationId, work: () => Promise<T>): Promise<T> {
    let organization = this.#organizations.get(id);
    if (organization === undefined) {
      organization = { gate: new Gate(Math.ceil(this.#options.total * OUTBOUND_SHARE)), users: 0 };
      this.#organizations.set(id, organization);
    }
    organization.users++;
    try {
      return await organization.gate.pass(work);
    } finally {
      if (--organization.users === 0) this.#organizations.delete(id);
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

  /** Ends idle sessions; those at work go on, and none is begun any more: who waits for one gets a SessionError. */
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

  /** Ends sessions that are at work too, and connections that are being made. */
  abort(): void {
    this.#isClosing = true;
    this.#aborted.abort();
  }

  async #use<T>(
    destination: Destination,
    hops: readonly Hop[],
    work: (client: SmtpClient) => Promise<T>,
  ): Promise<T> {
    if (this.#isClosing) throw endedHere();
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
      if (this.#isClosing) throw last ?? endedHere();
      try {
        const client = await this.#connect(hop);
        isReached = true;
        return await this.#work(destination, client, work);
      } catch (error) {
        if (!(error instanceof SessionError)) throw error;
        last = error;
      }
    }
    // A file that is put right is of use at once.
    if (!isReached && !(last instanceof FileError)) {
      destination.unreachable = { until: Date.now() + OUTBOUND_UNREACHABLE_MS, reply: last!.reply };
    }
    throw last;
  }

  async #connect(hop: Hop): Promise<SmtpClient> {
    const { hostname, log } = this.#options;
    try {
      const client = await SmtpClient.connect(hop, { hostname, signal: this.#aborted.signal });
      for (const path of [hop.caFile, hop.credentials?.passwordFile])
        if (path != null) this.#unreadable.delete(path);
      return client;
    } catch (error) {
      if (error instanceof FileError && !this.#unreadable.has(error.path)) {
        this.#unreadable.add(error.path);
        log.warn({ file: error.path, code: error.code }, 'a file for a smarthost cannot be read');
      }
      throw error;
    }
  }

  async #work<T>(
    destination: Destination,
    client: SmtpClient,
    work: (client: SmtpClient) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(client);
    } finally {
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
