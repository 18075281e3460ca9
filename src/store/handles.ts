/**
 * What a caller may do to a mailbox, as a value it must hold. Tenants are apart by construction: the store looks at
 * nothing but the handle, and each kind has one place where it is made.
 */
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { Lease } from '../keys/lease.ts';
import type { Recipient } from '../seal/recipient.ts';

interface Handle {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
}

/** From a recipient look-up with a verified recipient statement (keys/). Can only deliver. */
export interface DeliverHandle extends Handle {
  readonly kind: 'deliver';
  readonly epoch: number;
  readonly recipient: Recipient;
  readonly quotaOctets: number | null;
}

/** From authentication. `lease` yields the opened keys, or asks the key service for them again once they expired. */
export interface OwnerHandle extends Handle {
  readonly kind: 'owner';
  readonly epoch: number;
  readonly recipient: Recipient;
  readonly quotaOctets: number | null;
  /** @throws RefusedError 'key-denied', 'locked'; UnavailableError 'key-service-down'; IntegrityError. */
  lease(): Promise<Lease>;
  /**
   * The lease that `lease` granted last, while it lives, else null: for background work, which neither asks for keys nor
   * makes them live longer.
   */
  heldLease(): Lease | null;
}

/** For a named principal (administration, fsck, removal). Yields no clear text. */
export interface MaintenanceHandle extends Handle {
  readonly kind: 'maintenance';
  readonly principal: string;
}
