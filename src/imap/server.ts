/**
 * The IMAP listeners: 143 with STARTTLS, 993 with TLS from the first octet (RFC 8314 §3.2), and the bounds on how many
 * connections there may be. What happens on a connection is connection.ts's.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { RefusedError, UnavailableError } from '../errors.ts';
import {
  IMAP_APPEND_OCTETS,
  IMAP_AUTOLOGOUT_MS,
  IMAP_CLOSE_MS,
  IMAP_CONNECTIONS,
  IMAP_CONNECTIONS_PER_ADDRESS,
  IMAP_CONNECTIONS_PER_USER,
  IMAP_HANDSHAKE_MS,
  IMAP_KEEPALIVE_MS,
  IMAP_PREAUTH_MS,
  IMAP_STALL_MS,
  IMAP_WAITING_OCTETS,
} from '../limits.ts';
import type { ImapDependencies } from './command/context.ts';
import { Connection, type ImapTimes } from './connection.ts';
import { ImapCounts } from './counts.ts';
import { Slots } from './slots.ts';
import { printStatusResponse } from './wire/printer.ts';

export type { ImapDependencies, ImapLog, SignedInUser } from './command/context.ts';

export interface ImapListener {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** TLS from the first octet; else STARTTLS is offered. */
  readonly isImplicitTls: boolean;
}

export interface ImapServerOptions {
  readonly listeners: readonly ImapListener[];
  /** The certificate to use from now on: asked for at each handshake, so that it can change without a restart. */
  secureContext(): SecureContext | null;
  /** Whether clients at an address may send credentials without TLS: networks of a proxy that terminates it. */
  isPlaintextAllowed(remoteAddress: string): boolean;
  /** Largest APPEND. Default IMAP_APPEND_OCTETS. */
  readonly appendLimitOctets?: number;
  /** Whether COMPRESS is offered. Default true. */
  readonly isCompressionOffered?: boolean;
  /** Messages that one command may take (RFC 9738). Default: any number. */
  readonly messageLimit?: number | null;
  /** Defaults: IMAP_CONNECTIONS, IMAP_CONNECTIONS_PER_ADDRESS, IMAP_CONNECTIONS_PER_USER. */
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  readonly maxConnectionsPerUser?: number;
  /** Octets of messages that wait for the rest of their APPEND. Default IMAP_WAITING_OCTETS. */
  readonly maxWaitingOctets?: number;
  readonly times?: Partial<ImapTimes>;
}

const TIMES: ImapTimes = {
  preauthMs: IMAP_PREAUTH_MS,
  autologoutMs: IMAP_AUTOLOGOUT_MS,
  stallMs: IMAP_STALL_MS,
  keepAliveMs: IMAP_KEEPALIVE_MS,
  handshakeMs: IMAP_HANDSHAKE_MS,
  closeMs: IMAP_CLOSE_MS,
};

export class ImapServer {
  readonly counts = new ImapCounts();
  readonly #dependencies: ImapDependencies;
  readonly #options: ImapServerOptions;
  readonly #times: ImapTimes;
  readonly #servers: Server[] = [];
  readonly #connections = new Map<Connection, Promise<void>>();
  readonly #addresses: Slots;
  readonly #users: Slots;
  #lastId = 0;
  #waitingOctets = 0;

  constructor(dependencies: ImapDependencies, options: ImapServerOptions) {
    this.#dependencies = { ...dependencies, counts: this.counts };
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    this.#addresses = new Slots(options.maxConnectionsPerAddress ?? IMAP_CONNECTIONS_PER_ADDRESS);
    this.#users = new Slots(options.maxConnectionsPerUser ?? IMAP_CONNECTIONS_PER_USER);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Opens the listeners, in order.
   * @returns their ports. @throws the system's error when a port is taken; none is open then.
   */
  async listen(): Promise<readonly number[]> {
    try {
      for (const listener of this.#options.listeners) {
        const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false }, (socket) =>
          this.#accept(socket, listener),
        );
        this.#servers.push(server);
        server.listen(listener.port, listener.host);
        await once(server, 'listening');
        server.on('error', (error) =>
          this.#dependencies.log.error({ err: error }, 'an IMAP listener failed'),
        );
      }
    } catch (error) {
      for (const server of this.#servers.splice(0)) server.close();
      throw error;
    }
    return this.#servers.map((server) => (server.address() as AddressInfo).port);
  }

