/** COPY, RFC 9051 §6.4.7, and MOVE, §6.4.8 (RFC 6851), with COPYUID (RFC 4315 §3). Nothing is sealed anew. */
import { RefusedError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import type { CopyResult } from '../../store/types.ts';
import type { CopyCommand } from '../wire/ast.ts';
import { copyUidCode } from '../wire/response-code.ts';
import { type CommandSpec, no, ok, SELECTED } from './context.ts';
import { limited } from './message-limit.ts';
import { writableFolder } from './read-only.ts';
import { requireTarget } from './target.ts';

export const copy: CommandSpec<CopyCommand> = {
  states: SELECTED,
  async run(command, context) {
    const isMove = command.name === 'MOVE';
    const { id, numbers } = isMove ? writableFolder(context) : context.selected;
    const named = numbers.resolve(command.set, command.isUid);
    // RFC 9738 §3.1: all or none, so that no client takes a part of a copy for the whole.
    if (limited(named, context).code !== undefined) {
      return no('Too many messages at once.', `MESSAGELIMIT ${context.messageLimit}`);
    }
    const uids = Array.from(named) as Uid[];
    const present = uids.filter((uid) => !numbers.isGone(uid));
    // RFC 2180 §4.4.1: numbers that the client still has and others expunged; it must be told, not given a part.
    if (!command.isUid && present.length < uids.length) {
      return no('Some messages were expunged meanwhile.', 'EXPUNGEISSUED');
    }
    const target = await requireTarget(context, command.mailbox.name);
    if (present.length === 0) return ok('No messages.');
    const { mailbox, origin } = context;
    if (!isMove) {
      const result = await mailbox.copy(id, present, target.id, origin);
      return ok('Copy completed.', codeOf(result));
    }
    if (target.id === id) throw new RefusedError('cannot', 'The messages are in that folder already.');
    const result = await mailbox.move(id, present, target.id, origin);
    // RFC 6851 §4.3: COPYUID goes before the EXPUNGE responses, which the session sends before the tagged reply.
    const code = codeOf(result);
    if (code !== undefined) context.out.text(`* OK [${code}] Moved.\r\n`);
    return ok('Move completed.');
  },
};

function codeOf(result: CopyResult): string | undefined {
  if (result.source.length === 0) return undefined;
  return copyUidCode(result.uidValidity, result.source, result.target);
}
