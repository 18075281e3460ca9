/**
 * AWS KMS as key service, with symmetric keys: wrap is Encrypt, unwrap is Decrypt, rewrap is ReEncrypt. KMS binds the
 * encryption context to the wrapped key as associated data, compares it exactly, and shows it in CloudTrail.
 *
 * The SDK is loaded when the service is opened, so that who does not use it does not pay for it.
 */
import { IntegrityError, RefusedError, UnavailableError } from '../errors.ts';
import {
  AWS_CALLS,
  AWS_CALLS_WAITING,
  AWS_WRAPPED_OCTETS,
  CONTEXT_PAIRS,
  WRAPPED_CLEAR_OCTETS,
} from '../limits.ts';
import { AwsClients, type AwsServiceOptions, type Sdk } from './aws-clients.ts';
import { keyServiceError } from './aws-errors.ts';
import { CallSlots } from './call-slots.ts';
import type { EncryptionContext } from './context.ts';
import {
  type KeyDescription,
  type KeyService,
  KeyServiceFailure,
  type Unwrapped,
  type Wrapped,
} from './service.ts';

export type { AwsServiceOptions } from './aws-clients.ts';

type Client = ReturnType<AwsClients['of']>;

/** Of every answer of the SDK. */
interface Answer {
  readonly $metadata: { readonly requestId?: string | undefined };
}

export class AwsKeyService implements KeyService {
  readonly name = 'aws';
  readonly defaultKeyId: string;
  readonly #sdk: Sdk;
  readonly #clients: AwsClients;
  readonly #slots = new CallSlots({ running: AWS_CALLS, waiting: AWS_CALLS_WAITING });

  /** @throws RefusedError 'invalid' when nothing tells the region. KMS itself is not asked: it may be down. */
  static async open(options: AwsServiceOptions): Promise<AwsKeyService> {
    const sdk = await import('@aws-sdk/client-kms');
    return new AwsKeyService(sdk, await AwsClients.open(sdk, options), options.defaultKeyId);
  }

  private constructor(sdk: Sdk, clients: AwsClients, defaultKeyId: string) {
    this.#sdk = sdk;
    this.#clients = clients;
    this.defaultKeyId = defaultKeyId;
  }

  async wrap(
    keyId: string,
    context: EncryptionContext,
    clear: Uint8Array,
    signal: AbortSignal,
  ): Promise<Wrapped> {
    checkContext(context);
    if (clear.length === 0 || clear.length > WRAPPED_CLEAR_OCTETS) {
      throw new RefusedError('invalid', `A key service wraps 1 to ${WRAPPED_CLEAR_OCTETS} octets.`);
    }
    const input = { KeyId: keyId, EncryptionContext: { ...context }, Plaintext: clear };
    const answer = await this.#ask(keyId, signal, (client, options) =>
      client.send(new this.#sdk.EncryptCommand(input), options),
    );
    return { blob: octetsOf(answer.CiphertextBlob, answer), requestId: requestIdOf(answer) };
  }

  async unwrap(
    keyId: string,
    context: EncryptionContext,
    blob: Uint8Array,
    signal: AbortSignal,
  ): Promise<Unwrapped> {
    checkContext(context);
    checkWrapped(blob);
    // With the key id KMS decrypts under no other key, whatever the blob says of itself.
    const input = { KeyId: keyId, EncryptionContext: { ...context }, CiphertextBlob: blob };
    const answer = await this.#ask(keyId, signal, (client, options) =>
      client.send(new this.#sdk.DecryptCommand(input), options),
    );
    return { clear: octetsOf(answer.Plaintext, answer), requestId: requestIdOf(answer) };
  }

  /** Across regions it takes a Decrypt and an Encrypt, and the request id is the latter's. */
  async rewrap(
    from: { readonly keyId: string; readonly context: EncryptionContext; readonly blob: Uint8Array },
    to: { readonly keyId: string; readonly context: EncryptionContext },
    signal: AbortSignal,
  ): Promise<Wrapped> {
    if (this.#clients.regionOf(from.keyId) !== this.#clients.regionOf(to.keyId)) {
      const { clear } = await this.unwrap(from.keyId, from.context, from.blob, signal);
      try {
        return await this.wrap(to.keyId, to.context, clear, signal);
      } finally {
        clear.fill(0);
      }
    }
    checkContext(from.context);
    checkContext(to.context);
    checkWrapped(from.blob);
    const input = {
      CiphertextBlob: from.blob,
      SourceKeyId: from.keyId,
      SourceEncryptionContext: { ...from.context },
      DestinationKeyId: to.keyId,
      DestinationEncryptionContext: { ...to.context },
    };
    const answer = await this.#ask(from.keyId, signal, (client, options) =>
      client.send(new this.#sdk.ReEncryptCommand(input), options),
    );
    return { blob: octetsOf(answer.CiphertextBlob, answer), requestId: requestIdOf(answer) };
  }

  async describe(keyId: string, signal: AbortSignal): Promise<KeyDescription> {
    const { KeyMetadata } = await this.#ask(keyId, signal, (client, options) =>
      client.send(new this.#sdk.DescribeKeyCommand({ KeyId: keyId }), options),
    );
    return { keyId, isEnabled: KeyMetadata?.KeyState === 'Enabled' };
  }

  async #ask<T extends Answer>(
    keyId: string,
    signal: AbortSignal,
    send: (client: Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#slots.run(signal, () => send(this.#clients.of(keyId), { abortSignal: signal }));
    } catch (error) {
      throw keyServiceError(error);
    }
  }
}

/** KMS names every answer; '' when a proxy in between took the name away. */
const requestIdOf = ({ $metadata }: Answer): string => $metadata.requestId ?? '';

/** The same memory: the caller zeroes it. */
function octetsOf(octets: Uint8Array | undefined, answer: Answer): Buffer {
  if (octets === undefined || octets.length === 0) {
    const failure = new KeyServiceFailure('an answer without its octets', requestIdOf(answer));
    throw new UnavailableError('key-service-down', 'The key service gave an empty answer.', failure);
  }
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}

function checkContext(context: EncryptionContext): void {
  if (Object.keys(context).length > CONTEXT_PAIRS) {
    throw new RefusedError('invalid', `An encryption context has at most ${CONTEXT_PAIRS} pairs.`);
  }
}

/** KMS calls such a blob a malformed request; here it is one that does not open. */
function checkWrapped(blob: Uint8Array): void {
  if (blob.length === 0 || blob.length > AWS_WRAPPED_OCTETS) {
    throw new IntegrityError('context-mismatch', 'The wrapped key is not one that KMS made.');
  }
}
