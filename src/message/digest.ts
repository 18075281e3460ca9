/**
 * The digest of a message: what delivery learns while it has the clear octets, so that later reads need not parse
 * them again. Stored sealed beside the header (docs/format.md, "Digest"). Offsets and sizes refer to the sealed octets
 * (trace headers included).
 */
import { IntegrityError } from '../errors.ts';

/** Written by this parser; a digest of another version is derived anew from the message. */
export const DIGEST_VERSION = 1;

/** One MIME entity, in depth-first order as BODYSTRUCTURE lists them. */
export interface DigestPart {
  /**
   * RFC 9051 §6.4.5.1 section-part: '' for the message itself, '1', '2.1' ... The message embedded in a message/rfc822
   * part '2' is an entity of its own, '2.': what precedes the numbers of its parts. Each entity is listed once, so
   * section '1' of a message that is not multipart is the entity '' (section.ts resolves that).
   */
  readonly section: string;
  /**
   * 'type/subtype', lower case. 'multipart/...', 'message/rfc822' and 'message/global' only where the reader went inside;
   * one it did not (no boundary, nested too deeply) is 'application/octet-stream'.
   */
  readonly mediaType: string;
  /** Charset of text parts as written, lower case; '' when absent. */
  readonly charset: string;
  /** Content-Transfer-Encoding, lower case; '7bit' when absent. */
  readonly encoding: string;
  /** Octets [headerStart, bodyStart) are the entity's header, the empty line included; [bodyStart, end) its body. */
  readonly headerStart: number;
  readonly bodyStart: number;
  readonly end: number;
}

export interface Digest {
  readonly version: number;
  readonly sizeOctets: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Octets of the IMAP ENVELOPE value, parentheses included (RFC 9051 §7.5.2), as latin1 text. */
  readonly envelope: string;
  /** Octets of the IMAP BODYSTRUCTURE value with extension data, as latin1 text. */
  readonly bodyStructure: string;
  /** The same without extension data (BODY). */
  readonly body: string;
  readonly parts: readonly DigestPart[];
  /** Sealed length of each zstd frame (before age); every frame but the last holds FRAME_OCTETS clear octets. */
  readonly frames: readonly number[];
  /** First text of the message, at most 200 characters, white space folded; '' when there is none. */
  readonly preview: string;
}

/**
 * A digest as the octets that are sealed: a JSON array, version first, the rest in the order of the interface; parts as
 * one flat array.
 */
export function encodeDigest(digest: Digest): Buffer {
  const parts: (string | number)[] = [];
  for (const part of digest.parts) {
    parts.push(part.section, part.mediaType, part.charset, part.encoding);
    parts.push(part.headerStart, part.bodyStart, part.end);
  }
  const { version, sizeOctets, sha256, envelope, bodyStructure, body, frames, preview } = digest;
  return Buffer.from(
    JSON.stringify([version, sizeOctets, sha256, envelope, bodyStructure, body, parts, frames, preview]),
  );
}

/** @throws IntegrityError 'format' when the octets are no digest of this version. */
export function decodeDigest(octets: Buffer): Digest {
  const fields = parseFields(octets);
  const [version, sizeOctets, sha256, envelope, bodyStructure, body, parts, frames, preview] = fields;
  if (version !== DIGEST_VERSION || fields.length !== 9) throw malformed();
  return {
    version,
    sizeOctets: whole(sizeOctets),
    sha256: text(sha256),
    envelope: imapValue(envelope),
    bodyStructure: imapValue(bodyStructure),
    body: imapValue(body),
    parts: decodeParts(parts),
    frames: list(frames).map(whole),
    preview: text(preview),
  };
}

const FIELDS_OF_A_PART = 7;

function decodeParts(value: unknown): DigestPart[] {
  const flat = list(value);
  if (flat.length % FIELDS_OF_A_PART !== 0) throw malformed();
  const parts: DigestPart[] = [];
  for (let at = 0; at < flat.length; at += FIELDS_OF_A_PART) {
    parts.push({
      section: text(flat[at]),
      mediaType: text(flat[at + 1]),
      charset: text(flat[at + 2]),
      encoding: text(flat[at + 3]),
      headerStart: whole(flat[at + 4]),
      bodyStart: whole(flat[at + 5]),
      end: whole(flat[at + 6]),
    });
  }
  // The message itself: every reader begins there.
  if (parts[0]?.section !== '') throw malformed();
  return parts;
}

function parseFields(octets: Buffer): readonly unknown[] {
  try {
    return list(JSON.parse(octets.toString('utf8')));
  } catch {
    throw malformed();
  }
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed();
  return value;
}

/**
 * Octets that go to clients as they are. Whoever can write the disk can plant a message, since its recipient is public:
 * a line end outside a literal would let him speak to the client in the server's name.
 */
function imapValue(value: unknown): string {
  const octets = text(value);
  for (let at = octets.search(/[\r\n]/); at !== -1; ) {
    const literal = /\{(\d{1,9})\}$/.exec(octets.slice(Math.max(0, at - 11), at));
    if (literal === null || octets[at] !== '\r' || octets[at + 1] !== '\n') throw malformed();
    const end = at + 2 + Number(literal[1]);
    if (end > octets.length) throw malformed();
    const next = octets.slice(end).search(/[\r\n]/);
    at = next === -1 ? -1 : end + next;
  }
  return octets;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed();
  return value;
}

function whole(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed();
  return value as number;
}

/** Without the JSON error as its cause: that one quotes the text it met. */
function malformed(): IntegrityError {
  return new IntegrityError('format', 'A stored digest cannot be read.');
}
