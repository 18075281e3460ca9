/**
 * age's post-quantum recipient type: the C2SP age specification, "The MLKEM768-X25519 (i.e. X-Wing) hybrid recipient
 * type". HPKE base mode (RFC 9180 §5.1.1, §6.1) over the KEM X-Wing (draft-connolly-cfrg-xwing-kem), with HKDF-SHA256
 * and ChaCha20-Poly1305. An attacker must break both X25519 and ML-KEM-768 (FIPS 203) to open a file key.
 */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  decapsulate,
  encapsulate,
  hash,
  type KeyObject,
} from 'node:crypto';
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
import { deriveKey, FILE_KEY_OCTETS, open, seal, TAG_OCTETS } from './primitives.ts';
import type { Identity, Recipient } from './recipient.ts';

export const HYBRID_RECIPIENT_HRP = 'age1pq';

/** A stanza's first argument. */
export const HYBRID_TAG = 'mlkem768x25519';
const ML_KEM = 'ml-kem-768';
const ML_KEM_KEY_OCTETS = 1184;
const ML_KEM_CIPHERTEXT_OCTETS = 1088;
const ML_KEM_SEED_OCTETS = 64;
/** An encapsulation key: ML-KEM's, then X25519's point. */
export const HYBRID_POINT_OCTETS = ML_KEM_KEY_OCTETS + X25519_OCTETS;
const ENCAPSULATED_OCTETS = ML_KEM_CIPHERTEXT_OCTETS + X25519_OCTETS;

/**
 * @param point 1,216 octets.
 * @throws IntegrityError 'format' for an X25519 point of low order, or an ML-KEM key with a coefficient out of range.
 */
export function hybridRecipient(point: Uint8Array): Recipient {
  const latticeKey = latticePublicKey(point.subarray(0, ML_KEM_KEY_OCTETS));
  const curvePoint = point.subarray(ML_KEM_KEY_OCTETS);
  const curveKey = publicKey(curvePoint);
  if (isLowOrder(curveKey)) throw new IntegrityError('format', 'A recipient is a point of low order.');
  return {
    type: 'mlkem768x25519',
    encoded: encodeBech32(HYBRID_RECIPIENT_HRP, point),
    wrap(fileKey) {
      const lattice = encapsulate(latticeKey);
      const ephemeral = generateEphemeral();
      const curveSecret = sharedSecret(ephemeral.secret, curveKey)!; // low order was refused above
      const { key, nonce } = keySchedule(
        combine(lattice.sharedKey, curveSecret, ephemeral.point, curvePoint),
      );
      const encapsulated = Buffer.concat([lattice.ciphertext, ephemeral.point]);
      return { args: [HYBRID_TAG, encodeBase64(encapsulated)], body: seal(key, nonce, fileKey) };
    },
  };
}

/** @param seed The X-Wing decapsulation key, 32 octets. */
export function hybridIdentity(seed: Uint8Array): Identity {
  // X-Wing, "expandDecapsulationKey": SHAKE256 to ML-KEM's seed (d || z) and X25519's secret key.
  const expanded = createHash('shake256', { outputLength: ML_KEM_SEED_OCTETS + X25519_OCTETS })
    .update(seed)
    .digest();
  const latticeKey = createPrivateKey({
    key: expanded.subarray(0, ML_KEM_SEED_OCTETS),
    format: 'raw-seed',
    asymmetricKeyType: ML_KEM,
  });
  const curveKey = secretKey(expanded.subarray(ML_KEM_SEED_OCTETS));
  expanded.fill(0);
  const curvePoint = pointOf(curveKey);
  const latticePoint = createPublicKey(latticeKey).export({ format: 'raw-public' });
  return {
    type: 'mlkem768x25519',
    recipient: hybridRecipient(Buffer.concat([latticePoint, curvePoint])),
    unwrap({ args, body }) {
      if (args[0] !== HYBRID_TAG) return null;
      const encapsulated = args.length === 2 ? decodeBase64(args[1]!) : null;
      // The body's length before its tag: a longer key would let one stanza open under several identities.
      if (encapsulated?.length !== ENCAPSULATED_OCTETS || body.length !== FILE_KEY_OCTETS + TAG_OCTETS) {
        throw new IntegrityError('seal-broken', 'An mlkem768x25519 stanza is malformed.');
      }
      const share = encapsulated.subarray(ML_KEM_CIPHERTEXT_OCTETS);
      const curveSecret = sharedSecret(curveKey, publicKey(share));
      if (curveSecret === null) {
        throw new IntegrityError('seal-broken', 'An mlkem768x25519 share is a point of low order.');
      }
      // ML-KEM rejects implicitly: a wrong ciphertext gives another secret, and the tag below does not verify.
      const latticeSecret = decapsulate(latticeKey, encapsulated.subarray(0, ML_KEM_CIPHERTEXT_OCTETS));
      const { key, nonce } = keySchedule(combine(latticeSecret, curveSecret, share, curvePoint));
      return open(key, nonce, body);
    },
  };
}

function latticePublicKey(key: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key, format: 'raw-public', asymmetricKeyType: ML_KEM });
  } catch (cause) {
    throw new IntegrityError('format', 'A recipient has no valid ML-KEM-768 key.', cause);
  }
}

/** X-Wing, "Combiner". The label spells \./ over /^\. */
const X_WING_LABEL = Buffer.from('\\.//^\\', 'latin1');

const combine = (
  latticeSecret: Uint8Array,
  curveSecret: Uint8Array,
  share: Uint8Array,
  curvePoint: Uint8Array,
): Buffer =>
  hash('sha3-256', Buffer.concat([latticeSecret, curveSecret, share, curvePoint, X_WING_LABEL]), 'buffer');

/** RFC 9180 §5.1: "HPKE", KEM 0x647a (MLKEM768-X25519), KDF 0x0001 (HKDF-SHA256), AEAD 0x0003 (ChaCha20-Poly1305). */
const SUITE = Buffer.from('48504b45647a00010003', 'hex');
const labeled = (label: string, ...parts: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from('HPKE-v1'), SUITE, Buffer.from(label), ...parts]);
const extractWithoutSalt = (input: Uint8Array): Buffer => createHmac('sha256', '').update(input).digest();

/** RFC 9180 §5.1, key_schedule_context: mode_base, no PSK, age's info. */
const CONTEXT = Buffer.concat([
  Buffer.of(0),
  extractWithoutSalt(labeled('psk_id_hash')),
  extractWithoutSalt(labeled('info_hash', Buffer.from('age-encryption.org/mlkem768x25519'))),
]);
const SECRET_INPUT = labeled('secret');
const KEY_INFO = Buffer.concat([Buffer.of(0, 32), labeled('key', CONTEXT)]);
const NONCE_INFO = Buffer.concat([Buffer.of(0, 12), labeled('base_nonce', CONTEXT)]);

/**
 * RFC 9180 §5.1: secret = LabeledExtract(shared_secret, "secret", ""), then LabeledExpand for key and nonce. An extract
 * followed by an expand is HKDF as a whole (RFC 5869 §2), and one call to it costs less than two HMACs.
 */
const keySchedule = (shared: Uint8Array): { key: Buffer; nonce: Buffer } => ({
  key: deriveKey(SECRET_INPUT, shared, KEY_INFO, 32),
  nonce: deriveKey(SECRET_INPUT, shared, NONCE_INFO, 12),
});
