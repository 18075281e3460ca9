/**
 * The store, as the rest of Letterlock sees it: domain-level operations on mailboxes, each documented as a duty.
 * No path, file handle or engine type appears here. Every implementation passes test/store/contract.ts.
 *
 * Who may do what is in the handle that a call takes (handles.ts): a DeliverHandle can only deliver, an OwnerHandle
 * comes from authentication, a MaintenanceHandle never yields clear text.
 *
 * "Durable" below means: on stable storage, so that it survives the loss of power (docs/format.md, "Accept journal").
 * Every method may also throw UnavailableError ('disk-full', 'shutting-down') with nothing changed.
 */
import type { FolderId, MailboxId, MessageId, ModSeq, Uid, UidValidity } from '../ids.ts';
import type { Digest } from '../message/digest.ts';
import type { SearchText } from '../message/search-text.ts';
import type { SealedMessage } from '../seal/sealed-message.ts';
import type { DeliverHandle, MaintenanceHandle, OwnerHandle } from './handles.ts';

/** RFC 6154 special uses, and INBOX. In clear at rest, so that delivery needs no key. */
export type FolderRole = 'inbox' | 'drafts' | 'sent' | 'junk' | 'trash' | 'archive';

/** System flags as a bit set. \Recent is not a stored flag: see FolderView.claimRecent. */
export const Flag = { Seen: 1, Answered: 2, Flagged: 4, Deleted: 8, Draft: 16 } as const;

/** A message's flags: system flags as bits of `Flag`, keywords by name as the client spelled them first. */
export interface MessageFlags {
  readonly system: number;
  readonly keywords: readonly string[];
}

export interface FolderInfo {
  readonly id: FolderId;
  /** Path components, opened; decoded Unicode (never modified UTF-7). INBOX is ['INBOX']. */
  readonly path: readonly string[];
  readonly role: FolderRole | null;
  readonly isSubscribed: boolean;
  readonly hasChildren: boolean;
  /** False for a name that was deleted while it had children (\NoSelect); it holds no messages. */
  readonly isSelectable: boolean;
}

export interface FolderStatus {
  readonly messages: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly recent: number;
  readonly uidNext: Uid;
  readonly uidValidity: UidValidity;
  readonly highestModSeq: ModSeq;
  /** Sum of message sizes in octets (STATUS=SIZE). */
  readonly sizeOctets: number;
}

/** One message of a folder as the index knows it: nothing here needs a key. */
export interface MessageSummary {
  readonly uid: Uid;
  readonly systemFlags: number;
  readonly keywords: readonly string[];
  readonly modSeq: ModSeq;
  /** RFC 5322 octets, trace headers included; exact. */
  readonly sizeOctets: number;
  readonly internalDate: Date;
  readonly saveDate: Date;
  readonly emailId: MessageId;
}

/** What is known of a message without opening it, as latin1 text; null where it has to be opened. To be used at once. */
export interface KnownContent {
  /** As Digest.envelope and Digest.bodyStructure. */
  readonly envelope: string | null;
  readonly bodyStructure: string | null;
  /** Of message/kept-fields.ts. */
  readonly fields: string | null;
  readonly search: SearchText | null;
}

/** What an iteration over messages is for, the dearest of it: the digest, kept fields or text, or octets. */
export type Wanted = 'digest' | 'kept' | 'octets';

/** A message that can be opened. Valid until the iteration that yielded it goes on. */
export interface StoredMessage extends MessageSummary {
  /** What can be told at once; null when nothing can, and the message has to be opened. */
  known(): KnownContent | null;
  /** @throws IntegrityError when the sealed digest does not open and cannot be derived anew. */
  digest(): Promise<Digest>;
  /**
   * Clear octets [start, end) of the message, frame by frame; the caller owns the buffers.
   * @throws IntegrityError before the first buffer when the stored length is not the digest's, or at the chunk that
   *   does not open.
   */
  octets(start?: number, end?: number): AsyncIterable<Buffer>;
  /** The same in one buffer; for callers that know the range is small. */
  read(start?: number, end?: number): Promise<Buffer>;
}

/**
 * What changed in a folder; told after it is durable, in commit order, and before the call that caused it resolves.
 * `origin` is what the caller passed.
 */
export type FolderChange =
  | { readonly kind: 'added'; readonly uids: readonly Uid[]; readonly origin: unknown }
  | {
      readonly kind: 'flags';
      readonly uids: readonly Uid[];
      readonly modSeq: ModSeq;
      readonly origin: unknown;
    }
  | {
      readonly kind: 'expunged';
      readonly uids: readonly Uid[];
      readonly modSeq: ModSeq;
      readonly origin: unknown;
    }
  /** The folder was deleted (or the mailbox was); the view yields nothing more. */
  | { readonly kind: 'gone' };

