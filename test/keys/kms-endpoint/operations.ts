/** Encrypt, Decrypt, ReEncrypt and DescribeKey (key-management.ts has the others) as the KMS API reference has them, on parsed JSON. No I/O. */
import { decrypt, encrypt, keyIdIn } from './ciphertext.ts';
import { KEY_MANAGEMENT } from './key-management.ts';
import { type Caller, type Key, type KeyTable, metadata, refuseUnusable } from './key-table.ts';
import { KmsError } from './kms-error.ts';
import { authorize } from './policy.ts';

export type Context = Readonly<Record<string, string>>;
export type Input = Readonly<Record<string, unknown>>;

/** What is to be done for whom. */
export interface Request {
  readonly keys: KeyTable;
  readonly caller: Caller;
  readonly input: Input;
}

/** By what follows `TrentService.` in X-Amz-Target. All throw KmsError; null is an answer without a body. */
export type Operations = Readonly<Record<string, (request: Request) => object | null>>;

const SYMMETRIC = 'SYMMETRIC_DEFAULT';

export const OPERATIONS: Operations = {
  ...KEY_MANAGEMENT,

  Encrypt({ keys, caller, input }) {
    const plaintext = octets(input, 'Plaintext', 4096);
    const context = pairs(input, 'EncryptionContext');
    const key = keys.find(input['KeyId'], caller);
    authorize(key.policy, access(key, caller, 'kms:Encrypt', context));
    refuseUnusable(key);
    return {
      KeyId: key.arn,
      CiphertextBlob: encrypt(key, context, plaintext).toString('base64'),
      EncryptionAlgorithm: SYMMETRIC,
    };
  },

  Decrypt({ keys, caller, input }) {
    const context = pairs(input, 'EncryptionContext');
    const { key, plaintext } = opened({ keys, caller, input }, input['KeyId'], 'kms:Decrypt', context);
    return { KeyId: key.arn, Plaintext: plaintext.toString('base64'), EncryptionAlgorithm: SYMMETRIC };
  },

  /** Authorized twice: ReEncryptFrom with the source's context, ReEncryptTo with the destination's. */
  ReEncrypt({ keys, caller, input }) {
    const from = pairs(input, 'SourceEncryptionContext');
    const to = pairs(input, 'DestinationEncryptionContext');
    const target = keys.find(input['DestinationKeyId'], caller);
    const request = { keys, caller, input };
    const { key: source, plaintext } = opened(request, input['SourceKeyId'], 'kms:ReEncryptFrom', from);
    authorize(target.policy, access(target, caller, 'kms:ReEncryptTo', to));
    refuseUnusable(target);
    return {
      SourceKeyId: source.arn,
      KeyId: target.arn,
      CiphertextBlob: encrypt(target, to, plaintext).toString('base64'),
      SourceEncryptionAlgorithm: SYMMETRIC,
      DestinationEncryptionAlgorithm: SYMMETRIC,
    };
  },

  /** In any key state. */
  DescribeKey({ keys, caller, input }) {
    const key = keys.find(input['KeyId'], caller);
    authorize(key.policy, access(key, caller, 'kms:DescribeKey', {}));
    return { KeyMetadata: metadata(key) };
  },
};

/** Without a key id, the key that the ciphertext names is used. */
function opened(
  { keys, caller, input }: Request,
  keyId: unknown,
  action: string,
  context: Context,
): { readonly key: Key; readonly plaintext: Buffer } {
  const ciphertext = octets(input, 'CiphertextBlob', 6144);
  const given = keyId === undefined ? undefined : keys.find(keyId, caller);
  if (given !== undefined) {
    authorize(given.policy, access(given, caller, action, context));
    refuseUnusable(given);
  }
  const named = keys.withId(keyIdIn(ciphertext), caller.region);
  if (named === undefined) throw new KmsError('InvalidCiphertextException');
  if (given === undefined) {
    authorize(named.policy, access(named, caller, action, context));
    refuseUnusable(named);
  } else if (named !== given) {
    const words = 'The key ID in the request does not identify a CMK that can perform this operation.';
    throw new KmsError('IncorrectKeyException', words);
  }
  return { key: named, plaintext: decrypt(named, context, ciphertext) };
}

const access = ({ arn }: Key, { principal }: Caller, action: string, context: Context) => ({
  principal,
  action,
  keyArn: arn,
  context,
});

function octets(input: Input, name: string, most: number): Buffer {
  const value = input[name];
  if (typeof value !== 'string') {
    throw new KmsError(
      'ValidationException',
      `Value null at '${name}' failed to satisfy constraint: not null`,
    );
  }
  const decoded = Buffer.from(value, 'base64');
  if (decoded.length === 0 || decoded.length > most) {
    throw new KmsError(
      'ValidationException',
      `Value at '${name}' failed to satisfy constraint: length 1 to ${most}`,
    );
  }
  return decoded;
}

function pairs(input: Input, name: string): Context {
  const value = input[name] ?? {};
  if (typeof value !== 'object' || !Object.values(value).every((text) => typeof text === 'string')) {
    throw new KmsError('SerializationException', `${name} is not a map of strings`);
  }
  return value as Context;
}
