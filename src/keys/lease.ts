/**
 * A lease: the right to hold a mailbox's opened keys in memory until a moment. DESIGN invariant 4.
 */
import type { MailboxId } from '../ids.ts';
import type { Identity } from '../seal/recipient.ts';

export interface Lease {
  readonly mailbox: MailboxId;
  readonly epoch: number;
  readonly identity: Identity;
  /** 32 octets; seals names, keywords and (later) pages. */
  readonly indexKey: Uint8Array;
  /** Absolute, milliseconds since 1970: at most 300 s after the key service's unwrap. */
  readonly expiresAt: number;
  /**
   * A value derived from the opened keys (file keys, decoded names), made once and forgotten with the lease.
   * `slot` is a module's own symbol.
   */
  memo<T>(slot: symbol, make: () => T): T;
}
