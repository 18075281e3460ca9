/** `letterlock mailbox`: closing a mailbox to everybody, and opening it again. */
import type { LockRecord } from './administer.ts';
import type { CommandTable } from './command.ts';
import { changing } from './directory-command.ts';

export const LOCK_REASON = {
  reason: { value: 'TEXT', help: 'why: kept with the lock, and in the key-use journal' },
} as const;

/** `mailbox since 2027-01-01T00:00:00.000Z: left the company`. */
export const shownLocks = ({ locks }: { readonly locks: readonly LockRecord[] }): string =>
  locks.map(({ of, since, reason }) => `${of} since ${since}${reason && `: ${reason}`}`).join('; ');

export const mailboxCommands: CommandTable = {
  'mailbox lock': changing({
    summary: "lock a user's mailbox: nobody reads it, mail still arrives",
    operands: ['ADDRESS'],
    options: LOCK_REASON,
    details: [
      'In force when the command returns, in running sessions too: what was opened is forgotten, and the key service',
      'is not asked. Clients are told NO [CONTACTADMIN], and 454 at submission, so that they keep the password.',
    ].join('\n'),
    examples: ['mailbox lock alice@example.com', "mailbox lock alice@example.com --reason 'lost phone'"],
    operation: 'mailbox lock',
    args: ({ operands, options }) => ({ address: operands[0], reason: options.text('reason') ?? '' }),
    say: ({ operands }) => `Locked the mailbox of ${operands[0]}.`,
  }),
  'mailbox unlock': changing({
    summary: "take a mailbox's lock away",
    operands: ['ADDRESS'],
    examples: ['mailbox unlock alice@example.com'],
    operation: 'mailbox unlock',
    args: ({ operands }) => ({ address: operands[0] }),
    say: ({ operands }) => `Unlocked the mailbox of ${operands[0]}.`,
  }),
};
