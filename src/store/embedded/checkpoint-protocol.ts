/** What the store's main thread and its checkpoint thread say to each other. */
import type { MailboxId, MessageId } from '../../ids.ts';
import type { PackPlace } from './pack.ts';

/** Records [from, to) of a segment: all of them applied to the indexes. */
export interface CheckpointRange {
  readonly path: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

export interface MailboxGarbage {
  readonly mailbox: MailboxId;
  /** Messages that no entry names any more. */
  readonly ids: readonly MessageId[];
}

/**
 * First half: write records and bodies, and sync them. The reply says where they are.
 * Second half, after the indexes were told: sync the indexes, then remove what nobody needs.
 */
export type CheckpointRequest =
  | {
      readonly kind: 'carry-over';
      readonly range: CheckpointRange | null;
      readonly garbage: readonly MailboxGarbage[];
    }
  | {
      readonly kind: 'settle';
      readonly garbage: readonly MailboxGarbage[];
      /** Mailboxes whose indexes the journal's records did not change, and that are to be synced all the same. */
      readonly written: readonly MailboxId[];
    };

export interface MailboxPlaces {
  readonly mailbox: MailboxId;
  readonly places: readonly (readonly [MessageId, PackPlace])[];
}

export type CheckpointReply =
  | { readonly ok: true; readonly places: readonly MailboxPlaces[] }
  | { readonly ok: false; readonly error: string };

export interface CheckpointThreadData {
  readonly dataDirectory: string;
  readonly snapshotIntervalMs: number;
}