/** A live view of one folder. Shares the folder's state with every other view of it; closing is idempotent. */
export interface FolderView {
  readonly id: FolderId;
  readonly uidValidity: UidValidity;
  readonly uidNext: Uid;
  readonly highestModSeq: ModSeq;
  /** UIDs now in the folder, ascending. A copy: the caller owns it. */
  uids(): Uint32Array;
  /** Current flags of one message, or undefined when it is gone. Needs no key while the view is open. */
  flags(uid: Uid): (MessageFlags & { readonly modSeq: ModSeq }) | undefined;
  /** UIDs now in the folder whose modseq is greater, ascending; the caller owns them. RFC 7162 §3.1.4.1. */
  changedSince(modSeq: number): Uint32Array;
  /**
   * UIDs that left the folder by changes after `modSeq`, as [first, last, first, last ...], ascending and disjoint. Among
   * them may be UIDs that left before, or that there never were; never one that is there. RFC 7162 §3.2.
   * @returns null when the store does not remember that far back: every UID below uidNext that is not there may have left.
   */
  vanishedSince(modSeq: number): readonly number[] | null;
  /** Keyword names in use in this folder, for FLAGS and PERMANENTFLAGS. */
  keywords(): readonly string[];
  /**
   * RFC 3501 §2.3.2: UIDs at or above the returned one are \Recent for the session that called this (read-write
   * sessions claim; later sessions get a higher mark). Read-only sessions pass `claim: false`.
   */
  recentFrom(claim: boolean): Promise<Uid>;
  close(): void;
}

export type FlagOperation = 'replace' | 'add' | 'remove';

export interface FlagChange {
  readonly operation: FlagOperation;
  readonly flags: MessageFlags;
  /** RFC 7162 §3.1.3: leave alone, and report in `modified`, messages whose modseq is greater. */
  readonly unchangedSince?: ModSeq;
  /** Echoed in the FolderChange, so that a session can tell its own changes. */
  readonly origin?: unknown;
}

export interface CopyResult {
  readonly uidValidity: UidValidity;
  /** Source UIDs that existed, ascending, and for each its UID in the target. */
  readonly source: readonly Uid[];
  readonly target: readonly Uid[];
}

export interface QuotaUsage {
  readonly storageOctets: number;
  readonly storageLimitOctets: number | null;
  readonly messages: number;
}

/** One message placed in one mailbox by a delivery. */
export interface Placement {
  readonly handle: DeliverHandle;
  /** A role that the mailbox lacks falls back to INBOX. */
  readonly folder: FolderRole;
  /** In a queue: to whom the message goes on, in clear. Sealed together with the message; stays the caller's. */
  readonly envelope?: Uint8Array;
}

/** `queue`: an organization's outgoing mail; it has INBOX alone. */
export type MailboxKind = 'user' | 'queue';

export interface DeliveryOutcome {
  readonly mailbox: MailboxId;
  /** Absent when placed; RefusedError 'over-quota' or 'nonexistent', or IntegrityError, otherwise. */
  readonly error?: Error;
}

export interface AppendItem {
  readonly message: SealedMessage;
  readonly flags: MessageFlags;
  readonly internalDate: Date;
}

export interface MailStore {
  /**
   * Places one sealed message in each mailbox, all in one durable record; ciphertext is shared between them.
   * Resolves after the record is durable. A mailbox that refuses (quota) does not stop the others.
   * @throws UnavailableError, with nothing placed anywhere.
   */
  deliver(message: SealedMessage, placements: readonly Placement[]): Promise<readonly DeliveryOutcome[]>;
  /** Whether `sizeOctets` more would fit now: the RCPT-time check. Needs no key. */
  hasRoom(handle: DeliverHandle, sizeOctets: number): Promise<boolean>;
  /**
   * Makes the mailbox's directory, index and standard folders (all subscribed). Idempotent by mailbox id.
   * Durable when it resolves. Takes the owner handle because folder names are sealed.
   */
  createMailbox(owner: OwnerHandle, kind?: MailboxKind): Promise<void>;
  /** Removes the mailbox and all its mail. Durable when it resolves; sessions see 'gone'. */
  removeMailbox(handle: MaintenanceHandle): Promise<void>;
  /** @throws RefusedError 'nonexistent' when there is no such mailbox. */
  openMailbox(owner: OwnerHandle): Promise<Mailbox>;
  /**
   * Opens a queue. `onAdded` is told of what arrives, after it is durable; what is there already is the caller's to list.
   * @throws RefusedError 'nonexistent' when there is no such mailbox.
   */
  openQueue(owner: OwnerHandle, onAdded: (messages: readonly QueuedMessage[]) => void): Promise<QueueMailbox>;
  /** Waits for what is in flight, makes a checkpoint, closes files. */
  close(): Promise<void>;
}

/** A message of a queue as the index knows it: nothing here needs a key. */
export interface QueuedMessage {
  readonly id: MessageId;
  /** RFC 5322 octets, trace headers included; exact. */
  readonly sizeOctets: number;
  readonly arrivedAt: Date;
  /** Whether it is to be sent. Not what a new index found again: an administrator releases it, or not. */
  readonly isReleased: boolean;
}

