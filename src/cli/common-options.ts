/** The options that many commands share, and the configuration that they name. */
import { type Config, loadConfig } from '../config/load.ts';
import type { OptionSpec, OptionValues } from './command.ts';

export const CONFIG_OPTIONS = {
  config: { value: 'FILE', isRepeatable: true, help: 'a configuration file; of several the later ones win' },
  data: { value: 'DIR', help: 'the data directory, whatever the configuration says' },
} as const satisfies Record<string, OptionSpec>;

export const JSON_OPTION = {
  json: { help: 'print JSON' },
} as const satisfies Record<string, OptionSpec>;

/** Narrows a list. */
export const ORG_FILTER = {
  org: { value: 'NAME', help: 'only those of this organization' },
} as const satisfies Record<string, OptionSpec>;

/** The configuration that a server runs by. @throws ConfigError. */
export const loadServerConfig = (options: OptionValues): Promise<Config> =>
  loadConfig({ files: options.texts('config'), overrides: dataDirectory(options) });

/**
 * The same for a command that opens no listener: it is not asked for a certificate, so that `--data DIR` alone names a
 * server of default settings. http is the one role that needs none.
 * @throws ConfigError.
 */
export const loadOfflineConfig = (options: OptionValues): Promise<Config> =>
  loadConfig({ files: options.texts('config'), overrides: { ...dataDirectory(options), roles: ['http'] } });

function dataDirectory(options: OptionValues): { dataDirectory?: string } {
  const directory = options.text('data');
  return directory === null ? {} : { dataDirectory: directory };
}
