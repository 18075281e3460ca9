/**
 * The HTTP listeners, in clear. One has health and what mail clients ask to set themselves up; a proxy that terminates TLS
 * passes it on to the world. Metrics have one of their own, so that no rule of that proxy can pass them on by mistake.
 */
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
import { type Probe, readiness } from './readiness.ts';

export type { ClientSettings } from './client-setup.ts';
export type { Probe } from './readiness.ts';

export interface HttpAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export interface HttpOptions extends HttpAddress {
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
  const server = newServer(deps.log);
  health(server, deps.probes, options.probeMs ?? HTTP_PROBE_MS);
  if (options.clients !== null) clientSetup(server, options.clients);
  return await listening(server, options);
}

/**
 * @param text The exposition, made anew for each request.
 * @throws the system's error when the port is taken.
 */
export async function startMetricsHttp(
  address: HttpAddress,
  { text, contentType, log }: { text: () => Promise<string>; contentType: string; log: HttpLog },
): Promise<HttpListener> {
  const server = newServer(log);
  server.get('/metrics', async (_request, reply) =>
    reply.header('content-type', contentType).send(await text()),
  );
  return await listening(server, address);
}

function newServer(log: HttpLog): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: HTTP_BODY_OCTETS,
    requestTimeout: HTTP_REQUEST_MS,
    connectionTimeout: HTTP_IDLE_MS,
    // Clients differ in how they spell /Autodiscover/Autodiscover.xml.
    routerOptions: { caseSensitive: false },
  });
  server.server.maxConnections = HTTP_CONNECTIONS;
  answerErrors(server, log);
  return server;
}

async function listening(server: FastifyInstance, { host, port }: HttpAddress): Promise<HttpListener> {
  await server.listen({ host, port });
  return { port: (server.server.address() as AddressInfo).port, close: () => server.close() };
}

function health(server: FastifyInstance, probes: readonly Probe[], probeMs: number): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, reply) => {
    const answer = await readiness(probes, probeMs);
    reply.header('cache-control', 'no-store');
    return reply.code(answer.status === 'ready' ? 200 : 503).send(answer);
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
