/**
 * Sealed objects: names, index keys, digests and pages. docs/format.md "Associated data and sealed objects". The salt is
 * fresh, so each derived key seals exactly once and its nonce may be zero.
 */
import { randomFillSync } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { deriveKey, open, sealInto, TAG_OCTETS, ZERO_NONCE } from './primitives.ts';

/**
 * What is sealed, and what binds each to its place; the parent key is in the table of the format note. An object moved
 * to another place, mailbox or epoch does not open there.
 */
export interface ObjectFields {
  'index-key': readonly [mailbox: string, epoch: number];
  'folder-name': readonly [mailbox: string, epoch: number, folder: number];
  'subscription-name': readonly [mailbox: string, epoch: number, subscription: number];
  'keyword-name': readonly [mailbox: string, epoch: number, keyword: number];
  digest: readonly [mailbox: string, message: string, epoch: number];
  page: readonly [mailbox: string, epoch: number, page: string, generation: number, column: string];
  'page-root': readonly [mailbox: string, epoch: number, generation: number];
  'queue-envelope': readonly [mailbox: string, message: string, epoch: number];
  'queue-state': readonly [mailbox: string, epoch: number, message: string, generation: number];
}

export type Purpose = keyof ObjectFields;

const VERSION = 1;
const SALT_OCTETS = 32;
const HEAD_OCTETS = 1 + SALT_OCTETS;

/** What sealing adds to the clear octets. */
export const OBJECT_OVERHEAD_OCTETS = HEAD_OCTETS + TAG_OCTETS;

/**
 * The associated-data encoding of docs/format.md: unambiguous, since each field is preceded by its length.
 * @throws RangeError for a number that is not a safe integer of at least 0.
 */
export function associatedData(fields: readonly (string | number)[]): Buffer {
  const octets: Buffer[] = [];
  for (const field of fields) {
    if (typeof field === 'number' && !(Number.isSafeInteger(field) && field >= 0)) {
      throw new RangeError('Associated data takes safe integers only.');
    }
    const text = Buffer.from(String(field), 'utf8');
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(text.length);
    octets.push(length, text);
  }
  return Buffer.concat(octets);
}

/** @returns the sealed object; the caller owns it. */
export function sealObject<P extends Purpose>(
  parentKey: Uint8Array,
  purpose: P,
  fields: ObjectFields[P],
  clear: Uint8Array,
): Buffer {
  const sealed = Buffer.allocUnsafe(clear.length + OBJECT_OVERHEAD_OCTETS);
  sealed[0] = VERSION;
  const salt = randomFillSync(sealed.subarray(1, HEAD_OCTETS));
  const key = objectKey(parentKey, salt, purpose);
  sealInto(sealed, HEAD_OCTETS, key, ZERO_NONCE, [clear], associatedData([VERSION, ...fields]));
  return sealed;
}

/**
 * @returns the clear octets; the caller owns them.
 * @throws IntegrityError 'seal-broken' when it was changed, or sealed under another key, purpose or place; 'format' when
 *   its version is unknown.
 */
export function openObject<P extends Purpose>(
  parentKey: Uint8Array,
  purpose: P,
  fields: ObjectFields[P],
  sealed: Uint8Array,
): Buffer {
  if (sealed.length < OBJECT_OVERHEAD_OCTETS) throw broken(purpose);
  if (sealed[0] !== VERSION) {
    throw new IntegrityError('format', `A sealed ${purpose} is of version ${sealed[0]}, which is unknown.`);
  }
  const key = objectKey(parentKey, sealed.subarray(1, HEAD_OCTETS), purpose);
  const clear = open(key, ZERO_NONCE, sealed.subarray(HEAD_OCTETS), associatedData([VERSION, ...fields]));
  if (clear === null) throw broken(purpose);
  return clear;
}

const objectKey = (parentKey: Uint8Array, salt: Uint8Array, purpose: Purpose): Buffer =>
  deriveKey(parentKey, salt, `letterlock/v${VERSION}/${purpose}`);

const broken = (purpose: Purpose): IntegrityError =>
  new IntegrityError('seal-broken', `A sealed ${purpose} does not open.`);
