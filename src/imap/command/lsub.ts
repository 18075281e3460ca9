/** LSUB, RFC 3501 §6.3.9, and XLIST, the forerunner of SPECIAL-USE that Outlook 2013 and 2016 ask for. */

import { yieldingTo } from '../../yielding.ts';
import type { LsubCommand } from '../wire/ast.ts';
import { printMailbox } from '../wire/printer.ts';
import { AUTHENTICATED, type CommandContext, type CommandSpec, ok } from './context.ts';
import { DELIMITER, nameOf } from './folder-name.ts';
import { attributesOf } from './list.ts';
import { type ListPattern, listPattern } from './list-pattern.ts';

export const lsub: CommandSpec<LsubCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const pattern = listPattern(command.reference.name + command.pattern.name);
    if (command.name === 'XLIST') await writeXlist(pattern, context);
    else await writeLsub(pattern, context);
    return ok(`${command.name} completed.`);
  },
};

/**
 * With `%`, a name that is not subscribed but stands above one that is gets \NoSelect, so that clients find the way down
 * (RFC 3501 §6.3.9).
 */
async function writeLsub(pattern: ListPattern, context: CommandContext): Promise<void> {
  const subscribed = (await context.mailbox.listSubscriptions()).map(nameOf);
  const matches = new Map<string, string>();
  const slice = yieldingTo();
  for (const name of subscribed) {
    await slice.pause();
    if (pattern.matches(name)) {
      matches.set(name, '');
      continue;
    }
    for (let end = name.indexOf(DELIMITER); end > 0; end = name.indexOf(DELIMITER, end + 1)) {
      const ancestor = name.slice(0, end);
      if (!matches.has(ancestor) && pattern.matches(ancestor)) matches.set(ancestor, '\\NoSelect');
    }
  }
  for (const [name, attribute] of matches) {
    context.out.text(`* LSUB (${attribute}) "${DELIMITER}" ${printMailbox(name, context.isUtf8)}\r\n`);
    await context.out.settle();
  }
}

async function writeXlist(pattern: ListPattern, context: CommandContext): Promise<void> {
  for (const info of await context.mailbox.listFolders()) {
    const name = nameOf(info.path);
    if (!pattern.matches(name)) continue;
    const attributes = attributesOf(info);
    if (info.role === 'inbox') attributes.push('\\Inbox');
    // XLIST was Gmail's, and says Spam.
    if (info.role === 'junk') attributes.push('\\Spam');
    context.out.text(
      `* XLIST (${attributes.join(' ')}) "${DELIMITER}" ${printMailbox(name, context.isUtf8)}\r\n`,
    );
    await context.out.settle();
  }
}
