/**
 * Pieces of responses as wire text: strings, mailbox names, flags, status responses. RFC 9051 §7 and §9.
 *
 * Wire text is latin1, one character an octet, so that it can be joined cheaply and turned into octets once
 * (ResponseWriter). NUL, which no string may hold (RFC 9051 §9, CHAR8), is printed as U+FFFD here; message octets go
 * through ResponseWriter.literal, which changes nothing.
 */
import { encodeModifiedUtf7 } from './modified-utf7.ts';
import { encodeUtf8 } from './utf8.ts';

export { printDateTime } from './dates.ts';
export { ResponseWriter } from './response-writer.ts';
export { printBodySectionName, printSection } from './section.ts';
export { printSequenceSet } from './sequence-set.ts';

// ASTRING-CHAR; not `NIL` in any case, which some clients read as no string at all.
const ATOM = /^(?!nil$)[^\x00-\x20\x7f-\uffff(){%*"\\]+$/i;
const QUOTABLE = /^[\x01-\x09\x0b\x0c\x0e-\x7f]*$/;
const QUOTABLE_UTF8 = /^[\x01-\x09\x0b\x0c\x0e-\xff]*$/;
/** Longer strings become literals: some clients read quoted strings into buffers of a line. */
const QUOTED_OCTETS = 1_000;

/** `astring`: an atom, else as printString. */
export function printAstring(text: string, isUtf8 = false): string {
  return ATOM.test(text) && text.length <= QUOTED_OCTETS ? text : printString(text, isUtf8);
}

/**
 * `string`: quoted, or a literal when it is long or holds CR, LF or 8-bit octets.
 * @param isUtf8 The client takes UTF-8 in quoted strings (RFC 9755 §3).
 */
export function printString(text: string, isUtf8 = false): string {
  const octets = encodeUtf8(text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text);
  if (octets.length <= QUOTED_OCTETS && (isUtf8 ? QUOTABLE_UTF8 : QUOTABLE).test(octets)) {
    return `"${octets.replace(/["\\]/g, '\\$&')}"`;
  }
  return `{${octets.length}}\r\n${octets}`;
}

/** `nstring`: NIL for null. */
export function printNstring(text: string | null, isUtf8 = false): string {
  return text === null ? 'NIL' : printString(text, isUtf8);
}

/** `mailbox`, from a decoded name: modified UTF-7 unless `isUtf8`. */
export function printMailbox(name: string, isUtf8: boolean): string {
  return isUtf8 ? printAstring(name, true) : printAstring(encodeModifiedUtf7(name));
}

/** `(\Seen $Forwarded)`. */
export function printFlagList(flags: readonly string[]): string {
  return `(${flags.join(' ')})`;
}

export type StatusCondition = 'OK' | 'NO' | 'BAD' | 'BYE' | 'PREAUTH';

/**
 * `A1 OK [READ-WRITE] Done.\r\n`.
 * @param tag Null for an untagged response.
 * @param text For people. What the grammar forbids in it (CR, LF, NUL, 8-bit) becomes "?"; it is never empty on the wire.
 * @param code Response code without brackets (response-code.ts).
 */
export function printStatusResponse(
  tag: string | null,
  condition: StatusCondition,
  text: string,
  code?: string,
): string {
  return `${tag ?? '*'} ${condition} ${code === undefined ? '' : `[${code}] `}${humanText(text)}\r\n`;
}

/** `+ text\r\n`: a command continuation request. For SASL, `text` is base64, and may be empty. */
export function printContinuation(text: string): string {
  return `+ ${text}\r\n`;
}

function humanText(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, '?');
  // A leading bracket would read as a response code.
  return clean === '' ? '-' : clean.replace(/^\[/, '(');
}
