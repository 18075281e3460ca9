/** What the store's main thread and its checkpoint thread say to each other. */
import type { MailboxId, MessageId } from '../../ids.ts';

/** Records [from, to) of a segment: all of them applied to the indexes. */
export interface CheckpointRange {
  readonly path: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

export interface CheckpointRequest {
  readonly ranges: readonly CheckpointRange[];
  /** Bodies that no entry names any more. */
  readonly garbage: readonly { readonly mailbox: MailboxId; readonly ids: readonly MessageId[] }[];
}

export type CheckpointReply = { readonly ok: true } | { readonly ok: false; readonly error: string };

export interface CheckpointThreadData {
  readonly dataDirectory: string;
  readonly snapshotIntervalMs: number;
}
