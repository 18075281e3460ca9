/**
 * What a command is given, and what it answers. The session (session/session.ts) implements these interfaces; commands
 * know nothing of sockets, reading, or each other.
 */
import type { FolderId, ModSeq, Uid } from '../../ids.ts';
import type { SealedMessage } from '../../seal/sealed-message.ts';
import type { OwnerHandle } from '../../store/handles.ts';
import type { FolderInfo, FolderView, Mailbox, MailStore } from '../../store/types.ts';
import type { ImapCounts } from '../counts.ts';
import type { ServerLoad } from '../load.ts';
import type { AppendMessage } from '../wire/ast.ts';
import type { SequenceSet } from '../wire/sequence-set.ts';

/** RFC 9051 §3. */
export type SessionState = 'not-authenticated' | 'authenticated' | 'selected' | 'logout';

/** The tagged reply to a command. */
export interface Completion {
  readonly condition: 'OK' | 'NO' | 'BAD';
  readonly text: string;
  /** Response code without brackets. */
  readonly code?: string;
  /** What the connection does after the reply. */
  readonly next?: 'close' | 'starttls' | 'compress';
}

export const ok = (text: string, code?: string): Completion =>
  code === undefined ? { condition: 'OK', text } : { condition: 'OK', text, code };

export const no = (text: string, code?: string): Completion =>
  code === undefined ? { condition: 'NO', text } : { condition: 'NO', text, code };

export interface CommandSpec<C> {
  /** Where the command is legal; elsewhere it is answered BAD and nothing of it is done. */
  readonly states: readonly SessionState[];
  /** Whether EXPUNGE may be told before the tagged reply (RFC 3501 §7.4.1). True when absent. */
  mayExpunge?(command: C): boolean;
  /**
   * Untagged responses go to `context.out`, the tagged one is returned.
   * @throws any error: session/error-reply.ts makes the reply of it.
   */
  run(command: C, context: CommandContext): Promise<Completion> | Completion;
}

export const ANY_STATE: readonly SessionState[] = ['not-authenticated', 'authenticated', 'selected'];
export const NOT_AUTHENTICATED: readonly SessionState[] = ['not-authenticated'];
export const AUTHENTICATED: readonly SessionState[] = ['authenticated', 'selected'];
export const SELECTED: readonly SessionState[] = ['selected'];

/** Collects responses for one write. All text is wire text: latin1, line ends included. */
export interface Output {
  text(wire: string): void;
  /** `{n}` and the octets, kept by reference. */
  literal(octets: Uint8Array): void;
  /** Octets of a literal whose size was promised in text. */
  octets(octets: Uint8Array): void;
  /** Hands everything on; resolves when the client has taken enough to be sent more. */
  flush(): Promise<void>;
  /** As flush once enough has collected, else undefined. Call it after each response of a long answer. */
  settle(): Promise<void> | undefined;
}

/** The client's view of message numbers (session/view.ts). */
export interface MessageNumbers {
  readonly count: number;
  readonly recentCount: number;
  isRecent(uid: number): boolean;
  isGone(uid: number): boolean;
  uidAt(sequenceNumber: number): Uid;
  sequenceOf(uid: number): number;
  resolve(set: SequenceSet, isUid: boolean): Uint32Array;
  save(uids: Uint32Array): void;
  all(): Uint32Array;
  flagsTold(uid: number): void;
  flagsDue(uid: number): void;
}

export interface SelectedFolder {
  readonly id: FolderId;
  /** EXAMINE: nothing in the folder changes through this session. */
  readonly isReadOnly: boolean;
  readonly view: FolderView;
  readonly numbers: MessageNumbers;
  /** As they were when `numbers` was made, which is what SELECT tells; the view's own go on. */
  readonly uidNext: Uid;
  readonly highestModSeq: ModSeq;
  /** As CommandContext.isUidOnly. */
  readonly isUidOnly: boolean;
}

