/**
 * The recipients that mail is sealed to, each verified against its organization's pinned directory key before it is
 * used, and then kept: the row is not read again until it is changed through this process. Needs no key.
 */
import { IntegrityError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { RECIPIENT_CACHE_ENTRIES } from '../limits.ts';
import { parseRecipient, type Recipient } from '../seal/recipient.ts';
import type { KeyStore, RecipientRow } from './key-store.ts';
import { verifyStatement } from './statement.ts';

export interface VerifiedRecipient {
  readonly organization: OrganizationId;
  readonly epoch: number;
  readonly recipient: Recipient;
}

/** An organization's pin as it is kept apart from the key store; null where none is. */
export type SecondPin = (organization: OrganizationId) => Uint8Array | null;

export class VerifiedRecipients {
  readonly #store: KeyStore;
  readonly #secondPin: SecondPin;
  /** In order of last use. */
  readonly #verified = new Map<MailboxId, VerifiedRecipient>();
  /** First seen counts: a pin that changes under a running process is not followed. */
  readonly #pins = new Map<OrganizationId, Buffer>();
  /** Of mailboxes beyond their first epoch, for as long as the process runs. */
  readonly #highestEpochs = new Map<MailboxId, number>();

  /** @param secondPin Which the one in the key store must equal: who rewrote that file alone redirects no mail. */
  constructor(store: KeyStore, secondPin: SecondPin = () => null) {
    this.#store = store;
    this.#secondPin = secondPin;
  }

  /**
   * @throws IntegrityError 'missing-key' when the mailbox has no current key; 'recipient-unverified' when its
   *   organization did not sign it, or its epoch is below one that was seen before.
   */
  get(organization: OrganizationId, mailbox: MailboxId): VerifiedRecipient {
    const known = this.#verified.get(mailbox);
    const verified = known ?? this.#read(mailbox);
    if (verified.organization !== organization) {
      throw new IntegrityError('recipient-unverified', 'The key of this mailbox is of another organization.');
    }
    // Deleted and set again: the oldest entry of the map is the least recently used one.
    if (known !== undefined) this.#verified.delete(mailbox);
    this.#verified.set(mailbox, verified);
    if (this.#verified.size > RECIPIENT_CACHE_ENTRIES) {
      this.#verified.delete(this.#verified.keys().next().value!);
    }
    return verified;
  }

  /** @throws as get does. Does not keep the recipient. */
  verify(row: RecipientRow): Recipient {
    verifyStatement(this.#pin(row.organization), row);
    const recipient = parseRecipient(row.recipient);
    if (recipient.type !== row.recipientType) {
      throw new IntegrityError('recipient-unverified', 'The recipient of this mailbox is of another type.');
    }
    return recipient;
  }

  /** To be called when a mailbox's keys change. */
  forget(mailbox: MailboxId): void {
    this.#verified.delete(mailbox);
  }

  forgetOrganization(organization: OrganizationId): void {
    this.#pins.delete(organization);
  }

  #read(mailbox: MailboxId): VerifiedRecipient {
    const row = this.#store.currentRecipient(mailbox);
    if (row === undefined) throw new IntegrityError('missing-key', 'This mailbox has no key.');
    const recipient = this.verify(row);
    const { organization, epoch } = row;
    if (epoch < (this.#highestEpochs.get(mailbox) ?? 1)) {
      throw new IntegrityError(
        'recipient-unverified',
        'The key of this mailbox is of an epoch that has ended.',
      );
    }
    if (epoch > 1) this.#highestEpochs.set(mailbox, epoch);
    return { organization, epoch, recipient };
  }

  #pin(organization: OrganizationId): Buffer {
    const known = this.#pins.get(organization);
    if (known !== undefined) return known;
    const row = this.#store.organization(organization);
    if (row === undefined) throw new IntegrityError('missing-key', 'This organization has no keys.');
    if (!row.directoryKey.equals(this.#secondPin(organization) ?? row.directoryKey)) {
      throw new IntegrityError('recipient-unverified', 'The key of this organization was replaced.');
    }
    this.#pins.set(organization, row.directoryKey);
    return row.directoryKey;
  }
}
