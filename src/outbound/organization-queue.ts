/**
 * The queue of one organization: what is in it and when each is due, as numbers that need no key; and the work on what is
 * due, under the queue's lease. docs/format.md, "Outbound queue".
 *
 * What must stay true: the note of what a server accepted is durable before that server gets another command; a message
 * is removed only when everybody has it, or its sender was told who has not; without keys everything waits, in its place.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeEnvelope, type OnwardEnvelope } from '../delivery/onward.ts';
import { IntegrityError, LetterlockError, RefusedError, UnavailableError } from '../errors.ts';
import type { MessageId, OrganizationId } from '../ids.ts';
import {
  OUTBOUND_KEY_RETRY_MS,
  OUTBOUND_LEASE_MS,
  OUTBOUND_MESSAGES,
  OUTBOUND_REPAIR_MS,
  OUTBOUND_SETTLE_MS,
  OUTBOUND_SHARE,
} from '../limits.ts';
import type { OwnerHandle } from '../store/handles.ts';
import type { MailStore, OpenQueued, QueuedMessage, QueueMailbox } from '../store/types.ts';
import { Attempt, type AttemptParts, type AttemptResult } from './attempt.ts';
import { DueList } from './due-list.ts';
import { decodeNote, encodeNote, firstNote, type Note } from './note.ts';

export interface QueueLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface OrganizationQueueParts extends AttemptParts {
  readonly store: Pick<MailStore, 'openQueue'>;
  readonly log: QueueLog;
  readonly now: () => number;
  /** There is more that is due, or sooner. */
  readonly wake: () => void;
}

/** `due` at a time; `working`; `held` by an administrator or by what a rebuilt index cannot know; `damaged`. */
export type ItemState = 'due' | 'working' | 'held' | 'damaged';

interface Item {
  message: QueuedMessage;
  state: ItemState;
  /** Milliseconds since 1970. */
  nextAt: number;
  /** Counts the entries in the due list: older ones mean nothing. */
  turn: number;
  isRemoved: boolean;
  /** Where it is parked; null: nowhere. */
  slot: string | null;
}

/** What anybody may know of a message in the queue. */
export interface ItemSummary {
  readonly id: MessageId;
  readonly sizeOctets: number;
  readonly arrivedAt: Date;
  readonly state: ItemState;
  readonly nextAt: Date;
  /** A rebuilt index has it: it may have gone out already. */
  readonly isRecovered: boolean;
}

/** A message that was opened for somebody to look at. */
export interface ItemDetail extends ItemSummary {
  readonly organization: OrganizationId;
  readonly envelope: OnwardEnvelope;
  readonly note: Note;
}

export class OrganizationQueue {
  readonly organization: OrganizationId;
  readonly #owner: OwnerHandle;
  readonly #parts: OrganizationQueueParts;
  readonly #items = new Map<MessageId, Item>();
  readonly #due = new DueList<{ readonly item: Item; readonly turn: number }>();
  readonly #work = new Map<Item, Promise<void>>();
  readonly #slotKey = randomBytes(32);
  /**
   * Messages for destinations whose sessions are all taken, in the order of their coming, each once, with the turn that it
   * had: of another it waits for something else by now.
   */
  readonly #parked = new Map<string, Map<Item, number>>();
  #mailbox: QueueMailbox | null = null;
  /** Why nothing goes out at the moment; null when it does. */
  #waitsFor: string | null = null;
  #pausedUntil = 0;
  #leaseTimer: NodeJS.Timeout | null = null;
  #isClosing = false;

  constructor(organization: OrganizationId, owner: OwnerHandle, parts: OrganizationQueueParts) {
    this.organization = organization;
    this.#owner = owner;
    this.#parts = parts;
  }

  /** Lists what is there. Needs no key. @throws RefusedError 'nonexistent' when the organization has no queue (any more). */
  async open(): Promise<void> {
    const mailbox = await this.#parts.store.openQueue(this.#owner, (added) => this.#added(added));
    this.#mailbox = mailbox;
    for await (const message of mailbox.messages()) this.#add(message, 0);
    this.#parts.wake();
  }

  /** Messages in it. */
  get size(): number {
    return this.#items.size;
  }

  /** The code of the error that keeps its keys closed; null when none does. */
  get waitsFor(): string | null {
    return this.#waitsFor;
  }

