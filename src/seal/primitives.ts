/**
 * The symmetric primitives of this folder: HKDF-SHA-256 (RFC 5869) and ChaCha20-Poly1305 (RFC 8439). Every other file
 * derives and seals through these, so that key, nonce and tag lengths are stated once.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

export const KEY_OCTETS = 32;
export const TAG_OCTETS = 16;
/** age's file key: one a message, from the system's generator. */
export const FILE_KEY_OCTETS = 16;

export const NO_OCTETS = new Uint8Array(0);
/** For keys that seal exactly once, as the age specification and docs/format.md ("Sealed objects") have it. */
export const ZERO_NONCE = new Uint8Array(12);

const CIPHER = 'chacha20-poly1305';
const CIPHER_OPTIONS = { authTagLength: TAG_OCTETS } as const;

/** HKDF-SHA-256. hkdfSync costs half of what the same from two HMAC objects does. */
export function deriveKey(
  parent: Uint8Array,
  salt: Uint8Array,
  info: string | Uint8Array,
  octets = KEY_OCTETS,
): Buffer {
  return Buffer.from(hkdfSync('sha256', parent, salt, info, octets));
}

/**
 * Seals `parts`, taken as one, into `target` at `offset`: ciphertext, then tag.
 * @returns the offset after the tag.
 */
export function sealInto(
  target: Uint8Array,
  offset: number,
  key: Uint8Array,
  nonce: Uint8Array,
  parts: readonly Uint8Array[],
  associatedData: Uint8Array = NO_OCTETS,
): number {
  const cipher = createCipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
  if (associatedData.length > 0) cipher.setAAD(associatedData);
  let at = offset;
  for (const part of parts) {
    target.set(cipher.update(part), at);
    at += part.length;
  }
  cipher.final();
  target.set(cipher.getAuthTag(), at);
  return at + TAG_OCTETS;
}

/** The same into a buffer of its own. */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  clear: Uint8Array,
  associatedData?: Uint8Array,
): Buffer {
  const sealed = Buffer.allocUnsafe(clear.length + TAG_OCTETS);
  sealInto(sealed, 0, key, nonce, [clear], associatedData);
  return sealed;
}

/** @returns the clear octets (the caller owns them), or null when the tag does not verify. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associatedData: Uint8Array = NO_OCTETS,
): Buffer | null {
  const tagStart = sealed.length - TAG_OCTETS;
  if (tagStart < 0) return null;
  const decipher = createDecipheriv(CIPHER, key, nonce, CIPHER_OPTIONS);
  if (associatedData.length > 0) decipher.setAAD(associatedData);
  decipher.setAuthTag(sealed.subarray(tagStart));
  const clear = decipher.update(sealed.subarray(0, tagStart));
  try {
    decipher.final();
  } catch {
    // The only reason final() has to throw: the tag. What was deciphered so far must not leave this function.
    clear.fill(0);
    return null;
  }
  return clear;
}
