/**
 * Brings delivery status notifications to the senders of messages: to a mailbox of ours by ordinary delivery, to anybody
 * else through the organization's queue, with the null reverse-path (RFC 3461 §6.1). Nobody is told of a notification.
 */
import { randomUUID } from 'node:crypto';
import { RefusedError } from '../errors.ts';
import type { OrganizationId } from '../ids.ts';
import { REPORT_RETURN_OCTETS } from '../limits.ts';
import type { Deliverer, Destination } from './deliver.ts';
import type { OnwardEnvelope } from './onward.ts';
import { localRecipient, onwardRecipient, type RecipientDeps } from './recipients.ts';
import { type ReportAction, type ReportedRecipient, reportOctets } from './report.ts';
import { type MemoryBudget, Spool } from './spool.ts';

export interface ReporterDeps extends RecipientDeps {
  readonly deliverer: Pick<Deliverer, 'deliver'>;
  readonly budget: MemoryBudget;
  readonly spoolDirectory: string;
  /** Our own name. */
  readonly host: string;
  /** Counts a notification that leaves. Absent: nobody counts. @throws UnavailableError 'busy' when it is one too many. */
  readonly countReport?: (organization: OrganizationId) => void;
}

/** The message that is reported on. */
export interface ReportedMessage {
  readonly envelope: Omit<OnwardEnvelope, 'recipients'>;
  /** Octets as they are sent: without our Return-Path. */
  readonly sizeOctets: number;
  readonly header: Buffer;
  readonly octets: () => AsyncIterable<Buffer>;
}

export class Reporter {
  readonly #deps: ReporterDeps;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when the notification is durable somewhere, or when nobody can be told: no sender, or none that takes mail.
   * @returns whether somebody was told.
   * @throws UnavailableError: to be called again.
   */
  async report(
    organization: OrganizationId,
    message: ReportedMessage,
    action: ReportAction,
    recipients: readonly ReportedRecipient[],
    retriesUntil: Date | null,
  ): Promise<boolean> {
    const { reversePath, returns, envelopeId, arrivedAt } = message.envelope;
    if (reversePath === '' || recipients.length === 0) return false;
    const destinations = await this.#destinations(organization, reversePath);
    if (destinations === null) return false;
    // RFC 3461 §4.3: RET is about failures; of the others the header is enough.
    const isWhole = returns === 'FULL' && action === 'failed' && message.sizeOctets <= REPORT_RETURN_OCTETS;
    const at = new Date();
    const octets = reportOctets({
      action,
      recipients,
      sender: reversePath,
      envelopeId,
      arrivedAt: new Date(arrivedAt),
      retriesUntil,
      host: this.#deps.host,
      at,
      header: message.header,
      message: isWhole ? message.octets() : null,
    });
    return this.#deliver(octets, destinations, at, message.envelope.isUtf8);
  }

  async #deliver(
    octets: AsyncIterable<Buffer>,
    destinations: readonly Destination[],
    receivedAt: Date,
    isUtf8: boolean,
  ): Promise<boolean> {
    const { deliverer, budget, spoolDirectory, host } = this.#deps;
    const spool = new Spool({ directory: spoolDirectory, budget });
    try {
      for await (const chunk of octets) await spool.take(chunk);
      await spool.end();
      const id = randomUUID();
      const { outcomes } = await deliverer.deliver({
        message: spool,
        acceptance: {
          trace: {
            returnPath: '',
            helo: null,
            remoteAddress: '',
            host,
            via: { protocol: 'ESMTP', isUtf8, isAuthenticated: false, tls: null },
            id,
            receivedAt,
            forRecipient: null,
          },
          rules: { removesReturnPath: false, removesResultsOf: null, removesBcc: false, completes: null },
        },
        recipients: [destinations],
        onward: {
          reversePath: '',
          id,
          arrivedAt: receivedAt.getTime(),
          isUtf8,
          submitter: null,
          isMadeHere: true,
          returns: null,
          envelopeId: null,
        },
        answers: 'all',
      });
      const [failure] = outcomes;
      if (failure == null) return true;
      throw failure;
    } catch (error) {
      if (error instanceof RefusedError) return false;
      throw error;
    } finally {
      await spool.close();
    }
  }

  /** @returns null when nobody takes mail at the address. */
  async #destinations(organization: OrganizationId, sender: string): Promise<readonly Destination[] | null> {
    try {
      if (this.#deps.resolve(sender).kind !== 'foreign')
        return await localRecipient(this.#deps, sender, null);
      const recipient = {
        address: sender,
        notify: ['NEVER'] as const,
        originalRecipient: null,
        reportedAs: null,
      };
      const destinations = await onwardRecipient(this.#deps, organization, recipient, null);
      this.#deps.countReport?.(organization);
      return destinations;
    } catch (error) {
      if (error instanceof RefusedError) return null;
      throw error;
    }
  }
}