  /**
   * Accepts no more connections, lets running commands end, and says BYE to everyone.
   * @param graceMs After so long, connections that are still there are cut.
   */
  async close(graceMs = IMAP_CLOSE_MS): Promise<void> {
    for (const server of this.#servers.splice(0)) server.close();
    for (const connection of this.#connections.keys()) connection.shutDown();
    const cut = setTimeout(() => {
      for (const connection of this.#connections.keys()) connection.destroy();
    }, graceMs);
    await Promise.all(this.#connections.values());
    clearTimeout(cut);
  }

  #accept(socket: Socket, listener: ImapListener): void {
    const remoteAddress = socket.remoteAddress;
    const { maxConnections = IMAP_CONNECTIONS } = this.#options;
    // It left before we looked.
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const release = this.#connections.size < maxConnections ? this.#addresses.take(remoteAddress) : null;
    if (release === null) {
      this.#turnAway(socket, listener);
      return;
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const connection = new Connection(socket, this.#dependencies, {
      id,
      remoteAddress,
      isImplicitTls: listener.isImplicitTls,
      isPlaintextAllowed: this.#options.isPlaintextAllowed(remoteAddress),
      appendLimitOctets: this.#options.appendLimitOctets ?? IMAP_APPEND_OCTETS,
      isCompressionOffered: this.#options.isCompressionOffered ?? true,
      messageLimit: this.#options.messageLimit ?? null,
      times: this.#times,
      secureContext: () => this.#options.secureContext(),
      claimUser: (userId) => this.#claimUser(userId),
      claimWaiting: (octets) => this.#claimWaiting(octets),
    });
    const { log } = this.#dependencies;
    const name = listener.isImplicitTls ? 'imaps' : 'imap';
    this.counts.connections.add(name);
    this.counts.openConnections.add(name);
    log.debug({ connection: id, remoteAddress }, 'an IMAP connection began');
    const served = connection
      .serve()
      .catch((error: unknown) => {
        log.error({ connection: id, err: error }, 'an IMAP connection failed');
      })
      .finally(() => {
        this.#connections.delete(connection);
        this.counts.openConnections.add(name, -1);
        release();
        log.debug({ connection: id }, 'an IMAP connection ended');
      });
    this.#connections.set(connection, served);
  }

  /** Under TLS nothing can be said before a handshake, which is what there is no room for. */
  #turnAway(socket: Socket, listener: ImapListener): void {
    this.#dependencies.log.warn({ remoteAddress: socket.remoteAddress }, 'too many IMAP connections');
    socket.on('error', () => {});
    if (listener.isImplicitTls) socket.destroy();
    else {
      socket.end(printStatusResponse(null, 'BYE', 'Too many connections.', 'UNAVAILABLE'));
      socket.destroySoon();
    }
  }

  #claimUser(userId: string): () => void {
    const release = this.#users.take(userId);
    if (release === null) throw new RefusedError('too-many', 'Too many connections of this user.');
    return release;
  }

  #claimWaiting(octets: number): () => void {
    const { maxWaitingOctets = IMAP_WAITING_OCTETS } = this.#options;
    if (this.#waitingOctets + octets > maxWaitingOctets) {
      throw new UnavailableError('busy', 'Too many messages are on their way; try again later.');
    }
    this.#waitingOctets += octets;
    return () => {
      this.#waitingOctets -= octets;
    };
  }
}
