/** SUBSCRIBE and UNSUBSCRIBE, RFC 9051 §6.3.7 and §6.3.8. A name need not exist. */
import type { MailboxCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { newPathOf, pathOf } from './folder-name.ts';

export const subscribe: CommandSpec<MailboxCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    await context.mailbox.setSubscribed(newPathOf(command.mailbox.name), true);
    return ok('Subscribe completed.');
  },
};

export const unsubscribe: CommandSpec<MailboxCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    await context.mailbox.setSubscribed(pathOf(command.mailbox.name), false);
    return ok('Unsubscribe completed.');
  },
};
