/**
 * The digest of a message: what delivery learns while it has the clear octets, so that later reads need not parse
 * them again. Stored sealed beside the header (docs/format.md, "Digest"). Offsets and sizes refer to the sealed octets
 * (trace headers included).
 */

/** Written by this parser; a digest of another version is derived anew from the message. */
export const DIGEST_VERSION = 1;

/** One MIME entity, in depth-first order as BODYSTRUCTURE lists them. */
export interface DigestPart {
  /** RFC 9051 §6.4.5.1 section-part: '' for the message itself, '1', '2.1' ... */
  readonly section: string;
  /** 'type/subtype', lower case. */
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
