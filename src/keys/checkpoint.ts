/**
 * A checkpoint of the key-use journals, as a line: who signs it says where the journals that it names ended, and, by
 * the hash of the checkpoint before it, where all others did. docs/format.md, "Key-use journal".
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { CHECKPOINT_OCTETS } from '../limits.ts';
import { associatedData } from '../seal/object.ts';

/** Where a journal ends: so many lines, of which the last has this SHA-256. */
export interface JournalEnd {
  readonly boot: string;
  readonly lines: number;
  readonly head: string;
  /** Nobody writes it any more. */
  readonly isEnded: boolean;
}

export interface Checkpoint {
  readonly seq: number;
  readonly at: string;
  /** SHA-256 of the line before, in hex. */
  readonly prev: string;
  readonly journals: readonly JournalEnd[];
  /** The raw public key, in hex. */
  readonly key: string;
}

/** The raw secret and public half of an Ed25519 key. */
export class CheckpointKey {
  readonly #key: KeyObject;
  /** In hex. */
  readonly publicKey: string;

  /** @param seed 32 octets; not kept. */
  constructor(seed: Uint8Array) {
    this.#key = createPrivateKey({
      key: Buffer.from(seed),
      format: 'raw-private',
      asymmetricKeyType: 'ed25519',
    });
    this.publicKey = createPublicKey(this.#key).export({ format: 'raw-public' }).toString('hex');
  }

  /** The signed line, without LF. */
  sign({ seq, at, prev, journals }: Omit<Checkpoint, 'key'>): string {
    const body = JSON.stringify({
      version: VERSION,
      seq,
      at,
      prev,
      journals: journals.map(({ boot, lines, head, isEnded }) => ({
        boot,
        lines,
        head,
        ended: isEnded || undefined,
      })),
      key: this.publicKey,
    });
    const signature = sign(null, signedOctets(body), this.#key).toString('hex');
    return `${body.slice(0, -1)},"signature":"${signature}"}`;
  }
}

const VERSION = 1;
const LINE = /^(\{.*),"signature":"([0-9a-f]{128})"\}$/;
const HASH = /^[0-9a-f]{64}$/;
const BOOT = /^[0-9a-z-]{1,64}$/;

/** @returns null when the line is no checkpoint of this version, or not signed by the key that it names. */
export function readCheckpoint(line: string): Checkpoint | null {
  const parts = line.length <= CHECKPOINT_OCTETS ? LINE.exec(line) : null;
  if (parts === null) return null;
  const [, start, signature] = parts;
  const body = `${start}}`;
  const checkpoint = parse(body);
  return checkpoint !== null && isSigned(body, checkpoint.key, signature!) ? checkpoint : null;
}

function parse(body: string): Checkpoint | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return null;
  }
  const { version, seq, at, prev, journals, key } = value;
  if (version !== VERSION || !isCount(seq) || !isTime(at) || !isHash(prev) || !isHash(key)) return null;
  if (!Array.isArray(journals)) return null;
  const ends = journals.map(parseEnd);
  return ends.includes(null) ? null : { seq, at, prev, journals: ends as JournalEnd[], key };
}

function parseEnd(value: unknown): JournalEnd | null {
  if (typeof value !== 'object' || value === null) return null;
  const { boot, lines, head, ended } = value as Record<string, unknown>;
  return typeof boot === 'string' && BOOT.test(boot) && isCount(lines) && isHash(head)
    ? { boot, lines, head, isEnded: ended === true }
    : null;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isHash = (value: unknown): value is string => typeof value === 'string' && HASH.test(value);
const isTime = (value: unknown): value is string =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value));

function isSigned(body: string, key: string, signature: string): boolean {
  try {
    return verify(null, signedOctets(body), publicKey(key), Buffer.from(signature, 'hex'));
  } catch {
    return false; // no point of the curve
  }
}

/** The last one is kept: a year's checkpoints are signed by one key, and to read it costs as much as to verify with it. */
function publicKey(hex: string): KeyObject {
  if (lastKey?.hex !== hex) {
    const key = Buffer.from(hex, 'hex');
    lastKey = { hex, key: createPublicKey({ key, format: 'raw-public', asymmetricKeyType: 'ed25519' }) };
  }
  return lastKey.key;
}

let lastKey: { readonly hex: string; readonly key: KeyObject } | null = null;

const signedOctets = (body: string): Buffer => associatedData(['letterlock/v1/use-checkpoint', body]);
