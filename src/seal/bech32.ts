/**
 * Bech32 (BIP 173) as the age specification uses it: no bound of 90 characters, since an age1pq recipient has 1,959;
 * all lower or all upper case, the checksum always over the lower-case string.
 */
import { IntegrityError } from '../errors.ts';
import { BECH32_CHARACTERS } from '../limits.ts';

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const CHECKSUM_CHARACTERS = 6;

/** @param hrp Human-readable part in the case the result shall have. */
export function encodeBech32(hrp: string, octets: Uint8Array): string {
  const isUpperCase = hrp !== hrp.toLowerCase();
  const values = toQuintets(octets);
  const sum = polymod(hrp.toLowerCase(), values.concat(0, 0, 0, 0, 0, 0)) ^ 1;
  for (let i = 0; i < CHECKSUM_CHARACTERS; i++) values.push((sum >>> (5 * (5 - i))) & 31);
  let text = `${hrp.toLowerCase()}1`;
  for (const value of values) text += CHARSET[value];
  return isUpperCase ? text.toUpperCase() : text;
}

/**
 * @returns the human-readable part in the case it was written in, and the octets; the caller owns them.
 * @throws IntegrityError 'format'; the error never quotes the text, which may be a secret key.
 */
export function decodeBech32(text: string): { hrp: string; octets: Buffer } {
  if (text.length > BECH32_CHARACTERS) throw broken('is too long');
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase()) throw broken('mixes upper and lower case');
  const separator = lower.lastIndexOf('1');
  if (separator < 1 || lower.length - separator - 1 < CHECKSUM_CHARACTERS) throw broken('is too short');
  for (let i = 0; i < separator; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) throw broken('has a character that is not allowed');
  }
  const values: number[] = [];
  for (let i = separator + 1; i < lower.length; i++) {
    const value = CHARSET.indexOf(lower.charAt(i));
    if (value < 0) throw broken('has a character that is not allowed');
    values.push(value);
  }
  if (polymod(lower.slice(0, separator), values) !== 1) throw broken('has a wrong checksum');
  return { hrp: text.slice(0, separator), octets: fromQuintets(values.slice(0, -CHECKSUM_CHARACTERS)) };
}

function polymod(hrp: string, values: readonly number[]): number {
  let sum = 1;
  const add = (value: number): void => {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (let i = 0; i < GENERATORS.length; i++) if ((top >>> i) & 1) sum ^= GENERATORS[i]!;
  };
  for (let i = 0; i < hrp.length; i++) add(hrp.charCodeAt(i) >>> 5);
  add(0);
  for (let i = 0; i < hrp.length; i++) add(hrp.charCodeAt(i) & 31);
  for (const value of values) add(value);
  return sum;
}

function toQuintets(octets: Uint8Array): number[] {
  const values: number[] = [];
  let bits = 0;
  let held = 0;
  for (const octet of octets) {
    held = (held << 8) | octet;
    bits += 8;
    for (; bits >= 5; bits -= 5) values.push((held >>> (bits - 5)) & 31);
    held &= (1 << bits) - 1;
  }
  if (bits > 0) values.push((held << (5 - bits)) & 31);
  return values;
}

function fromQuintets(values: readonly number[]): Buffer {
  const octets = Buffer.alloc((values.length * 5) >>> 3);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const value of values) {
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets[at++] = held >>> bits;
      held &= (1 << bits) - 1;
    }
  }
  if (bits >= 5 || held !== 0) throw broken('has padding that is not canonical');
  return octets;
}

const broken = (what: string): IntegrityError => new IntegrityError('format', `A Bech32 key ${what}.`);
