/** CLOSE, RFC 9051 §6.4.1, and UNSELECT, §6.4.2 (RFC 3691). */
import type { BareCommand } from '../wire/ast.ts';
import { type CommandSpec, ok, SELECTED } from './context.ts';

export const close: CommandSpec<BareCommand> = {
  states: SELECTED,
  async run(_command, context) {
    const { id, isReadOnly } = context.selected;
    // No EXPUNGE or VANISHED responses: the client leaves the numbers behind. And no HIGHESTMODSEQ, by which it would
    // never hear of what it had not been told: with the one it has, it is told all when it comes back.
    if (!isReadOnly) await context.mailbox.expunge(id, null, context.origin);
    await context.closeFolder();
    return ok('Close completed.');
  },
};

export const unselect: CommandSpec<BareCommand> = {
  states: SELECTED,
  async run(_command, context) {
    await context.closeFolder();
    return ok('Unselect completed.');
  },
};
