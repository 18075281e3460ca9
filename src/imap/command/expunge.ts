/** EXPUNGE, RFC 9051 §6.4.3, and UID EXPUNGE, §6.4.9 (RFC 4315 §2.1). */
import type { Uid } from '../../ids.ts';
import type { ExpungeCommand } from '../wire/ast.ts';
import { type CommandSpec, ok, SELECTED } from './context.ts';
import { writableFolder } from './read-only.ts';

export const expunge: CommandSpec<ExpungeCommand> = {
  states: SELECTED,
  async run(command, context) {
    const { id, numbers } = writableFolder(context);
    if (command.set === null) {
      await context.mailbox.expunge(id, null, context.origin);
    } else {
      const uids = Array.from(numbers.resolve(command.set, true)) as Uid[];
      if (uids.length > 0) await context.mailbox.expunge(id, uids, context.origin);
    }
    return ok('Expunge completed.');
  },
};
