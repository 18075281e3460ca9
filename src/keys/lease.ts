/**
 * A lease: the right to hold a mailbox's opened keys in memory until a moment.
 *
 * Take the keys from the lease where they are used and never hold `identity`, `indexKey` or a memo over an await: the
 * lease may end meanwhile, and the octets of the index key are zeroed then. Long work asks its handle for the lease
 * again, message by message.
 */
import type { MailboxId } from '../ids.ts';
import type { Identity } from '../seal/recipient.ts';

export interface Lease {
  readonly mailbox: MailboxId;
  readonly epoch: number;
  /** @throws UnavailableError 'timeout' once the lease has ended; so do `indexKey` and `memo`. */
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
