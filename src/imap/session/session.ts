/**
 * One client's session: its state (RFC 9051 §3), what it has selected, and what it must be told with each reply.
 *
 * Commands run strictly one after the other; the connection around it sees to that. Changes to the selected folder come
 * in at any time, wait in the view, and go out before a tagged reply, or at once in IDLE.
 */

import { ProtocolError, RefusedError, UnavailableError } from '../../errors.ts';
import type { FolderId, ModSeq } from '../../ids.ts';
import { IMAP_BAD_COMMANDS, IMAP_FAILED_LOGINS, IMAP_PREAUTH_BAD_COMMANDS } from '../../limits.ts';
import type { OwnerHandle } from '../../store/handles.ts';
import type { FolderChange, FolderInfo, Mailbox } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import { announcedCapabilities } from '../command/capability.ts';
import type {
  CommandContext,
  Completion,
  ImapDependencies,
  IncomingMessages,
  Output,
  SelectedFolder,
  SessionState,
  SignedInUser,
} from '../command/context.ts';
import { BrokenLiteral } from '../command/fetch-response.ts';
import { flagsResponse, SYSTEM_FLAGS } from '../command/flags.ts';
import { commandSpec } from '../command/table.ts';
import { usesMessageNumbers } from '../command/uid-only.ts';
import type { Command } from '../wire/ast.ts';
import { printContinuation, printFlagList, printStatusResponse } from '../wire/printer.ts';
import { capabilityCode, highestModSeqCode, permanentFlagsCode } from '../wire/response-code.ts';
import { rangesOf } from '../wire/sequence-set.ts';
import { vanishedResponses } from '../wire/vanished.ts';
import { ConnectionEnd } from './connection-end.ts';
import { type ErrorReply, errorReply } from './error-reply.ts';
import { ClientView } from './view.ts';

/** The connection, as far as a session needs it. */
export interface ClientLink {
  readonly id: number;
  readonly remoteAddress: string;
  readonly isSecure: boolean;
  readonly isCompressed: boolean;
  readonly mayCompress: boolean;
  readonly mayStartTls: boolean;
  readonly mayAuthenticate: boolean;
  readonly appendLimitOctets: number;
  readonly messageLimit: number | null;
  readonly keepAliveMs: number;
  /** As CommandContext has it. */
  claimWaiting(octets: number): () => void;
  readonly out: Output;
  /** Flushes, then waits for one line that is no command. @throws ConnectionEnd, ProtocolError. */
  readLine(): Promise<Buffer>;
  /**
   * Counts the connection as the user's and lifts the bounds that hold before authentication.
   * @returns what gives the place back. @throws RefusedError 'too-many'.
   */
  authenticated(userId: string): () => void;
}

/** What the connection does after a reply. */
export type AfterReply = 'continue' | 'close' | 'starttls' | 'compress';

interface Selection extends SelectedFolder {
  readonly numbers: ClientView;
  /** UIDs below it were \Recent in some session before, or are in this one and have been claimed. */
  readonly claimedBelow: number;
  /** Keywords that the client was told in FLAGS; -1 before the first time. */
  keywordsTold: number;
  /** A QRESYNC client that comes back with it misses nothing. */
  safeModSeq: ModSeq;
  isGone: boolean;
}

export class Session implements CommandContext {
  readonly dependencies: ImapDependencies;
  readonly origin = {};
  isCondstore = false;
  isUtf8 = false;
  incoming: IncomingMessages | null = null;
  isQresync = false;
  isUidOnly = false;
  readonly #link: ClientLink;
  #state: SessionState = 'not-authenticated';
  #mailbox: Mailbox | null = null;
  #owner: OwnerHandle | null = null;
  #releaseUser: (() => void) | null = null;
  #selection: Selection | null = null;
  #badCommands = 0;
  #failedLogins = 0;
  #isIdle = false;
  #isPushDue = false;
  #isPushing = false;

  constructor(dependencies: ImapDependencies, link: ClientLink) {
    this.dependencies = dependencies;
    this.#link = link;
  }

  // --- For the connection ---

