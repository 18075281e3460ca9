/** `letterlock config check`. */
import { type CommandTable, EXIT_DONE } from './command.ts';
import { CONFIG_OPTIONS, loadServerConfig } from './common-options.ts';

export const configCommands: CommandTable = {
  'config check': {
    summary: 'check the configuration as serve would read it',
    operands: [],
    options: { ...CONFIG_OPTIONS, json: { help: 'print the whole configuration, defaults filled in' } },
    details: 'Says everything that is wrong, each with its place, and ends with 2.',
    examples: ['config check --config /etc/letterlock.yaml', 'config check --config letterlock.yaml --json'],
    async run({ options, terminal: { stdout } }) {
      const config = await loadServerConfig(options);
      stdout.write(options.flag('json') ? `${JSON.stringify(config)}\n` : 'The configuration is right.\n');
      return EXIT_DONE;
    },
  },
};
