/**
 * Recipients and identities in age's words: a mailbox's public and private key. docs/format.md "Keys"; the C2SP age
 * specification, "Native recipient types". This file knows the types and their encodings; x25519.ts and hybrid.ts wrap.
 */
import { randomBytes } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { decodeBech32, encodeBech32 } from './bech32.ts';
import { X25519_OCTETS } from './curve25519.ts';
import { HYBRID_POINT_OCTETS, HYBRID_RECIPIENT_HRP, hybridIdentity, hybridRecipient } from './hybrid.ts';
import { X25519_RECIPIENT_HRP, x25519Identity, x25519Recipient } from './x25519.ts';

/** `mlkem768x25519` is the hybrid that a quantum computer does not open. One type an epoch of a mailbox. */
export type RecipientType = 'x25519' | 'mlkem768x25519';

/** One recipient's part of an age header. */
export interface Stanza {
  /** The stanza's type, then what that type defines. Printable ASCII without spaces, none empty. */
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

/** A mailbox's public key. */
export interface Recipient {
  readonly type: RecipientType;
  /** `age1...` (Bech32), as stock age prints it. */
  readonly encoded: string;
  /** Wraps a 16-octet file key; a fresh ephemeral share each time. */
  wrap(fileKey: Uint8Array): Stanza;
}

/** A mailbox's private key. */
export interface Identity {
  readonly type: RecipientType;
  readonly recipient: Recipient;
  /**
   * @returns the 16-octet file key, or null when the stanza is of another type or another recipient's.
   * @throws IntegrityError 'seal-broken' for a stanza of this type that the specification tells us to refuse.
   */
  unwrap(stanza: Stanza): Buffer | null;
}

/** Length of an identity's seed, whatever its type. */
export const SEED_OCTETS = 32;

const IDENTITY_HRP: Readonly<Record<RecipientType, string>> = {
  x25519: 'AGE-SECRET-KEY-',
  mlkem768x25519: 'AGE-SECRET-KEY-PQ-',
};

/** @returns 32 octets from the system's generator, good for either type. The caller owns and zeroes them. */
export const generateIdentitySeed = (): Buffer => randomBytes(SEED_OCTETS);

/** @param seed 32 octets; copied into key objects, so that the caller may zero it afterwards. */
export function identityFromSeed(type: RecipientType, seed: Uint8Array): Identity {
  if (seed.length !== SEED_OCTETS) throw new IntegrityError('format', 'An identity seed has a wrong length.');
  switch (type) {
    case 'x25519':
      return x25519Identity(seed);
    case 'mlkem768x25519':
      return hybridIdentity(seed);
  }
}

/**
 * @param encoded `age1...` or `age1pq1...`, lower case.
 * @throws IntegrityError 'format': not one of the two types, a wrong checksum, or a key that would share its secrets
 *   with everyone (a point of low order) or that is no ML-KEM key (FIPS 203 §7.2).
 */
export function parseRecipient(encoded: string): Recipient {
  const { hrp, octets } = decodeBech32(encoded);
  if (hrp === X25519_RECIPIENT_HRP && octets.length === X25519_OCTETS) return x25519Recipient(octets);
  if (hrp === HYBRID_RECIPIENT_HRP && octets.length === HYBRID_POINT_OCTETS) return hybridRecipient(octets);
  throw new IntegrityError('format', 'A recipient is of no known type.');
}

/** @returns `AGE-SECRET-KEY-1...` or `AGE-SECRET-KEY-PQ-1...`: the key in clear, for export to stock age. */
export const encodeIdentity = (type: RecipientType, seed: Uint8Array): string =>
  encodeBech32(IDENTITY_HRP[type], seed);

/** The inverse of encodeIdentity. @throws IntegrityError 'format'. The caller owns and zeroes the seed. */
export function parseIdentity(encoded: string): { type: RecipientType; seed: Buffer } {
  const { hrp, octets } = decodeBech32(encoded);
  for (const type of ['x25519', 'mlkem768x25519'] as const) {
    if (hrp === IDENTITY_HRP[type] && octets.length === SEED_OCTETS) return { type, seed: octets };
  }
  throw new IntegrityError('format', 'An identity is of no known type.');
}
