/** The demo's configuration: everything on loopback, and in one directory. */
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

export const DEFAULT_PORT_BASE = 2000;
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
      Object.entries(STANDARD_PORTS).map(([name, port]) => [
        name,
        { host: '127.0.0.1', port: portBase + port },
      ]),
    ),
    tls: { certificateFile, keyFile },
    logging: { file: join(data, 'logs', 'letterlock.log') },
  };
}