  has(id: MessageId): boolean {
    return this.#items.has(id);
  }

  /** When there is something to do; infinity while its share is at work, since whoever ends wakes. */
  get nextAt(): number {
    if (this.#isAtShare) return Number.POSITIVE_INFINITY;
    return Math.max(this.#due.nextAt, this.#pausedUntil);
  }

  /** Begins with the message that is due for the longest. @returns whether there was one. */
  startNext(): boolean {
    if (this.#isClosing || this.#isAtShare || this.#pausedUntil > this.#parts.now()) return false;
    for (;;) {
      const next = this.#due.take(this.#parts.now());
      if (next === undefined) return false;
      const { item, turn } = next;
      if (item.turn !== turn || item.state !== 'due' || item.isRemoved) continue;
      item.state = 'working';
      const work = this.#attempt(item).finally(() => {
        this.#work.delete(item);
        this.#letGo();
        this.#parts.wake();
      });
      this.#work.set(item, work);
      return true;
    }
  }

  get #isAtShare(): boolean {
    return this.#work.size >= OUTBOUND_MESSAGES * OUTBOUND_SHARE;
  }

  /** How many messages are being worked on. */
  get working(): number {
    return this.#work.size;
  }

  // --- For administrators ---

  *summaries(): Generator<ItemSummary> {
    for (const item of this.#items.values()) yield summary(item);
  }

  /** @param owner Whoever looks: the lease is granted, and recorded, to him. */
  async detail(id: MessageId, owner: OwnerHandle): Promise<ItemDetail> {
    const item = this.#item(id);
    const queue = await this.#parts.store.openQueue(owner, () => undefined);
    try {
      for await (const message of queue.messages()) if (message.id === id) break;
      const { envelope, note } = opened(await queue.open(id), item);
      return { ...summary(item), organization: this.organization, envelope, note };
    } finally {
      queue.close();
      this.#letGo();
    }
  }

  /** To be tried now, also what is held. */
  retry(id: MessageId): Promise<void> {
    return this.#withItem(id, async (item) => {
      if (item.state === 'damaged') throw new IntegrityError('seal-broken', 'The message cannot be opened');
      const now = this.#parts.now();
      const note = await this.#note(item);
      if (note.isHeld || note.nextAt > now) await this.#write(item, { ...note, isHeld: false, nextAt: now });
      if (!item.message.isReleased) await this.#mailbox!.release(id);
      item.message = { ...item.message, isReleased: true };
      return { state: 'due', nextAt: now };
    });
  }

  /** Not to be tried until `retry`. */
  hold(id: MessageId): Promise<void> {
    return this.#withItem(id, async (item) => {
      await this.#write(item, { ...(await this.#note(item)), isHeld: true });
      return { state: 'held', nextAt: item.nextAt };
    });
  }

  /** Removes it; nobody is told. */
  drop(id: MessageId): Promise<void> {
    return this.#withItem(id, async (item) => {
      await this.#remove(item);
      return item;
    });
  }

  /** Begins nothing more, and waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#work.values());
    if (this.#leaseTimer !== null) clearTimeout(this.#leaseTimer);
    this.#mailbox?.close();
    this.#parts.endLease(this.#owner.mailbox);
  }

  // --- Items ---

  #added(messages: readonly QueuedMessage[]): void {
    for (const message of messages) {
      const known = this.#items.get(message.id);
      // What is released comes a second time.
      if (known !== undefined) continue;
      this.#add(message, this.#parts.now());
    }
    this.#parts.wake();
  }

  /** @param nextAt 0: unknown, the note has it. */
  #add(message: QueuedMessage, nextAt: number): void {
    if (this.#items.has(message.id)) return;
    const item: Item = { message, state: 'due', nextAt, turn: 0, isRemoved: false, slot: null };
    this.#items.set(message.id, item);
    if (message.isReleased) this.#schedule(item, nextAt);
    else item.state = 'held';
  }

  #schedule(item: Item, at: number): void {
    item.state = 'due';
    item.nextAt = at;
    item.turn++;
    this.#due.add({ item, turn: item.turn }, at);
  }

  /** @throws RefusedError 'nonexistent'. */
  #item(id: MessageId): Item {
    const item = this.#items.get(id);
    if (item === undefined || this.#mailbox === null)
      throw new RefusedError('nonexistent', 'There is no such message in the queue');
    return item;
  }

  /**
   * Changes a message that nobody works on meanwhile: an attempt between the reading of its note and the writing would be
   * forgotten, and what it sent be sent again.
   * @param change Says how the item goes on.
   * @throws RefusedError 'nonexistent', 'in-use'; what `change` throws, with the item as it was.
   */
  async #withItem(
    id: MessageId,
    change: (item: Item) => Promise<Pick<Item, 'state' | 'nextAt'>>,
  ): Promise<void> {
    const item = this.#item(id);
    for (let work = this.#work.get(item); work !== undefined; work = this.#work.get(item)) {
      const isDone = await Promise.race([
        work.then(() => true),
        sleep(OUTBOUND_SETTLE_MS, false, { ref: false }),
      ]);
      if (!isDone)
        throw new RefusedError('in-use', 'The message is being sent at the moment, try again later');
    }
    if (item.isRemoved) throw new RefusedError('nonexistent', 'The message is not in the queue any more');
    let next: Pick<Item, 'state' | 'nextAt'> = { state: item.state, nextAt: item.nextAt };
    const changed = change(item).then((result) => {
      next = result;
    });
    // What stands in the due list means nothing from here on.
    item.turn++;
    item.state = 'working';
    const ended = changed
      .catch(() => undefined)
      .then(() => {
        this.#work.delete(item);
        if (next.state === 'due' && !item.isRemoved) this.#schedule(item, next.nextAt);
        else item.state = next.state;
        this.#letGo();
        this.#parts.wake();
      });
    this.#work.set(item, ended);
    await ended;
    await changed;
  }

  // --- Work ---

  /** Never rejects. */
  async #attempt(item: Item): Promise<void> {
    try {
      const queued = await this.#mailbox!.open(item.message.id);
      const { envelope, note } = opened(queued, item);
      this.#hasKeys();
      if (note.isHeld) {
        item.state = 'held';
      } else if (note.nextAt > this.#parts.now()) {
        this.#schedule(item, note.nextAt);
      } else {
        const attempt = new Attempt(this.#parts, {
          organization: this.organization,
          id: item.message.id,
          envelope,
          note,
          message: queued.message,
          write: (next) => this.#writeSurely(item, next),
          isClosing: () => this.#isClosing,
        });
        await this.#finish(item, await attempt.run());
      }
    } catch (error) {
      this.#failed(item, error);
    }
  }

  async #finish(item: Item, { nextAt, destinations, isPutOff }: AttemptResult): Promise<void> {
    if (nextAt === null) await this.#surely(() => this.#remove(item));
    else this.#schedule(item, nextAt);
    const slots = destinations.map((destination) => this.#slotOf(destination));
    if (isPutOff) return this.#park(slots[0]!, item);
    this.#leaveSlot(item);
    for (const slot of slots) this.#unpark(slot);
  }

  /** Destinations that wait are remembered without their names: a queue tells those to nobody who has no key. */
  #slotOf(destination: string): string {
    return createHmac('sha256', this.#slotKey).update(destination).digest('base64');
  }

  #park(slot: string, item: Item): void {
    if (item.slot !== slot) this.#leaveSlot(item);
    item.slot = slot;
    const waiting = this.#parked.get(slot);
    if (waiting === undefined) this.#parked.set(slot, new Map([[item, item.turn]]));
    else waiting.set(item, item.turn);
  }

  #leaveSlot(item: Item): void {
    if (item.slot === null) return;
    const waiting = this.#parked.get(item.slot);
    waiting?.delete(item);
    if (waiting?.size === 0) this.#parked.delete(item.slot);
    item.slot = null;
  }

  /** A session has become free: the next message for it is due now. */
  #unpark(slot: string): void {
    for (const [item, turn] of this.#parked.get(slot) ?? []) {
      this.#leaveSlot(item);
      if (item.turn !== turn || item.state !== 'due' || item.isRemoved) continue;
      this.#schedule(item, this.#parts.now());
      return;
    }
  }

  #failed(item: Item, error: unknown): void {
    const { log, now } = this.#parts;
    const fields = { organization: this.organization, message: item.message.id };
    if (error instanceof RefusedError && error.code === 'nonexistent') {
      this.#forget(item);
      return;
    }
    if (error instanceof IntegrityError && !KEY_CODES.has(error.code)) {
      item.state = 'damaged';
      log.error({ ...fields, code: error.code }, 'a queued message cannot be opened');
      return;
    }
    if (error instanceof LetterlockError) {
      this.#schedule(item, now() + OUTBOUND_REPAIR_MS);
      if (!this.#isClosing) this.#hasNoKeys(error);
      return;
    }
    this.#schedule(item, now() + OUTBOUND_KEY_RETRY_MS);
    log.error({ ...fields, err: error }, 'an attempt to send a message failed unexpectedly');
  }

  // --- Keys ---

  /** Everything waits, and the log has it once. */
  #hasNoKeys({ code }: LetterlockError): void {
    this.#pausedUntil = this.#parts.now() + OUTBOUND_KEY_RETRY_MS;
    if (this.#waitsFor === code) return;
    this.#waitsFor = code;
    const { log } = this.#parts;
    log.warn({ organization: this.organization, code, messages: this.size }, 'outgoing mail waits');
  }

  #hasKeys(): void {
    if (this.#waitsFor === null) return;
    this.#waitsFor = null;
    this.#pausedUntil = 0;
    this.#parts.log.info({ organization: this.organization }, 'outgoing mail goes on');
  }

  /** While it waits, a queue holds no keys. */
  #letGo(): void {
    if (this.#work.size > 0 || this.#isClosing) return;
    if (this.#leaseTimer !== null) clearTimeout(this.#leaseTimer);
    this.#leaseTimer = setTimeout(() => {
      this.#leaseTimer = null;
      if (this.#work.size === 0) this.#parts.endLease(this.#owner.mailbox);
    }, OUTBOUND_LEASE_MS).unref();
  }

  // --- Notes ---

  async #note(item: Item): Promise<Note> {
    const { note } = opened(await this.#mailbox!.open(item.message.id), item);
    this.#hasKeys();
    this.#letGo();
    return note;
  }

  async #write(item: Item, note: Note): Promise<void> {
    await this.#mailbox!.setNote(item.message.id, encodeNote(note));
  }

  /** What was accepted elsewhere is written down whatever it takes: else it would be sent again. */
  #writeSurely(item: Item, note: Note): Promise<void> {
    const isDone = note.recipients.every(({ state, isReported }) => state === 'sent' && isReported);
    // Takes no key, so that nothing is sent twice because the key service went away meanwhile.
    return this.#surely(() => (isDone ? this.#remove(item) : this.#write(item, note)));
  }

  async #surely(step: () => Promise<void>): Promise<void> {
    for (let isAgain = false; ; isAgain = true) {
      try {
        await step();
        if (isAgain) this.#hasKeys();
        return;
      } catch (error) {
        const isPassing =
          error instanceof UnavailableError ||
          (error instanceof RefusedError && (error.code === 'key-denied' || error.code === 'locked'));
        if (!isPassing || this.#isClosing) throw error;
        this.#hasNoKeys(error);
      }
      await new Promise((resolve) => setTimeout(resolve, OUTBOUND_REPAIR_MS).unref());
    }
  }

  async #remove(item: Item): Promise<void> {
    if (item.isRemoved) return;
    await this.#mailbox!.remove(item.message.id);
    this.#forget(item);
  }

  #forget(item: Item): void {
    item.isRemoved = true;
    this.#leaveSlot(item);
    this.#items.delete(item.message.id);
  }
}

/** Of what concerns a mailbox's keys, not one message. */
const KEY_CODES: ReadonlySet<string> = new Set(['context-mismatch', 'recipient-unverified', 'missing-key']);

function opened(
  { envelope: sealed, note }: OpenQueued,
  item: Item,
): { envelope: OnwardEnvelope; note: Note } {
  const envelope = decodeEnvelope(sealed);
  const count = envelope.recipients.length;
  return {
    envelope,
    note: note === null ? firstNote(count, item.message.arrivedAt.getTime()) : decodeNote(note, count),
  };
}

const summary = ({ message, state, nextAt }: Item): ItemSummary => ({
  id: message.id,
  sizeOctets: message.sizeOctets,
  arrivedAt: message.arrivedAt,
  state,
  nextAt: new Date(nextAt),
  isRecovered: !message.isReleased,
});
