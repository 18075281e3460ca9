/** RENAME, RFC 9051 §6.3.6: children move along; INBOX's messages move to the new folder, and INBOX stays. */
import type { RenameCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { newPathOf, pathOf } from './folder-name.ts';

export const rename: CommandSpec<RenameCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    await context.mailbox.renameFolder(pathOf(command.from.name), newPathOf(command.to.name));
    return ok('Rename completed.');
  },
};
