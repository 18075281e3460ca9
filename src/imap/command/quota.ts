/** GETQUOTA, GETQUOTAROOT and SETQUOTA, RFC 2087. One root, "", is the whole mailbox of the user. */
import { RefusedError } from '../../errors.ts';
import type { QuotaUsage } from '../../store/types.ts';
import type { GetQuotaCommand, MailboxCommand, SetQuotaCommand } from '../wire/ast.ts';
import { printMailbox } from '../wire/printer.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { nameOf, pathOf } from './folder-name.ts';

export const getquota: CommandSpec<GetQuotaCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    if (command.root !== '') throw new RefusedError('nonexistent', 'There is no such quota root.');
    context.out.text(quotaResponse(await context.mailbox.quota()));
    return ok('Getquota completed.');
  },
};

export const getquotaroot: CommandSpec<MailboxCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const info = await context.mailbox.findFolder(pathOf(command.mailbox.name));
    context.out.text(`* QUOTAROOT ${printMailbox(nameOf(info.path), context.isUtf8)} ""\r\n`);
    context.out.text(quotaResponse(await context.mailbox.quota()));
    return ok('Getquotaroot completed.');
  },
};

/** Quotas are the administrator's. */
export const setquota: CommandSpec<SetQuotaCommand> = {
  states: AUTHENTICATED,
  run() {
    throw new RefusedError('not-permitted', 'Quotas are set by the administrator.');
  },
};

/** In units of 1,024 octets, rounded up: a mailbox that holds anything does not look empty. A root may have no limit. */
function quotaResponse(usage: QuotaUsage): string {
  if (usage.storageLimitOctets === null) return '* QUOTA "" ()\r\n';
  const used = Math.ceil(usage.storageOctets / 1024);
  return `* QUOTA "" (STORAGE ${used} ${Math.floor(usage.storageLimitOctets / 1024)})\r\n`;
}
