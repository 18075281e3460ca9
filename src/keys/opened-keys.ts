/**
 * Opens the keys of one mailbox and epoch: asks the key service for the seed, and believes nothing of the row that the
 * seed does not prove. docs/format.md, "Keys" and "Key store".
 */
import { IntegrityError } from '../errors.ts';
import { openObject } from '../seal/object.ts';
import { type Identity, identityFromSeed } from '../seal/recipient.ts';
import type { MailboxPurpose } from './context.ts';
import type { KeyUser } from './journal-record.ts';
import type { MailboxKeyRow } from './key-store.ts';
import { type KeyUse, mailboxPlace } from './key-use.ts';

export const INDEX_KEY_OCTETS = 32;

export interface OpenedKeys {
  readonly identity: Identity;
  /** 32 octets; whoever holds the OpenedKeys zeroes them in the end. */
  readonly indexKey: Buffer;
  /** Of the unwrap, and the key that did it. */
  readonly requestId: string;
  readonly keyId: string;
  /** Of keys from a cache: the absolute end that they inherit. Absent when the key service was asked for them. */
  readonly cachedUntil?: number;
}

/**
 * @param onProven Is shown the seed, once, before it is zeroed: for a cache.
 * @throws RefusedError 'key-denied', UnavailableError; IntegrityError 'context-mismatch', and as openWithSeed does.
 */
export async function openKeys(
  row: MailboxKeyRow,
  keyUse: KeyUse,
  user: KeyUser,
  purpose: MailboxPurpose,
  onProven?: (seed: Uint8Array, opened: OpenedKeys) => void,
): Promise<OpenedKeys> {
  const place = mailboxPlace(row.organization, row.mailbox, row.epoch, purpose);
  const { clear: seed, requestId } = await keyUse.unwrap(place, row.identity, user);
  try {
    const opened = openWithSeed(row, seed, { requestId, keyId: row.identity.keyId });
    onProven?.(seed, opened);
    return opened;
  } finally {
    seed.fill(0);
  }
}

/**
 * The keys that a seed opens, wherever it comes from. The caller zeroes it.
 * @throws IntegrityError 'recipient-unverified' when the recipient in the row is not that of the seed, 'seal-broken' when
 *   the index key does not open, 'format' when one of the two has a wrong length.
 */
export function openWithSeed(
  row: MailboxKeyRow,
  seed: Uint8Array,
  origin: { readonly requestId: string; readonly keyId: string },
): OpenedKeys {
  const identity = identityFromSeed(row.recipientType, seed);
  if (identity.recipient.encoded !== row.recipient) {
    throw new IntegrityError(
      'recipient-unverified',
      'The recipient of this mailbox is not that of its identity.',
    );
  }
  const indexKey = openObject(seed, 'index-key', [row.mailbox, row.epoch], row.sealedIndexKey);
  if (indexKey.length !== INDEX_KEY_OCTETS) {
    throw new IntegrityError('format', 'The index key of this mailbox has a wrong length.');
  }
  return { identity, indexKey, ...origin };
}
