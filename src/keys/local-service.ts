/**
 * The embedded key service: wraps under keys derived from one root key file. docs/format.md, "Local key service".
 *
 * Key ids are `local:default` and, for organizations that are to have one of their own, `local:<name>`.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomUUID,
} from 'node:crypto';
import { IntegrityError, RefusedError, UnavailableError } from '../errors.ts';
import { CONTEXT_PAIRS, WRAPPED_CLEAR_OCTETS } from '../limits.ts';
import { associatedData } from '../seal/object.ts';
import type { EncryptionContext } from './context.ts';
import { createRootKey, readRootKey } from './root-key-file.ts';
import type { KeyDescription, KeyService, Unwrapped, Wrapped } from './service.ts';

const VERSION = 1;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
const OVERHEAD_OCTETS = 1 + NONCE_OCTETS + TAG_OCTETS;
const KEY_ID = /^local:[a-z0-9][a-z0-9._-]{0,62}$/;

export interface LocalServiceOptions {
  /** Path of the root key file. */
  readonly path: string;
  /**
   * Makes the root key when the file is missing. Only for a data directory without a key store: a new root key beside
   * old wrapped keys opens none of them.
   */
  readonly mayCreate: boolean;
}

export class LocalKeyService implements KeyService {
  readonly name = 'local';
  readonly defaultKeyId = 'local:default';
  readonly #rootKey: KeyObject;
  readonly #keys = new Map<string, KeyObject>();

  /** @throws what readRootKey throws. */
  static async open({ path, mayCreate }: LocalServiceOptions): Promise<LocalKeyService> {
    try {
      return new LocalKeyService(await readRootKey(path));
    } catch (error) {
      if (!mayCreate || !(error instanceof IntegrityError) || error.code !== 'missing-key') throw error;
    }
    await createRootKey(path);
    return new LocalKeyService(await readRootKey(path));
  }

  private constructor(rootKey: KeyObject) {
    this.#rootKey = rootKey;
  }

  async wrap(
    keyId: string,
    context: EncryptionContext,
    clear: Uint8Array,
    signal: AbortSignal,
  ): Promise<Wrapped> {
    refuseAborted(signal);
    if (clear.length === 0 || clear.length > WRAPPED_CLEAR_OCTETS) {
      throw new RefusedError('invalid', `A key service wraps 1 to ${WRAPPED_CLEAR_OCTETS} octets.`);
    }
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv('aes-256-gcm', this.#key(keyId), nonce);
    cipher.setAAD(contextOctets(context));
    const sealed = [cipher.update(clear), cipher.final(), cipher.getAuthTag()];
    return { blob: Buffer.concat([Buffer.of(VERSION), nonce, ...sealed]), requestId: randomUUID() };
  }

  async unwrap(
    keyId: string,
    context: EncryptionContext,
    blob: Uint8Array,
    signal: AbortSignal,
  ): Promise<Unwrapped> {
    refuseAborted(signal);
    const key = this.#key(keyId);
    if (blob[0] !== VERSION) {
      throw new IntegrityError(
        'context-mismatch',
        'The wrapped key is of a version this key service does not know.',
      );
    }
    if (blob.length <= OVERHEAD_OCTETS || blob.length > OVERHEAD_OCTETS + WRAPPED_CLEAR_OCTETS)
      throw mismatch();
    const nonce = blob.subarray(1, 1 + NONCE_OCTETS);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_OCTETS });
    decipher.setAAD(contextOctets(context));
    decipher.setAuthTag(blob.subarray(-TAG_OCTETS));
    const clear = decipher.update(blob.subarray(1 + NONCE_OCTETS, -TAG_OCTETS));
    try {
      decipher.final();
    } catch (cause) {
      clear.fill(0);
      throw mismatch(cause);
    }
    return { clear, requestId: randomUUID() };
  }

  async rewrap(
    from: { readonly keyId: string; readonly context: EncryptionContext; readonly blob: Uint8Array },
    to: { readonly keyId: string; readonly context: EncryptionContext },
    signal: AbortSignal,
  ): Promise<Wrapped> {
    const { clear } = await this.unwrap(from.keyId, from.context, from.blob, signal);
    try {
      return await this.wrap(to.keyId, to.context, clear, signal);
    } finally {
      clear.fill(0);
    }
  }

  async describe(keyId: string, signal: AbortSignal): Promise<KeyDescription> {
    refuseAborted(signal);
    this.#key(keyId);
    return { keyId, isEnabled: true };
  }

  #key(keyId: string): KeyObject {
    const known = this.#keys.get(keyId);
    if (known !== undefined) return known;
    if (!KEY_ID.test(keyId)) throw new RefusedError('key-denied', 'The local key service has no such key.');
    const octets = Buffer.from(hkdfSync('sha256', this.#rootKey, '', `letterlock/v1/local/${keyId}`, 32));
    const key = createSecretKey(octets);
    octets.fill(0);
    this.#keys.set(keyId, key);
    return key;
  }
}

/** Names and values, sorted by name (by UTF-16 code unit), so that the order of the pairs binds nothing. */
function contextOctets(context: EncryptionContext): Buffer {
  const names = Object.keys(context).sort();
  if (names.length > CONTEXT_PAIRS) {
    throw new RefusedError('invalid', `An encryption context has at most ${CONTEXT_PAIRS} pairs.`);
  }
  return associatedData(names.flatMap((name) => [name, context[name]!]));
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) {
    throw new UnavailableError('key-service-down', 'The key service was not asked in time.', signal.reason);
  }
}

const mismatch = (cause?: unknown): IntegrityError =>
  new IntegrityError('context-mismatch', 'The wrapped key does not open under this key and context.', cause);
