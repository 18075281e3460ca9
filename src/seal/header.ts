/**
 * The age v1 header: the C2SP age specification, "Header". Wraps a message's file key for its recipients; the MAC under
 * the file key binds the whole header, and nothing of it is believed before that MAC verifies.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { AGE_HEADER_OCTETS } from '../limits.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { HYBRID_TAG } from './hybrid.ts';
import { deriveKey, NO_OCTETS } from './primitives.ts';
import type { Identity, Recipient, Stanza } from './recipient.ts';
import { X25519_TAG } from './x25519.ts';

const VERSION_LINE = 'age-encryption.org/v1';
const STANZA_MARK = '-> ';
const MAC_MARK = '---';
const MAC_OCTETS = 32;
/** Columns of a stanza's body; the line that is shorter ends it. */
const COLUMNS = 64;
const ARGUMENT = /^[\x21-\x7e]+$/;

export interface Header {
  readonly stanzas: readonly Stanza[];
  /** What the MAC covers: all up to and including `---`. A view of the octets parsed. */
  readonly authenticated: Uint8Array;
  readonly mac: Buffer;
  /** Length of the whole header; the body follows in an age file. */
  readonly sizeOctets: number;
}

/**
 * @param fileKey 16 octets.
 * @param recipients At least one; all hybrid, or none.
 * @returns the whole header. The caller owns it.
 * @throws RangeError for no recipient, for recipients that must not be mixed, or for a header beyond
 *   AGE_HEADER_OCTETS: errors of the caller, not of its data.
 */
export function sealHeader(fileKey: Uint8Array, recipients: readonly Recipient[]): Buffer {
  let text = `${VERSION_LINE}\n`;
  const stanzas = recipients.map((recipient) => recipient.wrap(fileKey));
  if (stanzas.length === 0) throw new RangeError('An age header needs a recipient.');
  if (isMixed(stanzas)) throw new RangeError('Hybrid and X25519 recipients do not share a header.');
  for (const stanza of stanzas) text += printStanza(stanza);
  text += MAC_MARK;
  const mac = headerMac(fileKey, Buffer.from(text, 'latin1'));
  const header = Buffer.from(`${text} ${encodeBase64(mac)}\n`, 'latin1');
  if (header.length > AGE_HEADER_OCTETS) throw new RangeError('An age header would be too long.');
  return header;
}

/**
 * @param header The whole header and nothing after it.
 * @returns the 16-octet file key. The caller owns and zeroes it.
 * @throws IntegrityError 'seal-broken' when the header is malformed, changed, or not for this identity; 'format' when
 *   its version is not v1.
 */
export function openHeader(header: Uint8Array, identity: Identity): Buffer {
  const { stanzas, authenticated, mac, sizeOctets } = parseHeader(header);
  if (sizeOctets !== header.length) throw broken('is followed by other octets');
  // One X25519 stanza beside a hybrid one takes from the file the protection that its owner chose.
  if (isMixed(stanzas)) throw broken('mixes hybrid and X25519 recipients');
  for (const stanza of stanzas) {
    const fileKey = identity.unwrap(stanza);
    if (fileKey === null) continue;
    if (timingSafeEqual(headerMac(fileKey, authenticated), mac)) return fileKey;
    fileKey.fill(0);
    throw broken('was changed');
  }
  throw broken('is not for this identity');
}

/**
 * Parses the header that `octets` begins with, and trusts none of it.
 * @throws IntegrityError as openHeader does.
 */
export function parseHeader(octets: Uint8Array): Header {
  const bounded = Buffer.from(octets.buffer, octets.byteOffset, Math.min(octets.length, AGE_HEADER_OCTETS));
  const text = bounded.toString('latin1');
  let at = 0;
  const nextLine = (): string => {
    const end = text.indexOf('\n', at);
    if (end < 0) throw broken('has no end');
    const line = text.slice(at, end);
    at = end + 1;
    return line;
  };

  const version = nextLine();
  if (version !== VERSION_LINE) {
    if (!version.startsWith('age-encryption.org/')) throw broken('does not begin as one');
    throw new IntegrityError('format', 'An age header is of a version other than v1.');
  }
  const stanzas: Stanza[] = [];
  for (;;) {
    const lineStart = at;
    const line = nextLine();
    if (line.startsWith(STANZA_MARK)) {
      stanzas.push(parseStanza(line, nextLine));
    } else if (line.startsWith(`${MAC_MARK} `)) {
      const mac = decodeBase64(line.slice(MAC_MARK.length + 1));
      if (mac?.length !== MAC_OCTETS) throw broken('has a malformed MAC');
      if (stanzas.length === 0) throw broken('has no stanza');
      const authenticated = octets.subarray(0, lineStart + MAC_MARK.length);
      return { stanzas, authenticated, mac, sizeOctets: at };
    } else {
      throw broken('has a line that is neither stanza nor MAC');
    }
  }
}

function parseStanza(firstLine: string, nextLine: () => string): Stanza {
  const args = firstLine.slice(STANZA_MARK.length).split(' ');
  if (!args.every((arg) => ARGUMENT.test(arg))) throw broken('has a malformed argument');
  let encoded = '';
  for (;;) {
    const line = nextLine();
    if (line.length > COLUMNS) throw broken('has a line that is too long');
    encoded += line;
    if (line.length < COLUMNS) break;
  }
  const body = decodeBase64(encoded);
  if (body === null) throw broken('has a malformed stanza');
  return { args, body };
}

/** A body that fills its last line is followed by an empty one. */
const printStanza = ({ args, body }: Stanza): string =>
  `${STANZA_MARK}${args.join(' ')}\n${encodeBase64(body).replace(/.{64}/g, '$&\n')}\n`;

const isMixed = (stanzas: readonly Stanza[]): boolean =>
  [HYBRID_TAG, X25519_TAG].every((tag) => stanzas.some(({ args }) => args[0] === tag));

const headerMac = (fileKey: Uint8Array, authenticated: Uint8Array): Buffer =>
  createHmac('sha256', deriveKey(fileKey, NO_OCTETS, 'header'))
    .update(authenticated)
    .digest();

const broken = (what: string): IntegrityError => new IntegrityError('seal-broken', `An age header ${what}.`);
