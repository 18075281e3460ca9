/**
 * What senders are told of mail that was delivered here: success where they asked for it, and failure at members of a
 * group whose other members have it. RFC 3461 §4.1. Of a group only its address is named, not its members.
 */
import type { DeliveryResult, Destination } from '../delivery/deliver.ts';
import type { OnwardFacts } from '../delivery/onward.ts';
import type { RemoteReply, ReportAction } from '../delivery/report.ts';
import type { Reporter } from '../delivery/reporter.ts';
import type { Spool } from '../delivery/spool.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { HEADER_SECTION_OCTETS } from '../limits.ts';
import type { RecipientDsn } from './dsn.ts';
import { replyTo } from './replies.ts';

export interface DeliveredMessage extends DeliveryResult {
  readonly recipients: readonly {
    readonly address: string;
    readonly placements: readonly Destination[];
    readonly dsn: RecipientDsn;
  }[];
}

interface Told {
  readonly organization: OrganizationId;
  readonly action: ReportAction;
  readonly address: string;
  readonly originalRecipient: string | null;
  readonly reply: RemoteReply;
}

const DELIVERED: RemoteReply = { code: null, status: '2.1.5', text: '', host: null };

/** @throws what the reporter throws: the message is delivered all the same. */
export async function reportDelivery(
  reporter: Pick<Reporter, 'report'>,
  message: Spool,
  envelope: OnwardFacts,
  delivered: DeliveredMessage,
): Promise<void> {
  if (envelope.reversePath === '') return;
  const groups = Map.groupBy(toTell(delivered), ({ organization, action }) => `${organization} ${action}`);
  if (groups.size === 0) return;
  const reported = {
    envelope,
    sizeOctets: message.sizeOctets,
    header: await headerOf(message),
    octets: () => message.chunks(),
  };
  for (const [first, ...others] of groups.values()) {
    const { organization, action } = first!;
    await reporter.report(organization, reported, action, [first!, ...others], null);
  }
}

function* toTell({ recipients, outcomes, failures }: DeliveredMessage): Generator<Told> {
  const seen = new Set<string>();
  for (const [index, { address, placements, dsn }] of recipients.entries()) {
    // Who was refused is told by the reply.
    if (outcomes[index] !== null || seen.has(address)) continue;
    seen.add(address);
    const { organization } = placements[0]!.handle;
    const told = { organization, address, originalRecipient: dsn.originalRecipient };
    // A queue that did not get the message can tell nobody of it.
    const failure = firstFailure(placements, failures);
    if (failure !== null && (dsn.notify === null || dsn.notify.includes('FAILURE'))) {
      const { status, text } = replyTo(failure, 'data');
      yield { ...told, action: 'failed', reply: { code: null, status, text, host: null } };
    } else if (
      failure === null &&
      dsn.notify?.includes('SUCCESS') === true &&
      // What becomes of the rest, the queue tells.
      placements.some(({ onward }) => onward === undefined)
    ) {
      yield { ...told, action: 'delivered', reply: DELIVERED };
    }
  }
}

function firstFailure(
  placements: readonly Destination[],
  failures: ReadonlyMap<MailboxId, Error>,
): Error | null {
  if (failures.size === 0) return null;
  for (const { handle } of placements) {
    const failure = failures.get(handle.mailbox);
    if (failure !== undefined) return failure;
  }
  return null;
}

/** As it came, up to its empty line. */
async function headerOf(message: Spool): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  for await (const chunk of message.chunks()) {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end >= 0) return head.subarray(0, end + 4);
    if (head.length > HEADER_SECTION_OCTETS) break;
  }
  return head;
}
