/** X25519 (RFC 7748 §5, §6.1) on key objects, which cost more to make than the multiplication's set-up: keep them. */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';

/** Length of a secret, of a point and of a shared secret. */
export const X25519_OCTETS = 32;

const TYPE = 'x25519';

export const secretKey = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: secret, format: 'raw-private', asymmetricKeyType: TYPE });

export const publicKey = (point: Uint8Array): KeyObject =>
  createPublicKey({ key: point, format: 'raw-public', asymmetricKeyType: TYPE });

/** The point of a public key, or of a secret key's public half. */
export const pointOf = (key: KeyObject): Buffer =>
  (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'raw-public' });

/** A fresh pair for one stanza. */
export function generateEphemeral(): { secret: KeyObject; point: Buffer } {
  const pair = generateKeyPairSync(TYPE);
  return { secret: pair.privateKey, point: pointOf(pair.publicKey) };
}

/**
 * @returns 32 octets, or null for a point of low order. OpenSSL refuses the all-zero secret that such a point gives
 *   (RFC 7748 §6.1). Without that refusal, anyone could make stanzas that open under every identity.
 */
export function sharedSecret(secret: KeyObject, point: KeyObject): Buffer | null {
  try {
    return diffieHellman({ privateKey: secret, publicKey: point });
  } catch {
    return null;
  }
}

const PROBE = secretKey(Buffer.alloc(X25519_OCTETS, 1));

/** Whether the point is of low order: it gives every secret the same, all-zero, shared secret. */
export const isLowOrder = (point: KeyObject): boolean => sharedSecret(PROBE, point) === null;
