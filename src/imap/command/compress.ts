/**
 * COMPRESS, RFC 4978. Legal only after authentication, so that credentials are never in one deflate stream with text that
 * somebody else chose: the lengths of what is encrypted would tell of them.
 */
import type { CompressCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, no } from './context.ts';

export const compress: CommandSpec<CompressCommand> = {
  states: AUTHENTICATED,
  run(command, context) {
    // RFC 4978 §3: told apart, so that a client does not take the one for the other.
    if (context.isCompressed) return no('COMPRESS is active already.', 'COMPRESSIONACTIVE');
    if (command.mechanism !== 'DEFLATE' || !context.capabilities().includes('COMPRESS=DEFLATE'))
      return no('That mechanism is not offered.', 'CANNOT');
    return { condition: 'OK', text: 'Compression begins.', next: 'compress' };
  },
};
