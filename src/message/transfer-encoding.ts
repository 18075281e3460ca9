/** Content transfer encodings (RFC 2045 §6), undone tolerantly: what is no valid encoding stays or is passed over. */

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const EQUALS = 61;

/** The octets that `body` encodes; `body` itself for 7bit, 8bit, binary and what we do not know. */
export function decodeTransferEncoding(body: Buffer, encoding: string): Buffer {
  switch (encoding) {
    case 'base64':
      return Buffer.from(body.toString('latin1'), 'base64');
    case 'quoted-printable':
      return decodeQuotedPrintable(body);
    default:
      return body;
  }
}

/** RFC 2045 §6.7. An equals sign that begins neither an octet nor a soft line break stands for itself. */
export function decodeQuotedPrintable(body: Buffer): Buffer {
  const decoded = Buffer.allocUnsafe(body.length);
  let length = 0;
  let position = 0;
  while (position < body.length) {
    const next = body.indexOf(EQUALS, position);
    const end = next < 0 ? body.length : next;
    length += body.copy(decoded, length, position, end);
    position = end;
    while (body[position] === EQUALS) {
      const high = hexDigit(body[position + 1]);
      const low = hexDigit(body[position + 2]);
      const isOctet = high >= 0 && low >= 0;
      const afterBreak = isOctet ? -1 : softBreakEnd(body, position + 1);
      if (afterBreak >= 0) position = afterBreak;
      else {
        decoded[length++] = isOctet ? high * 16 + low : EQUALS;
        position += isOctet ? 3 : 1;
      }
    }
  }
  return decoded.subarray(0, length);
}

/** After the line end that follows, white space before it allowed; -1 when there is none. */
function softBreakEnd(body: Buffer, start: number): number {
  let end = start;
  while (body[end] === SPACE || body[end] === TAB) end++;
  if (body[end] === CR && body[end + 1] === LF) return end + 2;
  return body[end] === LF || end === body.length ? Math.min(end + 1, body.length) : -1;
}

function hexDigit(octet: number | undefined): number {
  if (octet === undefined) return -1;
  if (octet >= 48 && octet <= 57) return octet - 48;
  const letter = octet | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
