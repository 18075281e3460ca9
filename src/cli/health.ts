/** `letterlock health`. */
import { HEALTH_MS } from '../limits.ts';
import { adminSocketPath, askServer } from './admin-socket.ts';
import { type CommandTable, EXIT_DONE, FailedError, UsageError } from './command.ts';
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
    details: 'Ends with 0 when it does, with 1 when it does not, or none runs.',
    examples: ['health --config /etc/letterlock.yaml', 'health --url http://127.0.0.1:2080/readyz'],
    async run({ options, terminal: { stdout } }) {
      const url = options.text('url');
      const answer =
        url === null
          ? await askSocket(adminSocketPath((await loadOfflineConfig(options)).dataDirectory))
          : await askUrl(url);
      stdout.write(
        options.flag('json') ? `${JSON.stringify({ ready: true, ...answer })}\n` : 'The server works.\n',
      );
      return EXIT_DONE;
    },
  },
};

async function askSocket(path: string): Promise<object> {
  const records = await askServer(path, { name: 'server status', args: {} });
  if (records === null) throw new FailedError('No server runs on this data directory.');
  return records[0] ?? {};
}

async function askUrl(text: string): Promise<object> {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError('--url needs an address that begins with http:// or https://.');
  }
  let status: number;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_MS) });
    await response.body?.cancel();
    status = response.status;
  } catch (error) {
    throw new FailedError('The server does not answer.', { cause: error });
  }
  if (status !== 200) throw new FailedError(`The server answers with status ${status}.`);
  return { status };
}
