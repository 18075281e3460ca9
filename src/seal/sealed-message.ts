/** Placeholder signatures; see docs/format.md "Body" and "Digest". */
import type { MessageId } from '../ids.ts';
import type { Recipient } from './recipient.ts';

/** Sealed octets of a body: in memory when small, else in a spool file that the store takes over (rename or copy). */
export type SealedBody =
  | { readonly kind: 'memory'; readonly octets: Buffer }
  | { readonly kind: 'file'; readonly path: string; readonly sizeOctets: number };

/** A message whose body is sealed under a file key that only this object holds, until `forget`. */
export interface SealedMessage {
  readonly id: MessageId;
  /** Clear octets, trace headers included. */
  readonly sizeOctets: number;
  readonly body: SealedBody;
  /** The two per-mailbox objects: age header (file key wrapped for `recipient`) and the sealed digest. */
  addressTo(mailbox: { mailbox: string; epoch: number; recipient: Recipient }): {
    header: Buffer;
    digest: Buffer;
  };
  /** Zeroes the file key. Afterwards addressTo throws. */
  forget(): void;
}
