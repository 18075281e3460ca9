/** Octets to text, for any charset a message may name: the platform's decoders first, iconv-lite for the rest. */
import { isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { CHARSET_PORTION_OCTETS } from '../limits.ts';

const LF = 10;

type Decode = (octets: Buffer) => string;

/** RFC 2978 §2.3: charset names are at most 40 characters. */
const CHARSET_NAME = /^[\w.:()+-]{1,40}$/;
/** The platform's decoders by lower-case name. Their names are a fixed list; iconv-lite takes endless spellings. */
const decoders = new Map<string, Decode>();
const windows1252: Decode = platformDecoder('windows-1252')!;
const utf8: Decode = platformDecoder('utf-8')!;

/**
 * The text of `octets`. Never throws: what the charset does not define becomes U+FFFD. Octets without a charset, or of
 * an unknown one or US-ASCII, are read as UTF-8 if they are, else as windows-1252.
 */
export function decodeCharset(octets: Buffer, charset: string): string {
  return (decoderFor(charset.toLowerCase()) ?? guess)(octets);
}

/** The same in pieces: some of iconv-lite's decoders take a second for a megabyte. */
export function* charsetPieces(octets: Buffer, charset: string): Generator<string> {
  const name = charset.toLowerCase();
  if (octets.length <= CHARSET_PORTION_OCTETS || !isIconv(name)) {
    yield decodeCharset(octets, charset);
    return;
  }
  const decoder = iconv.getDecoder(name);
  for (let start = 0, end = 0; start < octets.length; start = end) {
    end = Math.min(start + CHARSET_PORTION_OCTETS, octets.length);
    // Behind a line, if there is one: its decoder of UTF-7 loses its place when a portion ends in base64.
    const line = octets.subarray(start, end).lastIndexOf(LF);
    if (end < octets.length && line >= 0) end = start + line + 1;
    yield decoder.write(octets.subarray(start, end));
  }
  yield decoder.end() ?? '';
}

/** Text whose charset is not declared. */
function guess(octets: Buffer): string {
  return isUtf8(octets) ? utf8(octets) : windows1252(octets);
}

const isDeclared = (name: string): boolean =>
  name !== '' && name !== 'us-ascii' && name !== 'ascii' && CHARSET_NAME.test(name);

/** Whether iconv-lite decodes it, since the platform does not. */
const isIconv = (name: string): boolean =>
  isDeclared(name) && decoderFor(name) !== null && !decoders.has(name);

function decoderFor(name: string): Decode | null {
  if (!isDeclared(name)) return null;
  const known = decoders.get(name);
  if (known !== undefined) return known;
  const decode = platformDecoder(name);
  if (decode === null) return iconvDecoder(name);
  decoders.set(name, decode);
  return decode;
}

function platformDecoder(name: string): Decode | null {
  try {
    const decoder = new TextDecoder(name);
    return (octets) => decoder.decode(octets);
  } catch {
    return null;
  }
}

function iconvDecoder(name: string): Decode | null {
  return iconv.encodingExists(name) ? (octets) => iconv.decode(octets, name) : null;
}
