/** Octets to text, for any charset a message may name: the platform's decoders first, iconv-lite for the rest. */
import { isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';

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

/** Text whose charset is not declared. */
function guess(octets: Buffer): string {
  return isUtf8(octets) ? utf8(octets) : windows1252(octets);
}

function decoderFor(name: string): Decode | null {
  if (name === '' || name === 'us-ascii' || name === 'ascii' || !CHARSET_NAME.test(name)) return null;
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
