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
}

/**
 * @throws RefusedError 'key-denied', UnavailableError; IntegrityError 'context-mismatch', 'recipient-unverified' when the
 *   recipient in the row is not this identity's, 'seal-broken' when the index key does not open.
 */
export async function openKeys(
  row: MailboxKeyRow,
  keyUse: KeyUse,
  user: KeyUser,
  purpose: MailboxPurpose,
): Promise<OpenedKeys> {
  const { organization, mailbox, epoch } = row;
  const place = mailboxPlace(organization, mailbox, epoch, purpose);
  const { clear: seed, requestId } = await keyUse.unwrap(place, row.identity, user);
  try {
    const identity = identityFromSeed(row.recipientType, seed);
    if (identity.recipient.encoded !== row.recipient) {
      throw new IntegrityError(
        'recipient-unverified',
        'The recipient of this mailbox is not that of its identity.',
      );
    }
    const indexKey = openObject(seed, 'index-key', [mailbox, epoch], row.sealedIndexKey);
    if (indexKey.length !== INDEX_KEY_OCTETS) {
      throw new IntegrityError('format', 'The index key of this mailbox has a wrong length.');
    }
    return { identity, indexKey, requestId, keyId: row.identity.keyId };
  } finally {
    seed.fill(0);
  }
}
