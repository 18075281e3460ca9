/**
 * What the accept journal records: every change to a mailbox, as data. docs/format.md, "Accept journal".
 *
 * An operation holds only sealed octets (as numbers into the record's blobs) and what the leak budget lists. It is
 * applied to an index at most once: where its modseq is greater than the index's. Fields are only ever added.
 */
import type { FolderId, MailboxId, MessageId, ModSeq, OrganizationId, Uid, UidValidity } from '../ids.ts';
import type { FlagOperation, FolderRole } from './types.ts';

/** An index into the record's blobs. */
export type BlobRef = number;

/** UIDs as an IMAP sequence set, ascending: `1:5,9`. */
export type UidSet = string;

/** Where a message's sealed body is: in the record, or in spool/ under the message's id. */
export type BodyRef = { readonly blob: BlobRef } | { readonly spool: true };

/** One message in one mailbox. */
export interface AddedEntry {
  readonly mailbox: MailboxId;
  readonly modSeq: ModSeq;
  readonly folder: FolderId;
  readonly uid: Uid;
  readonly epoch: number;
  readonly flags: number;
  readonly keywords: readonly number[];
  readonly header: BlobRef;
  readonly digest: BlobRef;
  /** Of a message in a queue: to whom it goes on, sealed under its file key. */
  readonly envelope?: BlobRef;
}

export interface AddedMessage {
  readonly id: MessageId;
  /** Clear octets. */
  readonly size: number;
  /** Sealed octets of the body. */
  readonly bodyOctets: number;
  /** Milliseconds since 1970: the internal date, and the time of saving. */
  readonly date: number;
  readonly saved: number;
  readonly body: BodyRef;
  readonly to: readonly AddedEntry[];
}

/** A keyword that the operation is the first to use. */
export interface NewKeyword {
  readonly mailbox: MailboxId;
  readonly number: number;
  readonly name: BlobRef;
}

export interface NewFolder {
  readonly id: FolderId;
  readonly role: FolderRole | null;
  readonly uidValidity: UidValidity;
  readonly name: BlobRef;
}

interface OnMailbox {
  readonly mailbox: MailboxId;
  readonly modSeq: ModSeq;
}

/** A delivery (one message, many mailboxes) or an append (one mailbox, one or more messages). */
export interface AddOperation {
  readonly op: 'add';
  readonly messages: readonly AddedMessage[];
  readonly keywords: readonly NewKeyword[];
}

export interface FlagsOperation extends OnMailbox {
  readonly op: 'flags';
  readonly folder: FolderId;
  readonly uids: UidSet;
  readonly operation: FlagOperation;
  readonly flags: number;
  readonly flagKeywords: readonly number[];
  readonly keywords: readonly NewKeyword[];
}

/** Target UIDs ascend by one from `firstUid`, in the order of the source's. */
export interface CopyOperation extends OnMailbox {
  readonly op: 'copy' | 'move';
  readonly folder: FolderId;
  readonly uids: UidSet;
  readonly target: FolderId;
  readonly firstUid: Uid;
  readonly saved: number;
}

export interface ExpungeOperation extends OnMailbox {
  readonly op: 'expunge';
  readonly folder: FolderId;
  readonly uids: UidSet;
}

export interface CreateFoldersOperation extends OnMailbox {
  readonly op: 'create-folders';
  readonly organization: OrganizationId;
  readonly epoch: number;
  readonly folders: readonly NewFolder[];
}

export interface RenameFoldersOperation extends OnMailbox {
  readonly op: 'rename-folders';
  readonly folders: readonly { readonly id: FolderId; readonly name: BlobRef }[];
}

export interface RemoveFolderOperation extends OnMailbox {
  readonly op: 'remove-folder';
  readonly folder: FolderId;
}

export interface SubscribeOperation extends OnMailbox {
  readonly op: 'subscribe';
  readonly subscriptions: readonly { readonly id: number; readonly name: BlobRef }[];
}

export interface UnsubscribeOperation extends OnMailbox {
  readonly op: 'unsubscribe';
  readonly ids: readonly number[];
}

/** The folder's \Recent mark; changes no message, so it takes a modseq only to be applied once. */
export interface RecentOperation extends OnMailbox {
  readonly op: 'recent';
  readonly folder: FolderId;
  readonly from: Uid;
}

/** What a queue knows of one of its messages from now on. Generations ascend by one from 1. */
export interface NoteOperation extends OnMailbox {
  readonly op: 'note';
  readonly message: MessageId;
  readonly generation: number;
  readonly note: BlobRef;
}

export interface RemoveMailboxOperation {
  readonly op: 'remove-mailbox';
  readonly mailbox: MailboxId;
}

export type MailboxOperation =
  | FlagsOperation
  | CopyOperation
  | ExpungeOperation
  | CreateFoldersOperation
  | RenameFoldersOperation
  | RemoveFolderOperation
  | SubscribeOperation
  | UnsubscribeOperation
  | RecentOperation
  | NoteOperation;

export type Operation = AddOperation | MailboxOperation | RemoveMailboxOperation;

/** Mailboxes that an operation changes, each once. */
export function mailboxesOf(operation: Operation): readonly MailboxId[] {
  if (operation.op !== 'add') return [operation.mailbox];
  const mailboxes = new Set<MailboxId>();
  for (const message of operation.messages) for (const entry of message.to) mailboxes.add(entry.mailbox);
  return [...mailboxes];
}

/** Whether the operation is the first of its mailbox: it makes INBOX. */
export const isBirth = (operation: Operation): boolean =>
  operation.op === 'create-folders' && operation.folders.some(({ role }) => role === 'inbox');
