/** Who receives here: from an address of the envelope to mailboxes that can be delivered to. Needs no secret. */

import { canonicalDomain } from '../directory/address.ts';
import type { LocalMailbox, OutsideMembers, Resolution } from '../directory/types.ts';
import { RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { DeliverHandle } from '../store/handles.ts';
import type { MailStore, Placement } from '../store/types.ts';
import { yieldingTo } from '../yielding.ts';
import { type Destination, refuseWithoutRoom } from './deliver.ts';
import type { OnwardRecipient } from './onward.ts';

export interface RecipientDeps {
  /** `address` is `local-part@domain`, or `postmaster` alone (RFC 5321 §4.5.1). */
  readonly resolve: (address: string) => Resolution;
  /** @throws IntegrityError 'recipient-unverified'. */
  readonly deliverHandle: (
    organization: OrganizationId,
    mailbox: MailboxId,
    quotaOctets: number | null,
  ) => DeliverHandle;
  readonly store: Pick<MailStore, 'hasRoom'>;
  /** The queue of an organization's outgoing mail. Absent: this server sends none. @throws UnavailableError 'busy'. */
  readonly queueHandle?: (organization: OrganizationId) => DeliverHandle;
}

/**
 * @param declaredOctets RFC 1870 SIZE=; without it only a mailbox that is full already is found out.
 * @throws RefusedError 'no-such-recipient', 'recipient-disabled', 'not-permitted' (not ours), 'over-quota' (of all);
 *   UnavailableError 'busy' (a user that is being made), 'disk-full' (a queue that members of a group need); IntegrityError when the key of one of the mailboxes cannot be
 *   trusted: the sender keeps the mail for all of them.
 */
export async function localRecipient(
  deps: RecipientDeps,
  address: string,
  declaredOctets: number | null,
  dsn: Pick<OnwardRecipient, 'notify' | 'originalRecipient'> = NOTHING_ASKED,
): Promise<readonly Destination[]> {
  const resolution = deps.resolve(address);
  switch (resolution.kind) {
    case 'foreign':
      throw new RefusedError('not-permitted', 'This server does not relay to that domain');
    case 'unknown':
      throw new RefusedError('no-such-recipient', 'There is no such recipient here');
    case 'disabled':
      throw new RefusedError('recipient-disabled', 'The recipient does not accept mail');
    case 'pending':
      throw new UnavailableError('busy', 'The recipient is being set up, try again later');
    case 'local': {
      const { mailboxes, outside } = resolution;
      const local = await placementsOf(deps, mailboxes);
      const placements =
        outside === undefined ? local : [...local, ...(await outsideOf(deps, address, outside, dsn))];
      // Members elsewhere whose domain has become ours, where nobody has their addresses.
      if (placements.length === 0) throw new RefusedError('no-such-recipient', 'The group has no members');
      // RFC 1870 §3: a size of 0 says nothing.
      await refuseWithoutRoom(deps.store, placements, declaredOctets || 1);
      return placements;
    }
    default:
      return resolution satisfies never;
  }
}

const NOTHING_ASKED = { notify: null, originalRecipient: null };

/**
 * The queue for a group's members elsewhere; for those whose domain has become ours since, their mailboxes.
 * @throws RefusedError 'not-permitted' when this server sends no mail; UnavailableError 'busy'.
 */
async function outsideOf(
  deps: RecipientDeps,
  group: string,
  { organization, addresses }: OutsideMembers,
  { notify, originalRecipient }: Pick<OnwardRecipient, 'notify' | 'originalRecipient'>,
): Promise<Destination[]> {
  const onward: OnwardRecipient[] = [];
  const destinations: Destination[] = [];
  // RFC 3461 §5.2.7.3: success is the group's to tell, and not each member's.
  const kept = notify?.filter((event) => event !== 'SUCCESS') ?? null;
  const ofMember = kept?.length === 0 ? (['NEVER'] as const) : kept;
  const slice = yieldingTo();
  for (const address of addresses) {
    await slice.pause();
    const resolution = deps.resolve(address);
    if (resolution.kind === 'local') destinations.push(...(await placementsOf(deps, resolution.mailboxes)));
    else if (resolution.kind === 'foreign')
      onward.push({ address, notify: ofMember, originalRecipient, reportedAs: group });
  }
  if (onward.length === 0) return destinations;
  if (deps.queueHandle === undefined)
    throw new RefusedError('not-permitted', 'This server does not send mail to other servers');
  return [...destinations, { handle: deps.queueHandle(organization), folder: 'inbox', onward }];
}

/**
 * Somebody elsewhere, whom the organization's queue carries the message to.
 * @throws RefusedError 'not-permitted' when this server sends no mail, 'invalid' for what is no address of SMTP;
 *   UnavailableError 'disk-full' when the queue is, 'busy' while there is none.
 */
export async function onwardRecipient(
  deps: RecipientDeps,
  organization: OrganizationId,
  recipient: OnwardRecipient,
  declaredOctets: number | null,
): Promise<readonly Destination[]> {
  if (deps.queueHandle === undefined)
    throw new RefusedError('not-permitted', 'This server does not send mail to other servers');
  const domain = recipient.address.slice(recipient.address.lastIndexOf('@') + 1);
  if (canonicalDomain(domain) === null && !ADDRESS_LITERAL.test(domain)) {
    throw new RefusedError('no-such-recipient', 'There can be no such domain');
  }
  const destinations = [
    { handle: deps.queueHandle(organization), folder: 'inbox', onward: [recipient] },
  ] as const;
  await refuseWithoutRoom(deps.store, destinations, declaredOctets || 1);
  return destinations;
}

/** RFC 5321 §4.1.3. */
const ADDRESS_LITERAL = /^\[(?:IPv6:)?[0-9A-Fa-f.:]+\]$/i;

/** A recipient that was not used of late costs most of a millisecond to verify, and a group has hundreds. */
async function placementsOf(deps: RecipientDeps, mailboxes: readonly LocalMailbox[]): Promise<Placement[]> {
  const slice = yieldingTo();
  const placements: Placement[] = [];
  for (const { organization, mailbox, quotaOctets } of mailboxes) {
    placements.push({ handle: deps.deliverHandle(organization, mailbox, quotaOctets), folder: 'inbox' });
    await slice.pause();
  }
  return placements;
}
