/**
 * The other side of the endpoint, for tests in another process: what an administrator does at AWS, and faults. JSON over
 * HTTP.
 *
 *     GET  /calls                  the call log
 *     PUT  /keys/<id>/state        "Disabled"
 *     PUT  /keys/<id>/policy       a key policy
 *     PUT  /faults                 a fault that stands, or null
 *     PUT  /listening              true or false: whether KMS's port accepts connections
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { KEY_STATES, type Key } from './key-table.ts';
import type { KmsEndpoint } from './server.ts';

/** @param changed Runs after each change of a key. */
export async function startControl(
  endpoint: KmsEndpoint,
  at: { readonly host: string; readonly port: number },
  changed: () => void,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    try {
      const result = await control(endpoint, request, changed);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(result ?? null));
    } catch (error) {
      response.writeHead(400).end((error as Error).message);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, resolve);
  });
  return server;
}

async function control(
  endpoint: KmsEndpoint,
  request: IncomingMessage,
  changed: () => void,
): Promise<unknown> {
  const [, what, id, field] = (request.url ?? '').split('/');
  if (request.method === 'GET' && what === 'calls') return endpoint.calls;
  const value = JSON.parse(Buffer.concat(await request.toArray()).toString());
  switch (`${request.method} ${what}`) {
    case 'PUT faults':
      endpoint.faults.standing = value;
      return;
    case 'PUT listening':
      return value === true ? await endpoint.up() : await endpoint.down();
    case 'PUT keys': {
      const key = endpoint.keys.all.find((other) => other.id === id);
      if (key === undefined) throw new Error('There is no such key.');
      change(key, field, value);
      return changed();
    }
    default:
      throw new Error('There is no such path.');
  }
}

function change(key: Key, field: string | undefined, value: unknown): void {
  if (field === 'policy') key.policy = value as Key['policy'];
  else if (field === 'state' && KEY_STATES.includes(value as Key['state'])) key.state = value as Key['state'];
  else throw new Error('A key has a state and a policy.');
}
