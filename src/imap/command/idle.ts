/** IDLE, RFC 2177 (RFC 9051 §6.3.13). The session pushes; here is only how it begins and ends. */
import { ProtocolError } from '../../errors.ts';
import type { BareCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';

export const idle: CommandSpec<BareCommand> = {
  states: AUTHENTICATED,
  async run(_command, context) {
    const line = (await context.idle()).toString('latin1').trimEnd();
    if (line.toUpperCase() !== 'DONE') throw new ProtocolError('DONE was expected.');
    return ok('Idle completed.');
  },
};
