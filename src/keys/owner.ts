/** The handle of an authenticated owner: takes a lease when it is needed and keeps it until it ends. */
import { IntegrityError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { Recipient } from '../seal/recipient.ts';
import type { OwnerHandle } from '../store/handles.ts';
import type { MailboxPurpose } from './context.ts';
import type { KeyCounts } from './counts.ts';
import type { KeyUser } from './journal-record.ts';
import type { KeyStore } from './key-store.ts';
import { type KeyUse, mailboxPlace } from './key-use.ts';
import type { LeaseCache } from './lease-cache.ts';
import type { HeldLease, LeaseKeeper } from './lease-keeper.ts';
import type { Locks } from './locks.ts';
import { type OpenedKeys, openKeys } from './opened-keys.ts';
import type { UseJournal } from './use-journal.ts';
import type { VerifiedRecipient } from './verified-recipients.ts';

export interface OwnerParts {
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly keeper: LeaseKeeper;
  readonly journal: UseJournal;
  readonly counts: KeyCounts;
  readonly locks: Locks;
  /** Null without Redis. */
  readonly cache: LeaseCache | null;
}

export interface OwnerFields {
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
  /** False for background work, whose use never extends a lease. */
  readonly extendsLease: boolean;
  readonly purpose: MailboxPurpose;
}

export class Owner implements OwnerHandle {
  readonly kind = 'owner';
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly epoch: number;
  readonly recipient: Recipient;
  readonly quotaOctets: number | null;
  readonly #parts: OwnerParts;
  readonly #user: KeyUser;
  readonly #extendsLease: boolean;
  readonly #purpose: MailboxPurpose;
  /** What this handle was granted, on record in the journal; good until it ends. */
  #granted: HeldLease | null = null;
  #granting: Promise<HeldLease> | null = null;

  constructor(parts: OwnerParts, verified: VerifiedRecipient, fields: OwnerFields, user: KeyUser) {
    this.#parts = parts;
    this.organization = verified.organization;
    this.mailbox = fields.mailbox;
    this.epoch = verified.epoch;
    this.recipient = verified.recipient;
    this.quotaOctets = fields.quotaOctets;
    this.#extendsLease = fields.extendsLease;
    this.#purpose = fields.purpose;
    this.#user = user;
  }

  async lease(): Promise<HeldLease> {
    this.#parts.locks.refuse(this.organization, this.mailbox);
    let lease = this.#granted;
    if (!lease?.isLive) {
      this.#granting ??= this.#acquire().finally(() => {
        this.#granting = null;
      });
      lease = this.#granted = await this.#granting;
    }
    if (this.#extendsLease) {
      lease.touch();
      if (this.#purpose === 'mailbox') this.#parts.cache?.used(lease);
    }
    return lease;
  }

  /** Covered by the record of the grant; no use that would extend it. */
  heldLease(): HeldLease | null {
    return this.#granted?.isLive ? this.#granted : null;
  }

  /** Every grant is recorded with where the keys came from; without the record there is no grant. */
  async #acquire(): Promise<HeldLease> {
    const { keeper, journal, locks, counts } = this.#parts;
    const { lease, source } = await keeper
      .acquire(this.mailbox, this.epoch, (isForgotten) => this.#open(isForgotten))
      .finally(() => locks.refuse(this.organization, this.mailbox)); // locked meanwhile
    const place = mailboxPlace(this.organization, this.mailbox, this.epoch, this.#purpose);
    const { keyId, requestId } = lease;
    journal.lease({ ...place, keyId }, this.#user, { source, requestId });
    counts.leases.add(source);
    return lease;
  }

  async #open(isForgotten: () => boolean): Promise<OpenedKeys> {
    const { store, keyUse, cache } = this.#parts;
    const row = store.currentKey(this.mailbox);
    if (row === undefined || row.organization !== this.organization || row.epoch !== this.epoch) {
      throw new IntegrityError('missing-key', 'This mailbox no longer has the key that it had.');
    }
    if (cache === null || this.#purpose !== 'mailbox')
      return await openKeys(row, keyUse, this.#user, this.#purpose);
    return await cache.open(row, this.#user, { isForgotten, isKept: this.#extendsLease });
  }
}
