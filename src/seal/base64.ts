/** RFC 4648 §4 without padding, canonical only (§3.5): the age specification's base64. */

export function encodeBase64(octets: Uint8Array): string {
  const text = Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('base64');
  const padding = text.indexOf('=');
  return padding < 0 ? text : text.slice(0, padding);
}

/**
 * @returns null for padding, other alphabets, white space, a lone last character or set trailing bits. A decoder that
 *   let any of these pass would give one stanza several spellings.
 */
export function decodeBase64(text: string): Buffer | null {
  const octets = Buffer.from(text, 'base64'); // takes nearly anything: what it took shows when printed again
  return encodeBase64(octets) === text ? octets : null;
}
