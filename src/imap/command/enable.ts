/** ENABLE, RFC 5161; CONDSTORE and QRESYNC by it, RFC 7162 §3.1 and §3.2.3; UIDONLY, RFC 9586. */
import type { EnableCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';

export const enable: CommandSpec<EnableCommand> = {
  states: AUTHENTICATED,
  run(command, context) {
    const enabled: string[] = [];
    for (const capability of command.capabilities) {
      if (capability === 'CONDSTORE' && !context.isCondstore) {
        context.isCondstore = true;
        enabled.push(capability);
      } else if (capability === 'QRESYNC' && !context.isQresync) {
        context.isQresync = true;
        context.isCondstore = true;
        enabled.push(capability);
      } else if (capability === 'UIDONLY' && !context.isUidOnly) {
        context.isUidOnly = true;
        enabled.push(capability);
      }
    }
    context.out.text(`* ENABLED${enabled.map((name) => ` ${name}`).join('')}\r\n`);
    return ok('Enabled.');
  },
};
