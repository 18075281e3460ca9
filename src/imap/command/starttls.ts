/**
 * STARTTLS, RFC 9051 §6.2.1. What the client sent behind the command came in clear and may be an attacker's: the
 * connection drops it before the handshake.
 */
import { ProtocolError } from '../../errors.ts';
import type { BareCommand } from '../wire/ast.ts';
import { type CommandSpec, NOT_AUTHENTICATED } from './context.ts';

export const starttls: CommandSpec<BareCommand> = {
  states: NOT_AUTHENTICATED,
  run(_command, context) {
    if (!context.capabilities().includes('STARTTLS')) {
      throw new ProtocolError(context.isSecure ? 'TLS is active already.' : 'TLS is not available.');
    }
    return { condition: 'OK', text: 'Begin TLS now.', next: 'starttls' };
  },
};
