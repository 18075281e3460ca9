/** `letterlock serve`. */
import type { CommandTable } from './command.ts';
import { CONFIG_OPTIONS, loadServerConfig } from './common-options.ts';

export const serveCommands: CommandTable = {
  serve: {
    summary: 'run the server until SIGTERM or SIGINT',
    operands: [],
    options: CONFIG_OPTIONS,
    details: [
      'Without --config the defaults hold, which config/letterlock.yaml explains. SIGHUP reads the certificate anew',
      'and reopens the log.',
    ].join('\n'),
    examples: [
      'serve --config /etc/letterlock.yaml',
      'serve --config common.yaml --config this-machine.yaml',
    ],
    async run({ options }) {
      const config = await loadServerConfig(options);
      const [{ openLog }, { serveUntilSignal }] = await Promise.all([
        import('../log.ts'),
        import('./run-server.ts'),
      ]);
      return await serveUntilSignal(config, await openLog(config.logging));
    },
  },
};
