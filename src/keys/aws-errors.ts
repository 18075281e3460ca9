/**
 * What AWS KMS and its SDK throw, as the errors that a key service throws. KMS API reference, "Errors" of Decrypt,
 * Encrypt, ReEncrypt and DescribeKey, and "Common Errors".
 */
import { IntegrityError, LetterlockError, RefusedError, UnavailableError } from '../errors.ts';
import { KeyServiceFailure } from './service.ts';

/** This key is not there, not usable or not ours to use, or what was given as its id names none. */
const DENIED: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'DisabledException',
  'InvalidArnException',
  'InvalidKeyUsageException',
  'KMSInvalidStateException',
  'NotFoundException',
  'UnsupportedOperationException',
  // Sizes and context are checked before KMS is asked, so it is the key id that it finds malformed.
  'ValidationException',
]);

const MISMATCH: ReadonlySet<string> = new Set(['IncorrectKeyException', 'InvalidCiphertextException']);

/** The part of the SDK's exceptions that is used here; `$fault` marks those that the service itself answered. */
interface SdkError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly $fault?: 'client' | 'server';
  readonly $metadata?: { readonly requestId?: string };
}

/**
 * Everything that is not known to be lasting counts as passing: throttling, 5xx, time-outs, a refused connection, an
 * answer that cannot be read, and credentials that are missing or expired, which say nothing about the key.
 */
export function keyServiceError(thrown: unknown): LetterlockError {
  if (thrown instanceof LetterlockError) return thrown;
  const error = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as SdkError;
  const name = typeof error.name === 'string' ? error.name : 'Error';
  const failure = new KeyServiceFailure(describe(name, error), error.$metadata?.requestId ?? null);
  const isAnswer = error.$fault !== undefined;
  if (isAnswer && DENIED.has(name)) {
    return new RefusedError('key-denied', 'The key service does not let this key be used.', failure);
  }
  if (isAnswer && MISMATCH.has(name)) {
    const sentence = 'The wrapped key does not open under this key and context.';
    return new IntegrityError('context-mismatch', sentence, failure);
  }
  return new UnavailableError('key-service-down', 'The key service cannot be asked now.', failure);
}

/**
 * The SDK's own error is not kept: it holds the response, and the message of one that could not be parsed quotes it.
 * The answer to Decrypt is a clear key. What KMS itself says, and the codes of the system, hold none.
 */
function describe(name: string, { message, code, $fault }: SdkError): string {
  if ($fault !== undefined && typeof message === 'string') return `${name}: ${message}`;
  return typeof code === 'string' ? `${name} (${code})` : name;
}
