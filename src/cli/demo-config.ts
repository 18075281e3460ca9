/** The demo's configuration: everything on loopback, and in one directory. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { ListenerName } from '../config/load.ts';
import { ROLES } from '../config/schema.ts';
import type { DemoCertificate } from '../tls/demo-authority.ts';

/** What the port base is added to: the ports that the protocols have by their RFCs; metrics have none. */
const STANDARD_PORTS: Readonly<Record<ListenerName, number>> = {
  mx: 25,
  lmtp: 24,
  submission: 587,
  submissions: 465,
  imap: 143,
  imaps: 993,
  http: 80,
  metrics: 94,
};

/** Where everything listens. */
const HOST = '127.0.0.1';

/** The first that is free is taken. All are below the ports that Linux gives to outgoing connections. */
export const DEFAULT_PORT_BASES = [2000, 12_000, 22_000] as const;
export const MOST_PORT_BASE = 65_535 - Math.max(...Object.values(STANDARD_PORTS));

/** The values that a configuration file is merged over. */
export function demoConfig(
  data: string,
  portBase: number,
  certificate: DemoCertificate,
): Record<string, unknown> {
  const { certificateFile, keyFile } = certificate;
  return {
    dataDirectory: data,
    hostname: 'localhost',
    // A demo sends nothing to the world.
    roles: ROLES.filter((role) => role !== 'queue'),
    listeners: Object.fromEntries(
      Object.entries(STANDARD_PORTS).map(([name, port]) => [name, { host: HOST, port: portBase + port }]),
    ),
    tls: { certificateFile, keyFile },
    logging: { file: join(data, 'logs', 'letterlock.log') },
  };
}

/** @returns The first default whose ports are all free; when none is, the first: its start says which is in use. */
export async function freePortBase(): Promise<number> {
  for (const base of DEFAULT_PORT_BASES) {
    const ports = Object.values(STANDARD_PORTS).map((port) => base + port);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  return DEFAULT_PORT_BASES[0];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, HOST), 'listening');
    await once(server.close(), 'close');
    return true;
  } catch {
    return false;
  }
}
