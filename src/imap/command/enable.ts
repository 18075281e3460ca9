/**
 * ENABLE, RFC 5161; CONDSTORE and QRESYNC by it, RFC 7162 §3.1 and §3.2.3; UTF8=ACCEPT, RFC 9755 (which replaces RFC 6855);
 * UIDONLY, RFC 9586.
 */
import { ProtocolError } from '../../errors.ts';
import type { EnableCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandContext, type CommandSpec, ok } from './context.ts';

export const enable: CommandSpec<EnableCommand> = {
  states: AUTHENTICATED,
  run(command, context) {
    // RFC 9755 §3, RFC 5161 §3.1: in the authenticated state only. Nothing of the command is done.
    if (command.capabilities.includes('UTF8=ACCEPT') && context.selectedId !== null) {
      throw new ProtocolError('UTF8=ACCEPT can be enabled only while no folder is selected.');
    }
    const enabled = command.capabilities.filter((capability) => enables(capability, context));
    context.out.text(`* ENABLED${enabled.map((name) => ` ${name}`).join('')}\r\n`);
    return ok('Enabled.');
  },
};

/** Switches it on. @returns false when it is on already, or nothing that can be enabled. */
function enables(capability: string, context: CommandContext): boolean {
  const { isCondstore, isQresync, isUidOnly, isUtf8 } = context;
  switch (capability) {
    case 'CONDSTORE':
      context.isCondstore = true;
      return !isCondstore;
    case 'QRESYNC':
      context.isQresync = true;
      context.isCondstore = true;
      return !isQresync;
    case 'UIDONLY':
      context.isUidOnly = true;
      return !isUidOnly;
    case 'UTF8=ACCEPT':
      context.isUtf8 = true;
      return !isUtf8;
    default:
      return false;
  }
}
