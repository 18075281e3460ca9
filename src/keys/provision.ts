/**
 * Makes the keys of organizations and mailboxes. docs/format.md, "Key store".
 *
 * The order is what counts: wrapped and on stable storage (pending), read back through another connection, unwrapped
 * once, compared, and only then published. Mail sealed to a recipient whose identity does not come back would be lost.
 * A crash before publishing leaves a pending row that nothing was ever sealed to; the next attempt replaces it.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { IntegrityError, RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { KEY_SERVICE_CALLS } from '../limits.ts';
import { sealObject } from '../seal/object.ts';
import { generateIdentitySeed, identityFromSeed, type RecipientType } from '../seal/recipient.ts';
import type { MailboxPurpose } from './context.ts';
import type { KeyUser } from './journal-record.ts';
import {
  CACHE_SALT_OCTETS,
  type KeyStore,
  type MailboxKeyRow,
  type OrganizationKeyRow,
} from './key-store.ts';
import { directoryPlace, type KeyUse, mailboxPlace } from './key-use.ts';
import { INDEX_KEY_OCTETS, openKeys } from './opened-keys.ts';
import { newDirectoryKey, openDirectoryKey, signStatement, verifyStatement } from './statement.ts';

export interface Provisioning {
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly recipientType: RecipientType;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const FIRST_EPOCH = 1;

/**
 * Makes the directory key of an organization. Nothing happens when it has one.
 * @param keyId The key that wraps all its keys; checked by a wrap and an unwrap before anything is stored.
 * @throws RefusedError 'already-exists' when it has keys under another key id; what the key service throws.
 */
export async function createOrganization(
  { store, keyUse, now }: Provisioning,
  organization: OrganizationId,
  keyId: string,
  user: KeyUser,
): Promise<void> {
  const existing = store.organization(organization);
  if (existing !== undefined) {
    if (existing.keyId === keyId) return;
    throw new RefusedError('already-exists', 'The organization has keys under another key.');
  }
  const place = directoryPlace(organization);
  const { secret, publicKey } = newDirectoryKey();
  const directorySecret = await keyUse.wrap(place, keyId, user, secret).finally(() => secret.fill(0));
  const { clear } = await keyUse.unwrap(place, directorySecret, user);
  try {
    openDirectoryKey(clear, publicKey);
  } finally {
    clear.fill(0);
  }
  store.addOrganization({ organization, keyId, directoryKey: publicKey, directorySecret, createdAt: now() });
}

/** The organization's signing key, for as long as the caller holds it. */
export async function unwrapDirectoryKey(
  { store, keyUse }: Provisioning,
  organization: OrganizationId,
  user: KeyUser,
): Promise<{ readonly row: OrganizationKeyRow; readonly key: KeyObject }> {
  const row = store.organization(organization);
  if (row === undefined) throw new IntegrityError('missing-key', 'This organization has no keys.');
  const { clear } = await keyUse.unwrap(directoryPlace(organization), row.directorySecret, user);
  try {
    return { row, key: openDirectoryKey(clear, row.directoryKey) };
  } finally {
    clear.fill(0);
  }
}

/**
 * Makes and publishes the first epoch of mailboxes of one organization: all of them or none.
 * @param mailboxes Without keys, each once; at most KEY_BATCH, because the transactions keep the loop.
 */
export async function createMailboxes(
  provisioning: Provisioning,
  directory: { readonly row: OrganizationKeyRow; readonly key: KeyObject },
  mailboxes: readonly MailboxId[],
  user: KeyUser,
  purpose: MailboxPurpose = 'mailbox',
): Promise<void> {
  const { store, keyUse } = provisioning;
  const pending = await mapAtMost(KEY_SERVICE_CALLS, mailboxes, (mailbox) =>
    makeKeys(provisioning, directory, mailbox, user, purpose),
  );
  store.addPending(pending, () => randomBytes(CACHE_SALT_OCTETS));
  const stored = store.readBackPending(mailboxes);
  await mapAtMost(KEY_SERVICE_CALLS, stored, async (row, index) => {
    if (row.recipient !== pending[index]!.recipient) {
      throw new IntegrityError('format', 'The key store did not return what was written.');
    }
    verifyStatement(directory.row.directoryKey, row);
    const { indexKey } = await openKeys(row, keyUse, user, purpose);
    indexKey.fill(0);
  });
  store.publish(stored);
}

async function makeKeys(
  { keyUse, recipientType, now }: Provisioning,
  { row: { organization, keyId }, key }: { readonly row: OrganizationKeyRow; readonly key: KeyObject },
  mailbox: MailboxId,
  user: KeyUser,
  purpose: MailboxPurpose,
): Promise<MailboxKeyRow> {
  const epoch = FIRST_EPOCH;
  const seed = generateIdentitySeed();
  const indexKey = randomBytes(INDEX_KEY_OCTETS);
  try {
    const recipient = identityFromSeed(recipientType, seed).recipient.encoded;
    const place = mailboxPlace(organization, mailbox, epoch, purpose);
    const identity = await keyUse.wrap(place, keyId, user, seed);
    return {
      organization,
      mailbox,
      epoch,
      recipientType,
      recipient,
      signature: signStatement(key, { organization, mailbox, epoch, recipient }),
      identity,
      sealedIndexKey: sealObject(seed, 'index-key', [mailbox, epoch], indexKey),
      state: 'pending',
      createdAt: now(),
    };
  } finally {
    seed.fill(0);
    indexKey.fill(0);
  }
}

/** Like Promise.all over `work`, with at most `width` at once, and the event loop free between two of them. */
async function mapAtMost<T, R>(
  width: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
      await new Promise(setImmediate);
    }
  };
  // All settle before the first error is thrown: no work goes on behind the caller's back.
  const ends = await Promise.allSettled(Array.from({ length: width }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}
