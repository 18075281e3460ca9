/**
 * An entry of the lease cache: an identity's seed, sealed so that Redis need not be trusted. docs/format.md, "Lease
 * cache in Redis".
 *
 * Its place is bound: who can write to Redis could else put one mailbox's entry in the place of another, bring back one
 * of an epoch that has ended, or move its end into the future. Opening needs the organization's cache key and the
 * mailbox's cache salt, and neither is ever in Redis.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { LEASE_ENTRY_OCTETS } from '../limits.ts';
import { associatedData } from '../seal/object.ts';
import { SEED_OCTETS } from '../seal/recipient.ts';

export interface EntryPlace {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly epoch: number;
}

export interface EntryContent {
  /** 32 octets. Whoever has it zeroes it. */
  readonly seed: Buffer;
  /** Of the unwrap that the entry stands for. */
  readonly keyId: string;
  readonly requestId: string;
  /** When that unwrap's right to be remembered ends: milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Why an entry counts as absent. */
export type EntryFlaw = 'format' | 'expired' | 'expires-too-late' | 'seal-broken';

/** What each derived key is for. */
export const ENTRY_KEY_INFO = 'letterlock/v1/lease-cache';

const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const EXPIRY_OCTETS = 8;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
const LENGTH_OCTETS = 2;
const HEAD_OCTETS = 1 + EXPIRY_OCTETS + NONCE_OCTETS;
const LEAST_OCTETS = HEAD_OCTETS + SEED_OCTETS + LENGTH_OCTETS + TAG_OCTETS;

/** One name for each mailbox and epoch: ids, which the leak budget lists. */
export const entryName = (mailbox: MailboxId, epoch: number): string =>
  `letterlock:1:lease:${mailbox}:${epoch}`;

/**
 * @param key Derived from cache key and salt; seals many entries, hence a random nonce: one unwrap makes one entry, so
 *   that 2^32 of them, the bound of NIST SP 800-38D §8.3, are never reached.
 * @returns null when the ids are too long for an entry.
 */
export function sealEntry(key: Uint8Array, place: EntryPlace, content: EntryContent): Buffer | null {
  const keyId = Buffer.from(content.keyId);
  const requestId = Buffer.from(content.requestId);
  if (LEAST_OCTETS + keyId.length + requestId.length > LEASE_ENTRY_OCTETS) return null;
  const head = Buffer.alloc(HEAD_OCTETS - NONCE_OCTETS);
  head[0] = VERSION;
  head.writeBigUInt64BE(BigInt(content.expiresAt), 1);
  const length = Buffer.alloc(LENGTH_OCTETS);
  length.writeUInt16BE(keyId.length);
  const nonce = randomBytes(NONCE_OCTETS);
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(placeOctets(place, content.expiresAt));
  const sealed = [content.seed, length, keyId, requestId].map((part) => cipher.update(part));
  return Buffer.concat([head, nonce, ...sealed, cipher.final(), cipher.getAuthTag()]);
}

/**
 * @param bounds.leastMs What ends sooner than this from now counts as expired.
 * @param bounds.mostMs No entry of ours ends later than this from now: one that says so is not what it seems.
 */
export function openEntry(
  key: Uint8Array,
  place: EntryPlace,
  sealed: Buffer,
  { now, leastMs, mostMs }: { readonly now: number; readonly leastMs: number; readonly mostMs: number },
): EntryContent | EntryFlaw {
  if (sealed.length < LEAST_OCTETS || sealed.length > LEASE_ENTRY_OCTETS || sealed[0] !== VERSION) {
    return 'format';
  }
  const expiry = sealed.readBigUInt64BE(1);
  if (expiry <= BigInt(now + leastMs)) return 'expired';
  if (expiry > BigInt(now + mostMs)) return 'expires-too-late';
  const expiresAt = Number(expiry);
  const nonce = sealed.subarray(HEAD_OCTETS - NONCE_OCTETS, HEAD_OCTETS);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_OCTETS });
  decipher.setAAD(placeOctets(place, expiresAt));
  decipher.setAuthTag(sealed.subarray(-TAG_OCTETS));
  const clear = decipher.update(sealed.subarray(HEAD_OCTETS, -TAG_OCTETS));
  try {
    decipher.final();
  } catch {
    clear.fill(0);
    return 'seal-broken';
  }
  return contentOf(clear, expiresAt);
}

function contentOf(clear: Buffer, expiresAt: number): EntryContent | EntryFlaw {
  const idsStart = SEED_OCTETS + LENGTH_OCTETS;
  const keyIdEnd = idsStart + clear.readUInt16BE(SEED_OCTETS);
  if (keyIdEnd > clear.length) {
    clear.fill(0);
    return 'format';
  }
  return {
    seed: clear.subarray(0, SEED_OCTETS),
    keyId: clear.toString('utf8', idsStart, keyIdEnd),
    requestId: clear.toString('utf8', keyIdEnd),
    expiresAt,
  };
}

const placeOctets = ({ organization, mailbox, epoch }: EntryPlace, expiresAt: number): Buffer =>
  associatedData([VERSION, organization, mailbox, epoch, 'mailbox', expiresAt]);
