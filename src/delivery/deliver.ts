/**
 * From an accepted message to the mailboxes of its recipients. Sealed once for each organization, handed to the store in
 * one call for all its mailboxes: one body, one header each, one durable record. There is no path on which a message is
 * stored that was not sealed; whatever goes wrong is thrown, and the edge answers that the sender shall keep it.
 */
import { RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { LARGE_MESSAGES_AT_ONCE, RAW_MESSAGE_OCTETS } from '../limits.ts';
import type { SealedMessage } from '../seal/sealed-message.ts';
import type { MailStore, Placement } from '../store/types.ts';
import { yieldingTo } from '../yielding.ts';
import { type Acceptance, acceptStream, acceptWhole } from './acceptance.ts';
import { Gate } from './gate.ts';
import { encodeEnvelope, type OnwardFacts, type OnwardRecipient } from './onward.ts';
import { discardSealed, type SealOptions, sealMessage } from './seal-message.ts';
import type { Spool } from './spool.ts';

/** A mailbox that a recipient stands for; or the queue that carries the message on to somebody elsewhere. */
export interface Destination extends Placement {
  /** In a queue: to whom. */
  readonly onward?: readonly OnwardRecipient[];
}

export interface Delivery {
  /** Complete. Stays the caller's, who closes it. */
  readonly message: Spool;
  readonly acceptance: Acceptance;
  /** One entry for each recipient that was accepted, in order: the mailboxes it stands for, at least one. */
  readonly recipients: readonly (readonly Destination[])[];
  /** For queues. */
  readonly onward?: OnwardFacts;
  /**
   * Who can be answered: 'all' recipients with one reply (SMTP), so that nothing is delivered unless all have room, or
   * 'each' for itself (LMTP).
   */
  readonly answers: 'all' | 'each';
}

export interface DeliveryResult {
  /** One for each recipient: null when at least one of its mailboxes has the message, which is durable then. */
  readonly outcomes: readonly (Error | null)[];
  /** Why a mailbox did not get the message, for each that did not: the full member of a group, say. */
  readonly failures: ReadonlyMap<MailboxId, Error>;
}

/** No ciphertext is shared between organizations. */
interface SealedForOrganization {
  readonly message: SealedMessage;
  readonly placements: readonly Placement[];
}

export interface DelivererOptions extends SealOptions {
  readonly store: Pick<MailStore, 'deliver' | 'hasRoom'>;
}

export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #large = new Gate(LARGE_MESSAGES_AT_ONCE);
  #mailboxes = 0;

  constructor(options: DelivererOptions) {
    this.#options = options;
  }

  /** Mailboxes that got a message, each time. */
  get mailboxes(): number {
    return this.#mailboxes;
  }

  /**
   * @throws RefusedError when the message itself is refused ('mail-loop', 'too-big', 'over-quota' of an 'all' delivery), or
   *   whatever sealing throws: nothing was stored then.
   */
  async deliver(delivery: Delivery): Promise<DeliveryResult> {
    const { recipients } = delivery;
    const placements = distinctPlacements(recipients, delivery.onward);
    const sealed = await this.#sealForEach(delivery, byOrganization(placements.values()));
    const failures = await this.#store(sealed);
    return { outcomes: recipients.map((recipient) => outcomeOf(recipient, failures)), failures };
  }

  async #sealForEach(
    delivery: Delivery,
    organizations: readonly (readonly Placement[])[],
  ): Promise<SealedForOrganization[]> {
    const sealed: SealedForOrganization[] = [];
    try {
      for (const placements of organizations) {
        sealed.push({ message: await this.#seal(delivery), placements });
      }
      if (delivery.answers === 'all')
        await this.#refuseUnlessAllHaveRoom(delivery, sealed[0]!.message.sizeOctets);
      return sealed;
    } catch (error) {
      for (const { message } of sealed) await discardSealed(message);
      throw error;
    }
  }

  /** The store finds out for a single mailbox; of several, one may not be refused when others have the message. */
  async #refuseUnlessAllHaveRoom({ recipients }: Delivery, sizeOctets: number): Promise<void> {
    if (recipients.length === 1 && recipients[0]!.length === 1) return;
    for (const recipient of recipients) await refuseWithoutRoom(this.#options.store, recipient, sizeOctets);
  }

  /** Small messages in one step each, so that thousands a second pass; large ones a few at a time, frame by frame. */
  #seal({ message, acceptance }: Delivery): Promise<SealedMessage> {
    const whole = message.sizeOctets <= RAW_MESSAGE_OCTETS ? message.whole() : null;
    if (whole !== null) return sealMessage(acceptWhole(whole, acceptance), this.#options);
    return this.#large.pass(async () =>
      sealMessage(await acceptStream(message.chunks(), acceptance), this.#options),
    );
  }

  /** @returns Why a mailbox did not get the message, for those that did not. */
  async #store(sealed: readonly SealedForOrganization[]): Promise<Map<MailboxId, Error>> {
    const failures = new Map<MailboxId, Error>();
    await Promise.all(
      sealed.map(async ({ message, placements }) => {
        let isTaken = false;
        const queues = new Set(
          placements.filter(({ envelope }) => envelope !== undefined).map(({ handle }) => handle.mailbox),
        );
        try {
          for (const { mailbox, error } of await this.#options.store.deliver(message, placements)) {
            if (error === undefined) {
              isTaken = true;
              this.#mailboxes += 1;
            } else failures.set(mailbox, queues.has(mailbox) ? ofQueue(error) : error);
          }
        } catch (error) {
          for (const { handle } of placements) failures.set(handle.mailbox, error as Error);
        }
        if (isTaken) message.forget();
        else await discardSealed(message);
      }),
    );
    return failures;
  }
}

