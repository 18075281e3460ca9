/** What fsck can say of the key store without unwrapping anything. */
import { LetterlockError } from '../errors.ts';
import { OBJECT_OVERHEAD_OCTETS } from '../seal/object.ts';
import { isContextOf, type KeySubject, mailboxPurpose } from './context.ts';
import type { KeyStore, MailboxKeyRow, OrganizationKeyRow, WrappedKey } from './key-store.ts';
import { cachePlace, directoryPlace, dkimPlace, mailboxPlace } from './key-use.ts';
import { INDEX_KEY_OCTETS } from './opened-keys.ts';
import type { VerifiedRecipients } from './verified-recipients.ts';

export interface KeyProblem {
  /** Null when it concerns the key store as a whole. */
  readonly organization: string | null;
  readonly mailbox: string | null;
  readonly epoch: number | null;
  readonly sentence: string;
}

/** @returns every problem found, in the order of the rows; none when the store is whole. */
export function* checkKeys(store: KeyStore, recipients: VerifiedRecipients): Generator<KeyProblem> {
  for (const sentence of store.integrityProblems()) {
    yield { organization: null, mailbox: null, epoch: null, sentence };
  }
  for (const row of store.organizations()) {
    const { organization } = row;
    for (const sentence of organizationProblems(row, store.cacheKey(organization))) {
      yield { organization, mailbox: null, epoch: null, sentence };
    }
  }
  for (const { organization, mailbox, currentEpoch, highestEpoch } of store.mailboxEpochs()) {
    const found = { organization, mailbox, epoch: highestEpoch };
    if (currentEpoch === null) yield { ...found, sentence: 'The mailbox has no current key.' };
    else if (currentEpoch !== highestEpoch) {
      yield { ...found, sentence: 'The current key is not that of the highest epoch.' };
    }
  }
  for (const { organization, domain, selector, secret } of store.dkimKeys()) {
    for (const sentence of wrappedProblems(secret, dkimPlace(organization))) {
      yield {
        organization,
        mailbox: null,
        epoch: null,
        sentence: `DKIM key ${selector} of ${domain}: ${sentence}`,
      };
    }
  }
  for (const row of store.allKeys()) {
    const { organization, mailbox, epoch } = row;
    for (const sentence of mailboxProblems(row, recipients)) yield { organization, mailbox, epoch, sentence };
  }
}

function* organizationProblems(
  { organization, directorySecret }: OrganizationKeyRow,
  cacheKey: WrappedKey | undefined,
): Generator<string> {
  yield* wrappedProblems(directorySecret, directoryPlace(organization));
  if (cacheKey !== undefined) yield* wrappedProblems(cacheKey, cachePlace(organization));
}

function* mailboxProblems(row: MailboxKeyRow, recipients: VerifiedRecipients): Generator<string> {
  try {
    recipients.verify(row);
  } catch (error) {
    if (!(error instanceof LetterlockError)) throw error;
    yield error.message;
  }
  const { organization, mailbox, epoch, identity } = row;
  const purpose = mailboxPurpose(identity.context) ?? 'mailbox';
  yield* wrappedProblems(identity, mailboxPlace(organization, mailbox, epoch, purpose));
  if (row.sealedIndexKey.length !== INDEX_KEY_OCTETS + OBJECT_OVERHEAD_OCTETS) {
    yield 'The sealed index key has a wrong length.';
  }
}

function* wrappedProblems({ wrapped, context }: WrappedKey, subject: KeySubject): Generator<string> {
  if (wrapped.length === 0) yield 'The wrapped key is missing.';
  if (!isContextOf(context, subject)) yield 'The wrapped key is stored with the context of another.';
}
