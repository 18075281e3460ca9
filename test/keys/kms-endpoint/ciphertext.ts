/**
 * What Encrypt gives back, opaque to clients as at AWS: it names its key, and binds the encryption context as associated
 * data. Version, key id (16 octets), nonce (12), AES-256-GCM ciphertext, tag (16).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Key } from './key-table.ts';
import { KmsError } from './kms-error.ts';

type Context = Readonly<Record<string, string>>;

const VERSION = 1;
const HEAD_OCTETS = 17;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

export function encrypt({ id, material }: Key, context: Context, plaintext: Uint8Array): Buffer {
  const head = Buffer.concat([Buffer.of(VERSION), Buffer.from(id.replaceAll('-', ''), 'hex')]);
  const nonce = randomBytes(NONCE_OCTETS);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(material, 'hex'), nonce);
  cipher.setAAD(associated(head, context));
  return Buffer.concat([head, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The key that a ciphertext names, 32 hexadecimal digits. @throws KmsError InvalidCiphertextException. */
export function keyIdIn(ciphertext: Buffer): string {
  if (ciphertext[0] !== VERSION || ciphertext.length <= HEAD_OCTETS + NONCE_OCTETS + TAG_OCTETS) {
    throw new KmsError('InvalidCiphertextException');
  }
  return ciphertext.subarray(1, HEAD_OCTETS).toString('hex');
}

/** @throws KmsError InvalidCiphertextException: corrupted, or another context. */
export function decrypt({ material }: Key, context: Context, ciphertext: Buffer): Buffer {
  const head = ciphertext.subarray(0, HEAD_OCTETS);
  const nonce = ciphertext.subarray(HEAD_OCTETS, HEAD_OCTETS + NONCE_OCTETS);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(material, 'hex'), nonce);
  decipher.setAAD(associated(head, context));
  decipher.setAuthTag(ciphertext.subarray(-TAG_OCTETS));
  try {
    const sealed = ciphertext.subarray(HEAD_OCTETS + NONCE_OCTETS, -TAG_OCTETS);
    return Buffer.concat([decipher.update(sealed), decipher.final()]);
  } catch {
    throw new KmsError('InvalidCiphertextException');
  }
}

/** The order of the pairs does not count, their letter case does. */
const associated = (head: Buffer, context: Context): Buffer =>
  Buffer.concat([head, Buffer.from(JSON.stringify(Object.entries(context).sort()))]);
