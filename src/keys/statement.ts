/**
 * Recipient statements: an organization's directory key says which recipient is a mailbox's. docs/format.md,
 * "Recipient statement".
 *
 * Without the check, who can write keys.db would put a recipient of his own into a row, and read all mail that
 * arrives from then on. The statement is made anew from the row whenever it is checked, so there is no second copy
 * of its fields that could differ.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { associatedData } from '../seal/object.ts';
import type { RecipientRow } from './key-store.ts';

const ED25519_OCTETS = 32;

/** A new directory key: its raw secret (32 octets, the caller zeroes it) and raw public half. */
export function newDirectoryKey(): { readonly secret: Buffer; readonly publicKey: Buffer } {
  const secret = randomBytes(ED25519_OCTETS);
  return { secret, publicKey: publicHalf(signingKey(secret)) };
}

/**
 * @param secret As unwrapped; not kept.
 * @param pin The public key it must belong to.
 * @throws IntegrityError 'context-mismatch' when it does not.
 */
export function openDirectoryKey(secret: Uint8Array, pin: Uint8Array): KeyObject {
  const key = secret.length === ED25519_OCTETS ? signingKey(secret) : null;
  if (key === null || !publicHalf(key).equals(pin)) {
    throw new IntegrityError('context-mismatch', "The organization's directory key is not the pinned one.");
  }
  return key;
}

export function signStatement(directoryKey: KeyObject, row: StatementFields): Buffer {
  return sign(null, statement(row), directoryKey);
}

/** @throws IntegrityError 'recipient-unverified' when the organization's directory key did not sign this row. */
export function verifyStatement(pin: Uint8Array, row: RecipientRow): void {
  let isSigned = false;
  try {
    const key = createPublicKey({
      key: Buffer.from(pin),
      format: 'raw-public',
      asymmetricKeyType: 'ed25519',
    });
    isSigned = verify(null, statement(row), key, row.signature);
  } catch (cause) {
    throw unverified(cause);
  }
  if (!isSigned) throw unverified();
}

type StatementFields = Omit<RecipientRow, 'signature' | 'recipientType'>;

const statement = ({ organization, mailbox, epoch, recipient }: StatementFields): Buffer =>
  associatedData(['letterlock/v1/recipient', organization, mailbox, epoch, recipient]);

const signingKey = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(secret), format: 'raw-private', asymmetricKeyType: 'ed25519' });

const publicHalf = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'raw-public' });

const unverified = (cause?: unknown): IntegrityError =>
  new IntegrityError(
    'recipient-unverified',
    'The key of this mailbox is not signed by its organization.',
    cause,
  );
