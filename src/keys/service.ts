/**
 * The key service, as the rest of Letterlock sees it: it wraps and unwraps small keys under a key that never leaves
 * it, bound to an encryption context (context.ts). AWS KMS is the model; every implementation passes
 * test/keys/service-contract.ts.
 *
 * Every call rejects with
 * - UnavailableError 'key-service-down' when the service cannot be asked, throttles, or `signal` aborts first;
 * - RefusedError 'key-denied' when it answers that this key does not exist, is disabled, or is not ours to use;
 * - IntegrityError 'context-mismatch' when the blob does not open under this key and context: it was wrapped under
 *   another, or changed. Nothing tells which.
 */
import type { EncryptionContext } from './context.ts';

/** Private cause of the errors above where the service was asked: what it said. Never holds a key, clear or wrapped. */
export class KeyServiceFailure extends Error {
  /** The service's name for the call that failed; null when it gave none. */
  readonly requestId: string | null;

  constructor(message: string, requestId: string | null) {
    super(message);
    this.name = 'KeyServiceFailure';
    this.requestId = requestId;
  }
}

/** The service's name for the call that ended in this error, for the key-use journal; null when there is none. */
export function failedRequestId(error: Error): string | null {
  return error.cause instanceof KeyServiceFailure ? error.cause.requestId : null;
}

export interface Wrapped {
  /** Opaque to all but the service. The caller owns it. */
  readonly blob: Buffer;
  /** The service's name for this call, for the key-use journal. */
  readonly requestId: string;
}

export interface Unwrapped {
  /** The caller owns it, and zeroes it once used. */
  readonly clear: Buffer;
  readonly requestId: string;
}

export interface KeyDescription {
  readonly keyId: string;
  readonly isEnabled: boolean;
}

export interface KeyService {
  /** `local`, `aws`: for logs and `health`. */
  readonly name: string;
  /** The key of organizations that chose none. */
  readonly defaultKeyId: string;
  /** @param clear 1 to WRAPPED_CLEAR_OCTETS octets. */
  wrap(keyId: string, context: EncryptionContext, clear: Uint8Array, signal: AbortSignal): Promise<Wrapped>;
  unwrap(
    keyId: string,
    context: EncryptionContext,
    blob: Uint8Array,
    signal: AbortSignal,
  ): Promise<Unwrapped>;
  /** From one key and context to another, within the service where it can: the clear key is not exposed then. */
  rewrap(
    from: { readonly keyId: string; readonly context: EncryptionContext; readonly blob: Uint8Array },
    to: { readonly keyId: string; readonly context: EncryptionContext },
    signal: AbortSignal,
  ): Promise<Wrapped>;
  describe(keyId: string, signal: AbortSignal): Promise<KeyDescription>;
}
