/** The keys of the endpoint: their states, aliases and policies, and how a KeyId names one. */
import { randomBytes, randomUUID } from 'node:crypto';
import { KmsError } from './kms-error.ts';
import type { KeyPolicy } from './policy.ts';

export const KEY_STATES = ['Enabled', 'Disabled', 'PendingDeletion', 'PendingImport', 'Unavailable'] as const;
export type KeyState = (typeof KEY_STATES)[number];

export interface Key {
  readonly id: string;
  readonly region: string;
  readonly account: string;
  readonly arn: string;
  readonly usage: 'ENCRYPT_DECRYPT' | 'SIGN_VERIFY';
  /** AES-256, hexadecimal. */
  readonly material: string;
  readonly createdAt: number;
  state: KeyState;
  policy: KeyPolicy;
}

/** Whose request it is, and to which region. */
export interface Caller {
  /** ARN. */
  readonly principal: string;
  readonly region: string;
}

export interface NewKey {
  readonly id?: string;
  readonly region?: string;
  readonly account?: string;
  readonly usage?: Key['usage'];
  /** `alias/name`. */
  readonly alias?: string;
}

export const TEST_REGION = 'eu-central-1';
export const TEST_ACCOUNT = '111122223333';

export class KeyTable {
  readonly #keys: Key[] = [];
  /** Alias ARN to key ARN. */
  readonly #aliases = new Map<string, string>();

  /**
   * Its policy lets its account do everything, as that of a key made in the console does.
   * @param prepare Runs before the key is there, and keeps it from being so by throwing.
   */
  create(
    { region = TEST_REGION, account = TEST_ACCOUNT, id = randomUUID(), ...others }: NewKey = {},
    prepare: (key: Key) => void = () => {},
  ): Key {
    const key: Key = {
      id,
      region,
      account,
      arn: `arn:aws:kms:${region}:${account}:key/${id}`,
      usage: others.usage ?? 'ENCRYPT_DECRYPT',
      material: randomBytes(32).toString('hex'),
      createdAt: Date.now(),
      state: 'Enabled',
      policy: accountPolicy(account),
    };
    prepare(key);
    this.add(key, others.alias === undefined ? [] : [others.alias]);
    return key;
  }

  add(key: Key, aliases: readonly string[] = []): void {
    this.#keys.push(key);
    for (const alias of aliases) this.alias(alias, key);
  }

  /** Points an alias of the key's region and account at it. */
  alias(name: string, { region, account, arn }: Key): void {
    this.#aliases.set(`arn:aws:kms:${region}:${account}:${name}`, arn);
  }

  get all(): readonly Key[] {
    return this.#keys;
  }

  /** Those that were created, with their aliases. */
  aliasesOf({ arn }: Key): string[] {
    return [...this.#aliases].filter(([, to]) => to === arn).map(([alias]) => alias.replace(/^.*:/, ''));
  }

  /**
   * Id and alias are of the caller's own account; an ARN may be of another. All are of the region that is asked.
   * @throws KmsError NotFoundException, InvalidArnException, ValidationException.
   */
  find(keyId: unknown, { principal, region }: Caller): Key {
    if (typeof keyId !== 'string' || keyId.length < 1 || keyId.length > 2048) {
      throw new KmsError(
        'ValidationException',
        "Value at 'keyId' failed to satisfy constraint: length 1 to 2048",
      );
    }
    const account = principal.split(':')[4]!;
    let arn = keyId;
    if (keyId.startsWith('alias/')) arn = `arn:aws:kms:${region}:${account}:${keyId}`;
    else if (!keyId.startsWith('arn:')) {
      if (!/^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.test(keyId)) {
        throw new KmsError('NotFoundException', `Invalid keyId '${keyId}'`);
      }
      arn = `arn:aws:kms:${region}:${account}:key/${keyId}`;
    }
    const [, , service, arnRegion] = arn.split(':');
    if (service !== 'kms') throw new KmsError('InvalidArnException', `${arn} is not a KMS key`);
    if (arnRegion !== region) throw new KmsError('NotFoundException', `Invalid arn ${arnRegion}`);
    const isAlias = arn.includes(':alias/');
    const keyArn = isAlias ? this.#aliases.get(arn) : arn;
    const key = this.#keys.find((other) => other.arn === keyArn);
    if (key !== undefined) return key;
    const what = isAlias ? 'Alias' : 'Key';
    throw new KmsError('NotFoundException', `${what} '${arn}' does not exist`);
  }

  /** The key that a ciphertext names, in the region that is asked. */
  withId(id: string, region: string): Key | undefined {
    return this.#keys.find((key) => key.id.replaceAll('-', '') === id && key.region === region);
  }
}

export function accountPolicy(account: string): KeyPolicy {
  const Principal = { AWS: `arn:aws:iam::${account}:root` };
  return {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal, Action: 'kms:*', Resource: '*' }],
  };
}

/** KeyMetadata of the KMS API reference. */
export function metadata(key: Key): object {
  return {
    AWSAccountId: key.account,
    Arn: key.arn,
    CreationDate: key.createdAt / 1000,
    Description: '',
    Enabled: key.state === 'Enabled',
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    KeyId: key.id,
    KeyManager: 'CUSTOMER',
    KeySpec: 'SYMMETRIC_DEFAULT',
    KeyState: key.state,
    KeyUsage: key.usage,
    MultiRegion: false,
    Origin: 'AWS_KMS',
  };
}

/** @throws KmsError DisabledException, KMSInvalidStateException, InvalidKeyUsageException: "Key states of AWS KMS keys". */
export function refuseUnusable({ arn, state, usage }: Key): void {
  switch (state) {
    case 'Enabled':
      break;
    case 'Disabled':
      throw new KmsError('DisabledException', `${arn} is disabled.`);
    case 'PendingDeletion':
      throw new KmsError('KMSInvalidStateException', `${arn} is pending deletion.`);
    case 'PendingImport':
      throw new KmsError('KMSInvalidStateException', `${arn} is pending import.`);
    case 'Unavailable':
      throw new KmsError('KMSInvalidStateException', `${arn} is unavailable.`);
    default:
      state satisfies never;
  }
  if (usage !== 'ENCRYPT_DECRYPT') {
    throw new KmsError('InvalidKeyUsageException', `${arn} key usage is ${usage} which is not valid.`);
  }
}
