/** EXPUNGE, RFC 9051 §6.4.3, and UID EXPUNGE, §6.4.9 (RFC 4315 §2.1). */
import type { Uid } from '../../ids.ts';
import { Flag, type FolderView } from '../../store/types.ts';
import type { ExpungeCommand } from '../wire/ast.ts';
import { type CommandSpec, ok, SELECTED } from './context.ts';
import { limited } from './message-limit.ts';
import { writableFolder } from './read-only.ts';

export const expunge: CommandSpec<ExpungeCommand> = {
  states: SELECTED,
  async run(command, context) {
    const { id, numbers, view } = writableFolder(context);
    if (command.set === null) {
      await context.mailbox.expunge(id, null, context.origin);
    } else {
      const named = numbers.resolve(command.set, true);
      // Only what is \Deleted counts against the limit; without one, the store looks for that.
      const chosen =
        context.messageLimit === null ? named : named.filter((uid) => isDeleted(view, uid as Uid));
      const { uids, code } = limited(chosen, context);
      if (uids.length > 0) await context.mailbox.expunge(id, Array.from(uids) as Uid[], context.origin);
      return ok('Expunge completed.', code);
    }
    return ok('Expunge completed.');
  },
};

const isDeleted = (view: FolderView, uid: Uid): boolean =>
  ((view.flags(uid)?.system ?? 0) & Flag.Deleted) !== 0;
