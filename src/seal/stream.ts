/**
 * The payload of an age file: the C2SP age specification, "Payload". A nonce, then chunks of 64 KiB clear, each sealed
 * under its position and whether it is the last. So chunks cannot be swapped, dropped or appended, and any one opens
 * alone.
 */
import { randomBytes } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { KIB } from '../limits.ts';
import { deriveKey, open, sealInto, TAG_OCTETS } from './primitives.ts';

/** Clear octets in every chunk but the last. */
export const CHUNK_OCTETS = 64 * KIB;
export const SEALED_CHUNK_OCTETS = CHUNK_OCTETS + TAG_OCTETS;
export const PAYLOAD_NONCE_OCTETS = 16;

/** An empty payload has one empty chunk. */
export const chunkCount = (clearOctets: number): number => Math.max(1, Math.ceil(clearOctets / CHUNK_OCTETS));

/** Length of a payload with this much in it, its nonce included. */
export const sealedStreamOctets = (clearOctets: number): number =>
  PAYLOAD_NONCE_OCTETS + clearOctets + TAG_OCTETS * chunkCount(clearOctets);

/**
 * The inverse of sealedStreamOctets.
 * @throws IntegrityError 'seal-broken' for a length that no payload has. An empty last chunk after others is one: were it
 *   taken, one message would have two ciphertexts.
 */
export function clearStreamOctets(sealedOctets: number): number {
  const chunks = Math.max(1, Math.ceil((sealedOctets - PAYLOAD_NONCE_OCTETS) / SEALED_CHUNK_OCTETS));
  const clearOctets = sealedOctets - PAYLOAD_NONCE_OCTETS - TAG_OCTETS * chunks;
  if (clearOctets < 0 || chunkCount(clearOctets) !== chunks) throw brokenStream('has an impossible length');
  return clearOctets;
}

/** Seals and opens single chunks of one payload. */
export class PayloadCipher {
  /** The payload's first 16 octets. */
  readonly nonce: Uint8Array;
  readonly #key: Buffer;
  readonly #chunkNonce = Buffer.alloc(12);

  /** @param nonce By default a fresh one, for a new payload. Not the file key but a key derived from it is kept. */
  constructor(fileKey: Uint8Array, nonce: Uint8Array = randomBytes(PAYLOAD_NONCE_OCTETS)) {
    this.nonce = nonce;
    this.#key = deriveKey(fileKey, nonce, 'payload');
  }

  /**
   * Seals `parts`, together at most CHUNK_OCTETS, into `target`. Each (index, isLast) at most once a payload.
   * @returns the offset in `target` after the chunk.
   */
  sealInto(
    target: Uint8Array,
    offset: number,
    index: number,
    isLast: boolean,
    parts: readonly Uint8Array[],
  ): number {
    return sealInto(target, offset, this.#key, this.#chunkNonceOf(index, isLast), parts);
  }

  /** @returns the clear chunk; the caller owns it. @throws IntegrityError 'seal-broken'. */
  open(index: number, isLast: boolean, sealed: Uint8Array): Buffer {
    const clear = open(this.#key, this.#chunkNonceOf(index, isLast), sealed);
    if (clear === null) throw brokenStream('does not open');
    return clear;
  }

  /** Eleven octets of counter, of which four suffice for 256 TiB, and the mark of the last chunk. */
  #chunkNonceOf(index: number, isLast: boolean): Buffer {
    this.#chunkNonce.writeUInt32BE(index, 7);
    this.#chunkNonce[11] = isLast ? 1 : 0;
    return this.#chunkNonce;
  }
}

/** Seals a payload of unknown length, holding back at most one chunk until it is known whether more follows. */
export class StreamSealer {
  readonly #cipher: PayloadCipher;
  /** What goes out before the next chunk: the nonce, once. */
  #prefix: Uint8Array;
  readonly #held = Buffer.allocUnsafeSlow(CHUNK_OCTETS);
  #heldOctets = 0;
  #index = 0;

  /** @param cipher A new payload's. */
  constructor(cipher: PayloadCipher) {
    this.#cipher = cipher;
    this.#prefix = cipher.nonce;
  }

  /** @returns sealed octets, in order, which the caller owns. Keeps no reference to `clear`. */
  push(clear: Uint8Array): Buffer[] {
    const sealed: Buffer[] = [];
    let at = 0;
    while (at < clear.length) {
      if (this.#heldOctets === CHUNK_OCTETS) sealed.push(this.#sealHeld(false));
      if (this.#heldOctets === 0 && clear.length - at > CHUNK_OCTETS) {
        sealed.push(this.#seal(false, clear.subarray(at, at + CHUNK_OCTETS)));
        at += CHUNK_OCTETS;
        continue;
      }
      const taken = clear.subarray(at, at + CHUNK_OCTETS - this.#heldOctets);
      this.#held.set(taken, this.#heldOctets);
      this.#heldOctets += taken.length;
      at += taken.length;
    }
    return sealed;
  }

  /** @returns what remains to be written; nothing may be pushed afterwards. */
  end(): Buffer[] {
    const last = this.#sealHeld(true);
    this.#held.fill(0);
    return [last];
  }

  #sealHeld(isLast: boolean): Buffer {
    const sealed = this.#seal(isLast, this.#held.subarray(0, this.#heldOctets));
    this.#heldOctets = 0;
    return sealed;
  }

  #seal(isLast: boolean, clear: Uint8Array): Buffer {
    const prefix = this.#prefix;
    const sealed = Buffer.allocUnsafe(prefix.length + clear.length + TAG_OCTETS);
    sealed.set(prefix);
    this.#cipher.sealInto(sealed, prefix.length, this.#index++, isLast, [clear]);
    this.#prefix = sealed.subarray(0, 0);
    return sealed;
  }
}

export const brokenStream = (what: string): IntegrityError =>
  new IntegrityError('seal-broken', `A sealed body ${what}.`);