  greet(): void {
    this.out.text(
      printStatusResponse(null, 'OK', 'Letterlock is ready.', capabilityCode(this.capabilities())),
    );
  }

  /**
   * Runs a command and writes its replies.
   * @param incoming The messages of an APPEND.
   * @throws ConnectionEnd, BrokenLiteral: then nothing more can be said.
   */
  async execute(command: Command, incoming: IncomingMessages | null): Promise<AfterReply> {
    const begunAt = performance.now();
    const completion = await this.#run(command, incoming);
    this.dependencies.counts?.completed(command.name, completion.condition, performance.now() - begunAt);
    return this.#reply(command.tag, completion);
  }

  async #run(command: Command, incoming: IncomingMessages | null): Promise<Completion | ErrorReply> {
    const spec = commandSpec(command);
    if (spec === null) return bad('That command is not offered.');
    if (!spec.states.includes(this.#state)) return bad(`${command.name} is not allowed now.`);
    if (this.isUidOnly && usesMessageNumbers(command)) {
      return { ...bad('Message numbers were given up.'), code: 'UIDREQUIRED' };
    }
    let completion: Completion | ErrorReply;
    this.incoming = incoming;
    try {
      completion = await spec.run(command, this);
    } catch (error) {
      if (error instanceof ConnectionEnd || error instanceof BrokenLiteral) throw error;
      completion = this.#failed(error, command.name);
    } finally {
      this.incoming = null;
    }
    await this.#writeUpdates(spec.mayExpunge?.(command) ?? true);
    return this.#withModSeq(completion);
  }

  /** Answers what could not be framed or parsed. @param tag Null when it has none. */
  reject(tag: string | null, error: unknown): AfterReply {
    // RFC 5182 §2.1: a SEARCH answered NO empties `$`. Whether this one had SAVE is not known any more; after an empty
    // `$`, commands do nothing, after a stale one the wrong thing.
    if (error instanceof ProtocolError && error.code === 'badcharset') {
      this.#selection?.numbers.save(new Uint32Array());
    }
    return this.#reply(tag, this.#failed(error, null));
  }

  /** Says why the connection ends. */
  sayBye(text: string): void {
    this.#state = 'logout';
    this.out.text(printStatusResponse(null, 'BYE', text));
  }

  /** Lets go of everything. The connection is gone, or about to be. */
  async end(): Promise<void> {
    this.#state = 'logout';
    await this.closeFolder();
    this.#mailbox?.close();
    this.#mailbox = null;
    this.#owner = null;
    this.#releaseUser?.();
    this.#releaseUser = null;
  }

  // --- For commands ---

  get out(): Output {
    return this.#link.out;
  }

  get remoteAddress(): string {
    return this.#link.remoteAddress;
  }

  get isSecure(): boolean {
    return this.#link.isSecure;
  }

  get isCompressed(): boolean {
    return this.#link.isCompressed;
  }

  get mayAuthenticate(): boolean {
    return this.#link.mayAuthenticate;
  }

  get appendLimitOctets(): number {
    return this.#link.appendLimitOctets;
  }

  claimWaiting(octets: number): () => void {
    return this.#link.claimWaiting(octets);
  }

  get messageLimit(): number | null {
    return this.isUidOnly ? this.#link.messageLimit : null;
  }

  get mailbox(): Mailbox {
    if (this.#mailbox === null) throw new Error('no mailbox before authentication');
    return this.#mailbox;
  }

  get selected(): SelectedFolder {
    if (this.#selection === null) throw new Error('no folder is selected');
    return this.#selection;
  }

  get selectedId(): FolderId | null {
    return this.#selection?.id ?? null;
  }

  capabilities(): readonly string[] {
    return announcedCapabilities(this.#state, this.#link);
  }

  enter(user: SignedInUser, mailbox: Mailbox): void {
    this.#releaseUser = this.#link.authenticated(user.userId);
    this.#mailbox = mailbox;
    this.#owner = user.owner;
    this.#state = 'authenticated';
  }

  async isLocked(): Promise<boolean> {
    try {
      await this.#owner?.lease();
      return false;
    } catch (error) {
      if (error instanceof RefusedError || error instanceof UnavailableError) return true;
      throw error;
    }
  }

  async openFolder(info: FolderInfo, isReadOnly: boolean): Promise<SelectedFolder> {
    let selection: Selection | null = null;
    const view = await this.mailbox.openFolder(info.id, (change) => {
      // Before the view's snapshot is taken, below, the change is in the snapshot.
      if (selection !== null) this.#changed(selection, change);
    });
    const isUidOnly = (): boolean => this.isUidOnly;
    try {
      const recentFrom = await view.recentFrom(!isReadOnly);
      // From the snapshot on, no await: nothing may come between it and the view.
      selection = {
        id: info.id,
        isReadOnly,
        view,
        numbers: new ClientView(view.uids(), recentFrom, this.origin),
        uidNext: view.uidNext,
        highestModSeq: view.highestModSeq,
        get isUidOnly() {
          return isUidOnly();
        },
        claimedBelow: view.uidNext,
        keywordsTold: -1,
        safeModSeq: view.highestModSeq,
        isGone: false,
      };
    } catch (error) {
      view.close();
      throw error;
    }
    this.#selection = selection;
    this.#state = 'selected';
    return selection;
  }

  async closeFolder(): Promise<void> {
    const selection = this.#selection;
    if (selection === null) return;
    this.#selection = null;
    if (this.#state === 'selected') this.#state = 'authenticated';
    try {
      await claimRecent(selection);
    } finally {
      selection.view.close();
    }
  }

  tellKeywords(): void {
    const selection = this.#selection;
    if (selection === null) return;
    const keywords = selection.view.keywords();
    if (keywords.length === selection.keywordsTold) return;
    selection.keywordsTold = keywords.length;
    const flags = [...SYSTEM_FLAGS, ...keywords];
    const permanent = selection.isReadOnly ? [] : [...flags, '\\*'];
    this.out.text(`* FLAGS ${printFlagList(flags)}\r\n`);
    this.out.text(printStatusResponse(null, 'OK', 'Flags permitted.', permanentFlagsCode(permanent)));
  }

  readLine(continuation: string): Promise<Buffer> {
    this.out.text(printContinuation(continuation));
    return this.#link.readLine();
  }

  async idle(): Promise<Buffer> {
    const keepAlive = setInterval(() => {
      this.out.text('* OK Still here\r\n');
      this.#push();
    }, this.#link.keepAliveMs);
    try {
      this.out.text(printContinuation('idling'));
      this.#isIdle = true;
      this.#push();
      return await this.#link.readLine();
    } finally {
      this.#isIdle = false;
      clearInterval(keepAlive);
    }
  }

  // --- Changes ---

  #changed(selection: Selection, change: FolderChange): void {
    if (change.kind === 'gone') selection.isGone = true;
    else selection.numbers.apply(change);
    if (!this.#isIdle || this.#isPushDue) return;
    this.#isPushDue = true;
    // One push for what one step of the store changed.
    queueMicrotask(() => {
      this.#isPushDue = false;
      if (this.#isIdle) this.#push();
    });
  }

  /** Sends what is due in IDLE. While the client takes nothing, changes wait in the view, where they cost little. */
  #push(): void {
    if (this.#isPushing) return;
    this.#isPushing = true;
    this.#writeUpdates(true)
      .then(() => this.out.flush())
      .then(
        () => {
          this.#isPushing = false;
          if (this.#isIdle && this.#selection?.numbers.hasUpdates) this.#push();
        },
        (error: unknown) => {
          // A connection that ended ends the wait for the client's line as well.
          if (!(error instanceof ConnectionEnd)) this.#failed(error, 'IDLE');
        },
      );
  }

  /**
   * RFC 3501 §7: EXPUNGE first, so that the numbers behind it are the new ones. Numbers change in one step, before the
   * first wait; each response behind it is made with the numbers that hold when it is written.
   */
  async #writeUpdates(mayExpunge: boolean): Promise<void> {
    const selection = this.#selection;
    if (selection === null || selection.isGone || !selection.numbers.hasUpdates) return;
    const { expunged, vanished, exists, changed } = selection.numbers.takeUpdates(mayExpunge);
    if (this.isQresync || this.isUidOnly) {
      for (const response of vanishedResponses(rangesOf(vanished), false)) this.out.text(response);
    } else {
      for (const number of expunged) this.out.text(`* ${number} EXPUNGE\r\n`);
    }
    if (exists !== null) {
      this.out.text(`* ${exists} EXISTS\r\n* ${selection.numbers.recentCount} RECENT\r\n`);
    }
    if (changed.length === 0) return;
    this.tellKeywords();
    const slice = yieldingTo();
    for (const uid of changed) {
      this.out.text(flagsResponse(selection, uid, { withUid: true, withModSeq: this.isCondstore }));
      const wait = this.out.settle() ?? slice.pause();
      if (wait !== undefined) await wait;
    }
  }

  // --- Replies ---

  /**
   * Tells a QRESYNC client the modseq to come back with, when it is another than before; and in any case while it is not
   * told of all, since MODSEQ items may have shown it greater ones than those of the expunges that wait (RFC 7162
   * §3.2; erratum 1810 of RFC 5162).
   */
  #withModSeq(completion: Completion | ErrorReply): Completion | ErrorReply {
    const selection = this.#selection;
    if (!this.isQresync || selection === null || selection.isGone) return completion;
    if (!selection.numbers.hasUpdates) {
      const { highestModSeq } = selection.view;
      if (highestModSeq === selection.safeModSeq) return completion;
      selection.safeModSeq = highestModSeq;
    }
    const code = highestModSeqCode(selection.safeModSeq);
    if (completion.condition === 'OK' && completion.code === undefined) return { ...completion, code };
    if (completion.condition !== 'BYE') this.out.text(`* OK [${code}] Highest.\r\n`);
    return completion;
  }

  #failed(error: unknown, command: string | null): ErrorReply {
    const reply = errorReply(error);
    if (error instanceof RefusedError && error.code === 'bad-credentials') this.#failedLogins += 1;
    const fields = {
      connection: this.#link.id,
      command,
      code: reply.code,
      ...(this.#mailbox === null ? {} : { mailbox: this.#mailbox.id }),
      ...(reply.logLevel === 'info' ? { remoteAddress: this.remoteAddress } : {}),
      ...(reply.logLevel === 'error' ? { err: error } : {}),
    };
    this.dependencies.log[reply.logLevel](fields, 'an IMAP command failed');
    return reply;
  }

  #reply(tag: string | null, completion: Completion | ErrorReply): AfterReply {
    const { condition, text, code } = completion;
    if (condition === 'BYE') {
      this.out.text(printStatusResponse(null, 'BYE', text, code));
      return 'close';
    }
    this.out.text(printStatusResponse(tag, condition, text, code));
    this.#badCommands = condition === 'BAD' ? this.#badCommands + 1 : 0;
    const isAuthenticated = this.#state !== 'not-authenticated';
    if (this.#badCommands >= (isAuthenticated ? IMAP_BAD_COMMANDS : IMAP_PREAUTH_BAD_COMMANDS)) {
      this.sayBye('Too many bad commands.');
      return 'close';
    }
    if (this.#failedLogins >= IMAP_FAILED_LOGINS) {
      this.sayBye('Too many failed logins.');
      return 'close';
    }
    if (this.#selection?.isGone) {
      // Its numbers mean nothing any more, and RFC 9051 has no way to say so but this.
      this.sayBye('The selected folder was deleted.');
      return 'close';
    }
    return 'next' in completion && completion.next !== undefined ? completion.next : 'continue';
  }
}

const bad = (text: string): ErrorReply => ({ condition: 'BAD', text, logLevel: 'debug' });

/**
 * Messages that arrived in this session and that it was told of are not \Recent in the next one (RFC 3501 §2.3.2). The
 * claim is a convenience to clients: when it fails, the next session sees them as \Recent again.
 */
async function claimRecent({ isReadOnly, isGone, numbers, claimedBelow, view }: Selection): Promise<void> {
  const { count } = numbers;
  if (isReadOnly || isGone || count === 0 || numbers.uidAt(count) < claimedBelow) return;
  await view.recentFrom(true).catch(() => {});
}