/**
 * A group is refused for its queue, whose members would never hear of the message, but not for one full mailbox.
 * @throws UnavailableError 'disk-full' when a queue has no room for so many octets more, RefusedError 'over-quota' when
 *   nothing that the recipient stands for has.
 */
export async function refuseWithoutRoom(
  store: Pick<MailStore, 'hasRoom'>,
  recipient: readonly Destination[],
  octets: number,
): Promise<void> {
  const slice = yieldingTo();
  let hasAny = false;
  for (const { handle, onward } of recipient) {
    if (onward === undefined && hasAny) continue;
    if (await store.hasRoom(handle, octets)) hasAny = true;
    else if (onward !== undefined) throw fullQueue();
    await slice.pause();
  }
  if (!hasAny) throw new RefusedError('over-quota', 'The mailbox of the recipient is full');
}

const fullQueue = (cause?: unknown): UnavailableError =>
  new UnavailableError('disk-full', 'The queue of outgoing mail is full, try again later', cause);

/** A queue empties by itself: its quota is no reason to give up. */
const ofQueue = (error: Error): Error =>
  error instanceof RefusedError && error.code === 'over-quota' ? fullQueue(error) : error;

/**
 * A mailbox that is addressed twice (by an alias and a group, say) gets one copy, where its first address wants it; a
 * queue one for all that it carries the message to.
 */
function distinctPlacements(
  recipients: readonly (readonly Destination[])[],
  facts: OnwardFacts | undefined,
): Map<MailboxId, Placement> {
  const placements = new Map<MailboxId, Placement>();
  const onward = new Map<MailboxId, OnwardRecipient[]>();
  for (const recipient of recipients) {
    for (const destination of recipient) {
      const { mailbox } = destination.handle;
      if (!placements.has(mailbox)) placements.set(mailbox, destination);
      if (destination.onward === undefined) continue;
      const to = onward.get(mailbox);
      if (to === undefined) onward.set(mailbox, [...destination.onward]);
      else to.push(...destination.onward);
    }
  }
  for (const [mailbox, to] of onward) {
    if (facts === undefined) throw new Error('A delivery to a queue lacks the facts of its envelope');
    placements.set(mailbox, { ...placements.get(mailbox)!, envelope: encodeEnvelope(facts, to) });
  }
  return placements;
}

function byOrganization(placements: Iterable<Placement>): Placement[][] {
  const groups = new Map<OrganizationId, Placement[]>();
  for (const placement of placements) {
    const group = groups.get(placement.handle.organization);
    if (group === undefined) groups.set(placement.handle.organization, [placement]);
    else group.push(placement);
  }
  return [...groups.values()];
}

function outcomeOf(recipient: readonly Placement[], failures: ReadonlyMap<MailboxId, Error>): Error | null {
  let first: Error | null = null;
  for (const { handle } of recipient) {
    const failure = failures.get(handle.mailbox);
    if (failure === undefined) return null;
    first ??= failure;
  }
  return first;
}
