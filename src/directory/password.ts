/** Passwords as argon2id hashes in PHC string form (RFC 9106). Hashing runs off the event loop. */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { IntegrityError, RefusedError } from '../errors.ts';
import { ARGON2, PASSWORD_OCTETS } from '../limits.ts';

const argon2Hash = promisify(argon2);

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** @throws RefusedError 'invalid' for an empty or overlong password. */
export async function hashPassword(password: string): Promise<string> {
  const octets = Buffer.byteLength(password);
  if (octets === 0) throw new RefusedError('invalid', 'The password is empty');
  if (octets > PASSWORD_OCTETS)
    throw new RefusedError('invalid', `A password has at most ${PASSWORD_OCTETS} octets`);
  const { memoryKib: memory, passes, parallelism, tagOctets, saltOctets } = ARGON2;
  const salt = randomBytes(saltOctets);
  const tag = await derive(password, { memory, passes, parallelism, salt }, tagOctets);
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

/** @throws IntegrityError 'format' when the stored hash is none of ours. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const parameters = parsePhc(hash);
  // An overlong password is never right, and must not cost more than any other.
  const given = Buffer.byteLength(password) > PASSWORD_OCTETS ? '' : password;
  const tag = await derive(given, parameters, parameters.tag.length);
  return timingSafeEqual(tag, parameters.tag) && given !== '';
}

/** A hash that no password fits, at today's cost: what unknown users are compared with. */
export function unmatchableHash(): string {
  const { memoryKib, passes, parallelism, tagOctets, saltOctets } = ARGON2;
  const [salt, tag] = [randomBytes(saltOctets), randomBytes(tagOctets)];
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

function derive(password: string, parameters: Omit<Parameters, 'tag'>, tagLength: number): Promise<Buffer> {
  const { memory, passes, parallelism, salt } = parameters;
  return argon2Hash('argon2id', {
    message: Buffer.from(password.normalize('NFC'), 'utf8'),
    nonce: salt,
    memory,
    passes,
    parallelism,
    tagLength,
  });
}

function parsePhc(hash: string): Parameters {
  const match = PHC.exec(hash);
  if (match === null) throw new IntegrityError('format', 'A stored password hash cannot be read');
  const [, memory, passes, parallelism, salt, tag] = match;
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt!, 'base64'),
    tag: Buffer.from(tag!, 'base64'),
  };
}

const base64 = (octets: Buffer): string => octets.toString('base64').replace(/=+$/, '');
