/** `letterlock health`. */
import { z } from 'zod';
import type { Readiness } from '../http/readiness.ts';
import { HEALTH_MS } from '../limits.ts';
import { adminSocketPath, askServer } from './admin-socket.ts';
import { type CommandTable, EXIT_DONE, EXIT_FAILED, FailedError, UsageError } from './command.ts';
import { CONFIG_OPTIONS, JSON_OPTION, loadOfflineConfig } from './common-options.ts';

export const healthCommands: CommandTable = {
  health: {
    summary: 'ask a running server whether it works',
    operands: [],
    options: {
      ...CONFIG_OPTIONS,
      url: { value: 'URL', help: "a server's /readyz, instead of the one on the data directory" },
      ...JSON_OPTION,
    },
    details: [
      'Ends with 0 when it works, also when a part does not without which mail still arrives; then it says which. Ends',
      'with 1 when it does not work, or none runs.',
    ].join('\n'),
    examples: ['health --config /etc/letterlock.yaml', 'health --url http://127.0.0.1:2080/readyz'],
    async run({ options, terminal: { stdout } }) {
      const url = options.text('url');
      const answer =
        url === null
          ? await askSocket(adminSocketPath((await loadOfflineConfig(options)).dataDirectory))
          : await askUrl(url);
      const isReady = answer.status === 'ready';
      if (options.flag('json')) stdout.write(`${JSON.stringify({ ready: isReady, ...answer })}\n`);
      else stdout.write(`${sentence(answer)}\n`);
      return isReady ? EXIT_DONE : EXIT_FAILED;
    },
  },
};

function sentence({ status, failing = [], degraded = [] }: Readiness): string {
  if (status !== 'ready') return `The server does not work: ${[...failing, ...degraded].join(', ')}.`;
  return degraded.length === 0 ? 'The server works.' : `The server works, without: ${degraded.join(', ')}.`;
}

async function askSocket(path: string): Promise<Readiness> {
  const records = await askServer(path, { name: 'server status', args: {} });
  if (records === null) throw new FailedError('No server runs on this data directory.');
  return records[0] as Readiness;
}

async function askUrl(text: string): Promise<Readiness> {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError('--url needs an address that begins with http:// or https://.');
  }
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MS) });
    body = await response.text();
  } catch (error) {
    throw new FailedError('The server does not answer.', { cause: error });
  }
  const answer = READINESS.safeParse(parsed(body));
  if (answer.success) return answer.data as Readiness;
  throw new FailedError(`The server answers with status ${response.status}, which is no /readyz of ours.`);
}

const parts = z.array(z.string().max(40)).max(40).optional();
const READINESS = z.object({ status: z.enum(['ready', 'not ready']), failing: parts, degraded: parts });

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
