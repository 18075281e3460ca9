/**
 * STATUS, RFC 9051 §6.3.11; SIZE, RFC 8438; APPENDLIMIT, RFC 7889 §3; HIGHESTMODSEQ, RFC 7162 §3.1.7; MAILBOXID,
 * RFC 8474 §4.3.
 */
import { RefusedError } from '../../errors.ts';
import type { FolderInfo, FolderStatus } from '../../store/types.ts';
import type { StatusCommand, StatusItem } from '../wire/ast.ts';
import { printMailbox } from '../wire/printer.ts';
import { AUTHENTICATED, type CommandContext, type CommandSpec, ok } from './context.ts';
import { nameOf, pathOf } from './folder-name.ts';
import { mailboxIdOf } from './object-id.ts';

export const status: CommandSpec<StatusCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const info = await context.mailbox.findFolder(pathOf(command.mailbox.name));
    if (!info.isSelectable) throw new RefusedError('nonexistent', 'That folder has no status.');
    await writeStatus(context, info, command.items);
    return ok('Status completed.');
  },
};

/** One STATUS response. */
export async function writeStatus(
  context: CommandContext,
  info: FolderInfo,
  items: readonly StatusItem[],
): Promise<void> {
  // RFC 7162 §3.1: asking for it enables.
  if (items.includes('HIGHESTMODSEQ')) context.isCondstore = true;
  const found = await context.mailbox.status(info.id);
  const values = items.map((item) => `${item} ${statusValue(item, info, found, context)}`);
  context.out.text(`* STATUS ${printMailbox(nameOf(info.path), context.isUtf8)} (${values.join(' ')})\r\n`);
}

function statusValue(
  item: StatusItem,
  info: FolderInfo,
  found: FolderStatus,
  context: CommandContext,
): number | string {
  switch (item) {
    case 'MESSAGES':
      return found.messages;
    case 'RECENT':
      return found.recent;
    case 'UIDNEXT':
      return found.uidNext;
    case 'UIDVALIDITY':
      return found.uidValidity;
    case 'UNSEEN':
      return found.unseen;
    case 'DELETED':
      return found.deleted;
    case 'SIZE':
      return found.sizeOctets;
    case 'HIGHESTMODSEQ':
      return found.highestModSeq;
    case 'APPENDLIMIT':
      return context.appendLimitOctets;
    case 'MAILBOXID':
      return `(${mailboxIdOf(info.id, found.uidValidity)})`;
    default:
      return item satisfies never;
  }
}
