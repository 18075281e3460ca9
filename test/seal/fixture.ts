/** What one frozen example of the sealed formats holds: a mailbox's keys, names and messages, with what they open to. */
import type { RecipientType } from '../../src/seal/recipient.ts';

export interface FrozenMailbox {
  readonly type: RecipientType;
  /** As encodeIdentity prints it, and its seed in hex. */
  readonly identity: string;
  readonly seed: string;
  readonly recipient: string;
  readonly mailbox: string;
  readonly epoch: number;
  /** Hex; `sealedIndexKey` opens under the seed. */
  readonly indexKey: string;
  /** Sealed objects are base64. */
  readonly sealedIndexKey: string;
  readonly names: readonly {
    readonly purpose: 'folder-name' | 'subscription-name' | 'keyword-name';
    readonly number: number;
    readonly clear: string;
    readonly sealed: string;
  }[];
  readonly messages: readonly {
    readonly what: string;
    readonly id: string;
    readonly sizeOctets: number;
    /** Hex, of the clear message. */
    readonly sha256: string;
    readonly frames: readonly number[];
    readonly digest: string;
    readonly header: string;
    readonly body: string;
    readonly sealedDigest: string;
  }[];
}
