/** The strings of IMAP responses (RFC 9051 §4.3), as latin1 text: one character an octet. */
import { QUOTED_STRING_OCTETS } from '../limits.ts';

/**
 * A value as nstring: NIL, a quoted string, or a literal where it has 8-bit octets, CR or LF, or is long. NUL, which
 * neither form allows, becomes octet 80, as Dovecot does it.
 */
export function nstring(value: string | null): string {
  if (value === null) return 'NIL';
  if (value.length <= QUOTED_STRING_OCTETS) {
    if (PLAIN.test(value)) return `"${value}"`;
    if (QUOTABLE.test(value)) return `"${value.replace(/["\\]/g, '\\$&')}"`;
  }
  return `{${value.length}}\r\n${value.replaceAll('\0', '\x80')}`;
}

/** Neither quoted-specials nor what needs a literal. */
const PLAIN = /^[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*$/;
const QUOTABLE = /^[\x01-\x09\x0b\x0c\x0e-\x7f]*$/;
