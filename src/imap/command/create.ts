/** CREATE, RFC 9051 §6.3.4, with special uses (RFC 6154 §3) and MAILBOXID (RFC 8474 §4.1). */
import { RefusedError } from '../../errors.ts';
import type { FolderRole } from '../../store/types.ts';
import type { CreateCommand } from '../wire/ast.ts';
import { mailboxIdCode } from '../wire/response-code.ts';
import { AUTHENTICATED, type CommandSpec, no, ok } from './context.ts';
import { newPathOf } from './folder-name.ts';
import { mailboxIdOf } from './object-id.ts';
import { roleOfAttribute } from './special-use.ts';

export const create: CommandSpec<CreateCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const path = newPathOf(command.mailbox.name);
    let role: FolderRole | undefined;
    if (command.specialUse.length > 0) {
      // RFC 6154 §3: what the server cannot do is refused, never made without it.
      const found = command.specialUse.length === 1 ? roleOfAttribute(command.specialUse[0]!) : null;
      if (found === null) return no('That special use is not supported.', 'USEATTR');
      const folders = await context.mailbox.listFolders();
      if (folders.some((folder) => folder.role === found)) {
        return no('Another folder has that special use.', 'USEATTR');
      }
      role = found;
    }
    if (path.length === 1 && path[0] === 'INBOX') {
      throw new RefusedError('already-exists', 'INBOX exists always.');
    }
    const { id } = await context.mailbox.createFolder(path, role);
    const { uidValidity } = await context.mailbox.status(id);
    return ok('Create completed.', mailboxIdCode(mailboxIdOf(id, uidValidity)));
  },
};
