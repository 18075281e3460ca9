/** The HTTP listener: health, and what mail clients ask to set themselves up. In clear: a proxy terminates TLS. */
import type { AddressInfo } from 'node:net';
import { type FastifyInstance, fastify } from 'fastify';
import {
  HTTP_BODY_OCTETS,
  HTTP_CONNECTIONS,
  HTTP_IDLE_MS,
  HTTP_PROBE_MS,
  HTTP_REQUEST_MS,
} from '../limits.ts';
import { type ClientSettings, clientSetup } from './client-setup.ts';
import { type Probe, unready } from './readiness.ts';

export type { ClientSettings } from './client-setup.ts';
export type { Probe } from './readiness.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Null: clients are told nothing. */
  readonly clients: ClientSettings | null;
  /** How long a probe may take. Default HTTP_PROBE_MS. */
  readonly probeMs?: number;
}

export interface HttpDeps {
  /** What must be ready for this server to be sent work. */
  readonly probes: readonly Probe[];
  readonly log: HttpLog;
}

/** The part of a logger that is used here; pino's is one. */
export interface HttpLog {
  error(fields: object, message: string): void;
}

export interface HttpListener {
  readonly port: number;
  /** Requests under way are answered first. */
  close(): Promise<void>;
}

/** @throws the system's error when the port is taken. */
export async function startHttp(options: HttpOptions, deps: HttpDeps): Promise<HttpListener> {
  const server = fastify({
    logger: false,
    bodyLimit: HTTP_BODY_OCTETS,
    requestTimeout: HTTP_REQUEST_MS,
    connectionTimeout: HTTP_IDLE_MS,
    // Clients differ in how they spell /Autodiscover/Autodiscover.xml.
    routerOptions: { caseSensitive: false },
  });
  server.server.maxConnections = HTTP_CONNECTIONS;
  answerErrors(server, deps.log);
  health(server, deps.probes, options.probeMs ?? HTTP_PROBE_MS);
  if (options.clients !== null) clientSetup(server, options.clients);
  await server.listen({ host: options.host, port: options.port });
  return { port: (server.server.address() as AddressInfo).port, close: () => server.close() };
}

function health(server: FastifyInstance, probes: readonly Probe[], probeMs: number): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const failing = await unready(probes, probeMs);
    reply.header('cache-control', 'no-store');
    return failing.length === 0
      ? { status: 'ready' }
      : reply.code(503).send({ status: 'not ready', failing });
  });
}

/** Neither what was asked for nor what went wrong inside is told to whoever asks. */
function answerErrors(server: FastifyInstance, log: HttpLog): void {
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not found' }));
  server.setErrorHandler((error, _request, reply) => {
    const { statusCode = 500 } = error as { statusCode?: number };
    if (statusCode < 500) return reply.code(statusCode).send({ error: 'bad request' });
    log.error({ err: error }, 'an HTTP request failed');
    return reply.code(500).send({ error: 'internal error' });
  });
}
