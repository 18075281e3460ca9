/** LOGOUT, RFC 9051 §6.1.3. */
import type { BareCommand } from '../wire/ast.ts';
import { ANY_STATE, type CommandSpec } from './context.ts';

export const logout: CommandSpec<BareCommand> = {
  states: ANY_STATE,
  // Nothing may stand between BYE and the tagged OK, and expunges need not be told to who leaves.
  mayExpunge: () => false,
  async run(_command, context) {
    await context.closeFolder();
    context.out.text('* BYE Logging out.\r\n');
    return { condition: 'OK', text: 'Logout completed.', next: 'close' };
  },
};
