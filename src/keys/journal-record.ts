/**
 * A line of the key-use journal, as written and as hashed. docs/format.md, "Key-use journal".
 *
 * A record names who used which key, when, from where and why. It never holds a key, wrapped or clear.
 */
import { hash } from 'node:crypto';
import { USE_JOURNAL_FIELD_CHARS } from '../limits.ts';
import type { KeyPurpose } from './context.ts';

export type KeyOperation = 'wrap' | 'unwrap' | 'remove' | 'lock' | 'unlock';

/** Where the keys of a lease came from. */
export type LeaseSource = 'key-service' | 'redis' | 'memory';

/** Who uses a key, and why; the same in every record of one use. */
export interface KeyUser {
  /** An address, or the name of a service. */
  readonly principal: string;
  readonly protocol: string;
  /** Network address; '' for the process itself. */
  readonly address: string;
  readonly reason: string;
}

export interface UsedKey {
  readonly organization: string;
  /** Null for the organization's own keys. */
  readonly mailbox: string | null;
  /** Null where there are no epochs. */
  readonly epoch: number | null;
  readonly purpose: KeyPurpose;
  readonly keyId: string;
}

export type UseRecord = UsedKey &
  KeyUser &
  (
    | { readonly event: 'intent'; readonly operation: KeyOperation }
    | {
        readonly event: 'outcome';
        readonly operation: KeyOperation;
        /** `seq` of the intent that this ends. */
        readonly intent: number;
        readonly requestId: string | null;
        /** `ok`, or the code of the error. */
        readonly outcome: string;
      }
    | {
        readonly event: 'lease';
        readonly source: LeaseSource;
        readonly requestId: string | null;
      }
  );

/** What `prev` is in the first line of a journal. */
export const NO_PREVIOUS = '0'.repeat(64);

/** Everything of a line but its place in the chain, which it gets when it is written. */
export function encodeRecord(record: UseRecord, atMs: number): string {
  const { principal, protocol, address, reason, mailbox, epoch, ...rest } = record;
  // JSON leaves out what is undefined.
  return JSON.stringify({
    at: new Date(atMs).toISOString(),
    ...rest,
    requestId: ('requestId' in rest ? rest.requestId : null) ?? undefined,
    mailbox: mailbox ?? undefined,
    epoch: epoch ?? undefined,
    principal: bounded(principal),
    protocol: bounded(protocol),
    address: bounded(address),
    reason: bounded(reason),
  });
}

/** At most this many octets come before what encodeRecord made: boot (at most 64), seq (16), prev (64), names, LF. */
export const CHAIN_OCTETS = 192;

/** A whole line without its LF. */
export const chainRecord = (boot: string, seq: number, prev: string, record: string): string =>
  `{"boot":"${boot}","seq":${seq},"prev":"${prev}",${record.slice(1)}`;

export const lineHash = (line: Uint8Array | string): string => hash('sha256', line);

const bounded = (text: string): string =>
  text.length <= USE_JOURNAL_FIELD_CHARS ? text : `${text.slice(0, USE_JOURNAL_FIELD_CHARS)}…`;
