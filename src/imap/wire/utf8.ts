/** UTF-8 octets, held as latin1 (one character an octet), to text and back. */

const ASCII = /^[\x00-\x7f]*$/;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns null when the octets are not UTF-8. `text` is latin1. */
export function decodeUtf8(text: string): string | null {
  if (ASCII.test(text)) return text;
  try {
    return utf8.decode(Buffer.from(text, 'latin1'));
  } catch {
    return null;
  }
}

/** The UTF-8 octets of Unicode text, as latin1; the inverse of decodeUtf8. */
export function encodeUtf8(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}
