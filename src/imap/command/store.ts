/** STORE, RFC 9051 §6.4.6; UNCHANGEDSINCE, RFC 7162 §3.1.3. */
import type { ModSeq, Uid } from '../../ids.ts';
import type { FlagChange } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import type { StoreCommand } from '../wire/ast.ts';
import { modifiedCode } from '../wire/response-code.ts';
import { type CommandContext, type CommandSpec, no, ok, SELECTED } from './context.ts';
import { flagsResponse, parseFlags } from './flags.ts';
import { limited } from './message-limit.ts';
import { writableFolder } from './read-only.ts';

export const store: CommandSpec<StoreCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  async run(command, context) {
    const { id, numbers } = writableFolder(context);
    const flags = parseFlags(command.flags);
    const { uids: taken, code } = limited(numbers.resolve(command.set, command.isUid), context);
    const uids = Array.from(taken) as Uid[];
    if (command.unchangedSince !== null) context.isCondstore = true;
    const change: FlagChange = {
      operation: command.operation,
      flags,
      origin: context.origin,
      ...(command.unchangedSince === null ? {} : { unchangedSince: command.unchangedSince as ModSeq }),
    };
    if (uids.length === 0) return ok('Store completed.');
    const { modified, missing } = await context.mailbox.storeFlags(id, uids, change);
    await writeFlags(command, uids, modified, context);

    const modifiedResult =
      modified.length === 0
        ? undefined
        : modifiedCode(command.isUid ? modified : modified.map((uid) => numbers.sequenceOf(uid)));
    // RFC 2180 §4.2: the client still has numbers for what others expunged. By UID it is as if they never were.
    if (!command.isUid && missing.length > 0) {
      return no('Some messages were expunged meanwhile.', modifiedResult ?? 'EXPUNGEISSUED');
    }
    if (code !== undefined && modifiedResult !== undefined) context.out.text(`* OK [${code}] Not all.\r\n`);
    return ok('Store completed.', modifiedResult ?? code);
  },
};

async function writeFlags(
  command: StoreCommand,
  uids: readonly Uid[],
  modified: readonly Uid[],
  context: CommandContext,
): Promise<void> {
  context.tellKeywords();
  // RFC 7162 §3.1.3: after UNCHANGEDSINCE the new modseq is told even when the flags are not.
  if (command.isSilent && !context.isCondstore) return;
  const left = new Set(modified);
  const slice = yieldingTo();
  for (const uid of uids) {
    if (left.has(uid)) continue;
    context.out.text(
      flagsResponse(context.selected, uid, {
        withUid: command.isUid || context.isCondstore,
        withModSeq: context.isCondstore,
        withFlags: !command.isSilent,
      }),
    );
    await context.out.settle();
    await slice.pause();
  }
}
