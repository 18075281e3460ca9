/** What framing needs to know of a line's text: its tag, and whether a literal follows. RFC 9051 §9, RFC 7888 §8. */

export interface LiteralMarker {
  readonly sizeOctets: number;
  /** `{n+}`: the client does not wait for "+". */
  readonly isNonSync: boolean;
}

// number64 has at most 20 digits; more is no size of anything, and such a line is a syntax error without a literal.
const MARKER = /\{([0-9]{1,20})(\+?)\}$/;
// RFC 9051 `tag`: ASTRING-CHAR without "+". 8-bit and control octets are none. 64 is far more than any client sends.
const TAG = /^([^\x00-\x20\x7f-\uffff(){%*"\\+]{1,64})(?: |$)/;

/** The literal that a line announces at its end, or null. A size too large for a number is Infinity. */
export function trailingLiteral(line: string): LiteralMarker | null {
  const match = MARKER.exec(line.length > 32 ? line.slice(-32) : line);
  if (match === null) return null;
  const size = Number(match[1]);
  return { sizeOctets: Number.isSafeInteger(size) ? size : Infinity, isNonSync: match[2] === '+' };
}

/** The tag at the start of a command's first line, or null when there is no valid one. */
export function leadingTag(line: string): string | null {
  return TAG.exec(line)?.[1] ?? null;
}