/** The messages of an APPEND, still on the wire. Each is announced, then received, before the next is asked for. */
export interface IncomingMessages {
  readonly first: AppendMessage;
  /** Asks the client for what was announced last, when it waits to be asked, and yields its octets. */
  receive(): AsyncIterable<Buffer>;
  /**
   * Reads on behind a message that was received.
   * @returns the next, announced; null at the end of the command. @throws ProtocolError when neither follows.
   */
  next(): Promise<AppendMessage | null>;
}

/** Who signed in. */
export interface SignedInUser {
  readonly owner: OwnerHandle;
  /** Stable id of the user, for the limit of connections a user. No address. */
  readonly userId: string;
}

/** The parts of Letterlock that IMAP stands on, each as narrow as it can be. */
export interface ImapDependencies {
  readonly store: Pick<MailStore, 'openMailbox'>;
  /** The server's. */
  readonly counts?: Pick<ImapCounts, 'completed'>;
  /**
   * Checks credentials; delays and equal answers for unknown users are its duty.
   * @throws RefusedError 'bad-credentials' or 'not-permitted', UnavailableError.
   */
  signIn(username: string, password: string, remoteAddress: string): Promise<SignedInUser>;
  /** Seals octets as they come, under a fresh file key. @throws UnavailableError, and what the source throws. */
  sealMessage(source: AsyncIterable<Buffer>): Promise<SealedMessage>;
  /** Removes what was sealed and no mailbox took. */
  discardSealed(message: SealedMessage): Promise<void>;
  readonly load: ServerLoad;
  readonly log: ImapLog;
}

/** Fields carry codes, mailbox ids and connection ids: never names, addresses, credentials or content. */
export interface ImapLog {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface CommandContext {
  readonly dependencies: ImapDependencies;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  /** Whether COMPRESS is active. */
  readonly isCompressed: boolean;
  /** Whether credentials may be sent on this connection: TLS, or a network that the operator excepted. */
  readonly mayAuthenticate: boolean;
  readonly appendLimitOctets: number;
  /**
   * Counts octets that are sealed and wait for the rest of their APPEND. @returns what gives them back.
   * @throws UnavailableError 'busy' when all connections together hold too many.
   */
  claimWaiting(octets: number): () => void;
  readonly out: Output;
  /** What the store is told of our own changes, to know them again. */
  readonly origin: object;
  /** @throws Error (a bug) unless authenticated. */
  readonly mailbox: Mailbox;
  /** @throws Error (a bug) unless a folder is selected. */
  readonly selected: SelectedFolder;
  /** Present while APPEND runs. */
  readonly incoming: IncomingMessages | null;
  /** Whether the client asked for modseqs (RFC 7162 §3.1), which it cannot take back. */
  isCondstore: boolean;
  /** Whether the client enabled UTF8=ACCEPT (RFC 9755): UTF-8 in quoted strings and mailbox names, both ways. */
  isUtf8: boolean;
  /** Whether the client resynchronizes by UIDs: VANISHED instead of EXPUNGE (RFC 7162 §3.2). Implies isCondstore. */
  isQresync: boolean;
  /** Whether the client gave up message numbers (RFC 9586). */
  isUidOnly: boolean;
  /** How many messages a command may take (RFC 9738); null for any number. */
  readonly messageLimit: number | null;

  /** Capabilities to announce now. */
  capabilities(): readonly string[];
  /** Enters the authenticated state. @throws RefusedError 'too-many' connections of one user. */
  enter(user: SignedInUser, mailbox: Mailbox): void;
  /** Whether the mailbox's keys cannot be had now: withdrawn, or the key service is down. False before authentication. */
  isLocked(): Promise<boolean>;
  /** Enters the selected state. */
  openFolder(info: FolderInfo, isReadOnly: boolean): Promise<SelectedFolder>;
  /** Leaves the selected state, if in it; expunges nothing. */
  closeFolder(): Promise<void>;
  /** The selected folder's id, or null. */
  readonly selectedId: FolderId | null;
  /** Tells FLAGS and PERMANENTFLAGS again when keywords have come up that the client does not know. */
  tellKeywords(): void;
  /** Sends a continuation and waits for one line of the client, without its line end. */
  readLine(continuation: string): Promise<Buffer>;
  /** IDLE: pushes changes until the client sends a line, which is returned. */
  idle(): Promise<Buffer>;
}
