/** DELETE, RFC 9051 §6.3.5. A folder with children keeps its name as \NoSelect. */
import type { MailboxCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { pathOf } from './folder-name.ts';

export const deleteFolder: CommandSpec<MailboxCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const path = pathOf(command.mailbox.name);
    const info = await context.mailbox.findFolder(path);
    await context.mailbox.removeFolder(path);
    // Otherwise the session would hold on to a folder that is gone, and be closed for it.
    if (info.id === context.selectedId) await context.closeFolder();
    return ok('Delete completed.');
  },
};
