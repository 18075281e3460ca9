/** age's X25519 recipient type: the C2SP age specification, "The X25519 recipient type". */
import { IntegrityError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { encodeBech32 } from './bech32.ts';
import {
  generateEphemeral,
  isLowOrder,
  pointOf,
  publicKey,
  secretKey,
  sharedSecret,
  X25519_OCTETS,
} from './curve25519.ts';
import { deriveKey, FILE_KEY_OCTETS, open, seal, TAG_OCTETS, ZERO_NONCE } from './primitives.ts';
import type { Identity, Recipient } from './recipient.ts';

export const X25519_RECIPIENT_HRP = 'age';

/** A stanza's first argument. */
export const X25519_TAG = 'X25519';
const INFO = 'age-encryption.org/v1/X25519';

/** @param point 32 octets. @throws IntegrityError 'format' for a point of low order. */
export function x25519Recipient(point: Uint8Array): Recipient {
  const recipientKey = publicKey(point);
  if (isLowOrder(recipientKey)) throw new IntegrityError('format', 'A recipient is a point of low order.');
  return {
    type: 'x25519',
    encoded: encodeBech32(X25519_RECIPIENT_HRP, point),
    wrap(fileKey) {
      const ephemeral = generateEphemeral();
      const secret = sharedSecret(ephemeral.secret, recipientKey)!; // low order was refused above
      const wrapKey = deriveKey(secret, Buffer.concat([ephemeral.point, point]), INFO);
      return { args: [X25519_TAG, encodeBase64(ephemeral.point)], body: seal(wrapKey, ZERO_NONCE, fileKey) };
    },
  };
}

/** @param seed The X25519 secret key, 32 octets. */
export function x25519Identity(seed: Uint8Array): Identity {
  const identityKey = secretKey(seed);
  const point = pointOf(identityKey);
  return {
    type: 'x25519',
    recipient: x25519Recipient(point),
    unwrap({ args, body }) {
      if (args[0] !== X25519_TAG) return null;
      const share = args.length === 2 ? decodeBase64(args[1]!) : null;
      // The body's length before its tag: a longer key would let one stanza open under several identities.
      if (share?.length !== X25519_OCTETS || body.length !== FILE_KEY_OCTETS + TAG_OCTETS) {
        throw new IntegrityError('seal-broken', 'An X25519 stanza is malformed.');
      }
      const secret = sharedSecret(identityKey, publicKey(share));
      if (secret === null)
        throw new IntegrityError('seal-broken', 'An X25519 share is a point of low order.');
      return open(deriveKey(secret, Buffer.concat([share, point]), INFO), ZERO_NONCE, body);
    },
  };
}
