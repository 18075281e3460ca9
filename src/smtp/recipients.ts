/** Who receives here: from an address of the envelope to mailboxes that can be delivered to. Needs no secret. */
import { hasRoomForSome } from '../delivery/deliver.ts';
import { RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { DeliverHandle } from '../store/handles.ts';
import type { MailStore, Placement } from '../store/types.ts';

export interface LocalMailbox {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
}

/** What the directory knows of an address; aliases followed, groups expanded, sub-addresses cut. */
export type Resolution =
  | { readonly kind: 'local'; readonly mailboxes: readonly LocalMailbox[] }
  /** The domain is ours, the address is not. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'disabled' }
  /** Not a domain of ours. */
  | { readonly kind: 'foreign' };

export interface RecipientDeps {
  /** `address` is `local-part@domain`, or `postmaster` alone (RFC 5321 §4.5.1). */
  readonly resolve: (address: string) => Resolution | Promise<Resolution>;
  /** @throws IntegrityError 'recipient-unverified'. */
  readonly deliverHandle: (
    organization: OrganizationId,
    mailbox: MailboxId,
    quotaOctets: number | null,
  ) => DeliverHandle;
  readonly store: Pick<MailStore, 'hasRoom'>;
}

/**
 * @param declaredOctets RFC 1870 SIZE=; without it only a mailbox that is full already is found out.
 * @throws RefusedError 'no-such-recipient', 'recipient-disabled', 'not-permitted' (not ours), 'over-quota' (of all).
 */
export async function localRecipient(
  deps: RecipientDeps,
  address: string,
  declaredOctets: number | null,
): Promise<readonly Placement[]> {
  const resolution = await deps.resolve(address);
  switch (resolution.kind) {
    case 'foreign':
      throw new RefusedError('not-permitted', 'This server does not relay to that domain');
    case 'unknown':
      throw new RefusedError('no-such-recipient', 'There is no such recipient here');
    case 'disabled':
      throw new RefusedError('recipient-disabled', 'The recipient does not accept mail');
    case 'local': {
      const placements = resolution.mailboxes.map(
        ({ organization, mailbox, quotaOctets }): Placement => ({
          handle: deps.deliverHandle(organization, mailbox, quotaOctets),
          folder: 'inbox',
        }),
      );
      if (!(await hasRoomForSome(deps.store, placements, declaredOctets ?? 1))) {
        throw new RefusedError('over-quota', 'The mailbox of the recipient is full');
      }
      return placements;
    }
    default:
      return resolution satisfies never;
  }
}
