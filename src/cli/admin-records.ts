/** What administrative operations answer with: as the command line shows it, and as its JSON is. */
import type { OrganizationId } from '../ids.ts';

/** A message of a queue, as far as no key is needed. */
export interface QueueRecord {
  readonly id: string;
  readonly organization: OrganizationId;
  readonly state: string;
  readonly sizeOctets: number;
  /** ISO 8601. */
  readonly arrivedAt: string;
  /** The next attempt; null: it is not planned, or not known before the queue was opened. */
  readonly nextAt: string | null;
  /** The code of what keeps the organization's mail; null when nothing does. */
  readonly waitsFor: string | null;
}

/** What the queue's keys open. */
export interface QueueDetail extends Omit<QueueRecord, 'waitsFor'> {
  /** '' is the null reverse-path. */
  readonly sender: string;
  readonly attempts: number;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: string;
    readonly attempts: number;
    readonly status: string | null;
    readonly host: string | null;
    readonly reply: string | null;
  }[];
}

/** A key that signs outgoing mail. */
export interface DkimRecord {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: string;
  readonly state: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** Of the TXT record. */
  readonly name: string;
  readonly value: string;
}
