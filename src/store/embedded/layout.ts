/** Where a store's files lie below its data directory. docs/format.md, "Data directory". */
import { join } from 'node:path';
import type { MailboxId, MessageId } from '../../ids.ts';

export const journalDirectory = (data: string): string => join(data, 'journal');
export const spoolDirectory = (data: string): string => join(data, 'spool');
export const spoolFile = (data: string, id: MessageId): string => join(data, 'spool', id);
export const mailboxesDirectory = (data: string): string => join(data, 'mailboxes');
export const mailboxDirectory = (data: string, mailbox: MailboxId): string =>
  join(data, 'mailboxes', mailbox.slice(0, 2), mailbox);
/** Where a mailbox that was removed lies while it is being deleted: in one step it is not there any more. */
export const removedDirectory = (data: string, mailbox: MailboxId): string =>
  `${mailboxDirectory(data, mailbox)}.removed`;
export const indexFile = (data: string, mailbox: MailboxId): string =>
  join(mailboxDirectory(data, mailbox), 'index.db');
export const snapshotFile = (data: string, mailbox: MailboxId): string =>
  join(mailboxDirectory(data, mailbox), 'snapshot');
export const bodyDirectory = (data: string, mailbox: MailboxId, id: MessageId): string =>
  join(mailboxDirectory(data, mailbox), 'cur', id.slice(0, 2));
export const bodyFile = (data: string, mailbox: MailboxId, id: MessageId): string =>
  join(bodyDirectory(data, mailbox, id), id);
