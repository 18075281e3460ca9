/**
 * SELECT and EXAMINE, RFC 3501 §6.3.1 and §6.3.2; CONDSTORE and QRESYNC, RFC 7162 §3.1.8 and §3.2.5; MAILBOXID, RFC 8474
 * §4.2.
 */
import { ProtocolError, RefusedError } from '../../errors.ts';
import { Flag } from '../../store/types.ts';
import type { SelectCommand } from '../wire/ast.ts';
import {
  highestModSeqCode,
  mailboxIdCode,
  uidNextCode,
  uidValidityCode,
  unseenCode,
} from '../wire/response-code.ts';
import { AUTHENTICATED, type CommandSpec, ok, type SelectedFolder } from './context.ts';
import { pathOf } from './folder-name.ts';
import { mailboxIdOf } from './object-id.ts';
import { writeResync } from './resync.ts';

export const select: CommandSpec<SelectCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const { out } = context;
    if (command.qresync !== null && !context.isQresync) throw new ProtocolError('QRESYNC is not enabled.');
    // The folder that was selected is left even when this command fails (RFC 3501 §6.3.1).
    if (context.selectedId !== null) {
      await context.closeFolder();
      // RFC 7162 §3.2.11: what comes before it is of the old folder, what comes behind of the new one.
      out.text('* OK [CLOSED] The folder before was closed.\r\n');
    }
    if (command.isCondstore) context.isCondstore = true;
    const info = await context.mailbox.findFolder(pathOf(command.mailbox.name));
    if (!info.isSelectable) throw new RefusedError('nonexistent', 'That folder cannot be selected.');
    const isReadOnly = command.name === 'EXAMINE';
    const selected = await context.openFolder(info, isReadOnly);
    const { unseen } = await context.mailbox.status(info.id);

    context.tellKeywords();
    out.text(`* ${selected.numbers.count} EXISTS\r\n* ${selected.numbers.recentCount} RECENT\r\n`);
    const firstUnseen = unseen > 0 && !context.isUidOnly ? findFirstUnseen(selected) : 0;
    if (firstUnseen > 0) out.text(`* OK [${unseenCode(firstUnseen)}] First unseen.\r\n`);
    out.text(`* OK [${uidValidityCode(selected.view.uidValidity)}] UIDs valid.\r\n`);
    out.text(`* OK [${uidNextCode(selected.uidNext)}] Predicted next UID.\r\n`);
    out.text(`* OK [${highestModSeqCode(selected.highestModSeq)}] Highest.\r\n`);
    out.text(`* OK [${mailboxIdCode(mailboxIdOf(info.id, selected.view.uidValidity))}] Id.\r\n`);
    // RFC 7162 §3.2.5: under another UIDVALIDITY nothing that the client knows means anything.
    if (command.qresync?.uidValidity === selected.view.uidValidity) {
      await writeResync(command.qresync, context);
    }
    return ok(`${command.name} completed.`, isReadOnly ? 'READ-ONLY' : 'READ-WRITE');
  },
};

function findFirstUnseen(selected: SelectedFolder): number {
  const { numbers, view } = selected;
  for (let number = 1; number <= numbers.count; number += 1) {
    const flags = view.flags(numbers.uidAt(number));
    if (flags !== undefined && (flags.system & Flag.Seen) === 0) return number;
  }
  return 0;
}
