/**
 * Mail that goes on to other servers: the envelope that a queue keeps of it. docs/format.md, "Outbound queue". Delivery
 * writes it, sealed with the message; the queue reads it.
 */
import { z } from 'zod';
import type { MailboxId } from '../ids.ts';
import { storedJson } from './stored-json.ts';

/** RFC 3461 §4.1. */
export const NOTIFY = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'] as const;
export type Notify = (typeof NOTIFY)[number];

/** Somebody elsewhere that a message is for. */
export interface OnwardRecipient {
  /** As the client spelled the local part; the domain in A-labels, or an address literal. */
  readonly address: string;
  /** RFC 3461 §4.1; null: nothing was asked for, which means failures and delays. */
  readonly notify: readonly Notify[] | null;
  /** RFC 3461 §4.2, `addr-type;address` with xtext decoded; null: none was given. */
  readonly originalRecipient: string | null;
  /** The group whose member it is: its sender is told of the group, never of the member. null: it is told of itself. */
  readonly reportedAs: string | null;
}

/** What is the same for all recipients. */
export interface OnwardFacts {
  /** '' is the null reverse-path: nobody is ever told what became of the message. */
  readonly reversePath: string;
  /** In the Received field, in replies and in the log. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly arrivedAt: number;
  /** The client asked for SMTPUTF8 (RFC 6531). */
  readonly isUtf8: boolean;
  /** Who submitted it, with a From of his own; null: it came from elsewhere, or was made here. */
  readonly submitter: MailboxId | null;
  /** A notification of ours. The null reverse-path says nothing of that: strangers have it too. */
  readonly isMadeHere: boolean;
  /** RFC 3461 §4.3 and §4.4; the latter with xtext decoded. */
  readonly returns: 'FULL' | 'HDRS' | null;
  readonly envelopeId: string | null;
}

export interface OnwardEnvelope extends OnwardFacts {
  /** Each address once. */
  readonly recipients: readonly OnwardRecipient[];
}

const VERSION = 1;

const schema = z.strictObject({
  v: z.literal(VERSION),
  reversePath: z.string(),
  id: z.string(),
  arrivedAt: z.int(),
  isUtf8: z.boolean(),
  submitter: z.string().nullable(),
  isMadeHere: z.boolean(),
  returns: z.enum(['FULL', 'HDRS']).nullable(),
  envelopeId: z.string().nullable(),
  recipients: z.array(
    z.strictObject({
      address: z.string(),
      notify: z.array(z.enum(NOTIFY)).nullable(),
      originalRecipient: z.string().nullable(),
      reportedAs: z.string().nullable(),
    }),
  ),
});

export function encodeEnvelope(facts: OnwardFacts, recipients: readonly OnwardRecipient[]): Buffer {
  const distinct = new Map<string, OnwardRecipient>();
  for (const recipient of recipients) {
    if (!distinct.has(recipient.address)) distinct.set(recipient.address, recipient);
  }
  const { reversePath, id, arrivedAt, isUtf8, submitter, isMadeHere, returns, envelopeId } = facts;
  const fields = { reversePath, id, arrivedAt, isUtf8, submitter, isMadeHere, returns, envelopeId };
  return Buffer.from(JSON.stringify({ v: VERSION, ...fields, recipients: [...distinct.values()] }));
}

/** @throws IntegrityError 'format' when the octets are no envelope of this version. */
export function decodeEnvelope(octets: Buffer): OnwardEnvelope {
  const parsed = storedJson(octets, schema, 'The envelope of a queued message cannot be read');
  const { v: _, submitter, ...fields } = parsed;
  return { ...fields, submitter: submitter as MailboxId | null };
}