/** A queued message whose envelope and note were opened. */
export interface OpenQueued {
  /** As the delivery gave it; the caller owns it. */
  readonly envelope: Buffer;
  /** As `setNote` was given it last; null before the first. The caller owns it. */
  readonly note: Buffer | null;
  readonly message: StoredMessage;
}

/**
 * An organization's queue, opened by the one who works on it. Messages are named by id, each is there once; methods that
 * yield or take content need the owner's lease and throw as Mailbox's do.
 */
export interface QueueMailbox {
  /** All messages, in order of arrival. Needs no key. */
  messages(): AsyncIterable<QueuedMessage>;
  /** @throws RefusedError 'nonexistent' when it was removed; IntegrityError. */
  open(id: MessageId): Promise<OpenQueued>;
  /** Replaces what is known of the message. Durable when it resolves. @throws RefusedError 'nonexistent'. */
  setNote(id: MessageId, note: Uint8Array): Promise<void>;
  /** Releases what is not. Durable when it resolves. Needs no key. @throws RefusedError 'nonexistent'. */
  release(id: MessageId): Promise<void>;
  /** Durable when it resolves; nothing happens when it is gone already. Needs no key. */
  remove(id: MessageId): Promise<void>;
  close(): void;
}

/** Some UIDs of a folder, as of a moment. */
export interface UidSet {
  readonly size: number;
  has(uid: number): boolean;
}

/**
 * One opened mailbox, for one session. Every method that yields or takes names, keywords or message content needs the
 * owner's lease and may throw RefusedError 'key-denied' or 'locked', or UnavailableError 'key-service-down'.
 */
export interface Mailbox {
  readonly id: MailboxId;
  listFolders(): Promise<readonly FolderInfo[]>;
  /** Subscribed names, those of folders that are gone included (RFC 9051 §6.3.7). */
  listSubscriptions(): Promise<readonly (readonly string[])[]>;
  /** @throws RefusedError 'nonexistent'. Names compare octet-exact, INBOX case-insensitively. */
  findFolder(path: readonly string[]): Promise<FolderInfo>;
  /**
   * Creates the folder and missing parents. @throws RefusedError 'already-exists', 'invalid', 'too-many'.
   */
  createFolder(path: readonly string[], role?: FolderRole): Promise<FolderInfo>;
  /** @throws RefusedError 'nonexistent', 'cannot' (INBOX; a non-selectable name with children). */
  removeFolder(path: readonly string[]): Promise<void>;
  /** RFC 9051 §6.3.6: children move along; INBOX is special: its messages move to a new folder. */
  renameFolder(from: readonly string[], to: readonly string[]): Promise<void>;
  /** Subscribing to a name that does not exist is allowed. */
  setSubscribed(path: readonly string[], isSubscribed: boolean): Promise<void>;
  status(folder: FolderId): Promise<FolderStatus>;
  quota(): Promise<QuotaUsage>;

  openFolder(folder: FolderId, onChange: (change: FolderChange) => void): Promise<FolderView>;
  /** Appends all or none; resolves when durable. UIDs ascend in the order given. */
  append(
    folder: FolderId,
    items: readonly AppendItem[],
    origin?: unknown,
  ): Promise<{ uidValidity: UidValidity; uids: readonly Uid[] }>;
  /**
   * Resolves when durable; many messages in several steps, each for itself. UIDs that are gone are skipped and reported in
   * `missing`.
   */
  storeFlags(
    folder: FolderId,
    uids: readonly Uid[],
    change: FlagChange,
  ): Promise<{ modSeq: ModSeq; changed: readonly Uid[]; modified: readonly Uid[]; missing: readonly Uid[] }>;
  /** Never re-seals: the target shares the sealed octets. All or none; resolves when durable. */
  copy(folder: FolderId, uids: readonly Uid[], target: FolderId, origin?: unknown): Promise<CopyResult>;
  /** There is no moment at which a message is in both or in neither; many move in several durable steps. */
  move(folder: FolderId, uids: readonly Uid[], target: FolderId, origin?: unknown): Promise<CopyResult>;
  /** Expunges those of `uids` that carry \Deleted (all of the folder's when null), in steps. Resolves when durable. */
  expunge(folder: FolderId, uids: readonly Uid[] | null, origin?: unknown): Promise<readonly Uid[]>;

  /**
   * Those UIDs of the folder whose messages may have the term: none is left out that has it where SEARCH TEXT looks.
   * @param term Case-mapped.
   */
  mayHaveTerm(folder: FolderId, term: string): Promise<UidSet>;
  /** What the index knows of each UID that exists, ascending. Needs no lease. */
  summaries(folder: FolderId, uids: Iterable<number>): Iterable<MessageSummary>;
  /** Opens messages in the order given, reading ahead; UIDs that are gone are skipped. */
  messages(folder: FolderId, uids: readonly Uid[], want: Wanted): AsyncIterable<StoredMessage>;
  /** The same, as many at a time as are at hand: for those that can do without a wait between messages. */
  messageBatches(
    folder: FolderId,
    uids: readonly Uid[],
    want: Wanted,
  ): AsyncIterable<readonly StoredMessage[]>;
  close(): void;
}
