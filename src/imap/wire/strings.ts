/** What a string argument means: text, base64, a mailbox's name. */
import type { MailboxName } from './ast.ts';
import { decodeModifiedUtf7 } from './modified-utf7.ts';
import type { Cursor } from './tokens.ts';
import { decodeUtf8 } from './utf8.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
// RFC 9051 §5.1 and RFC 5198 §2: no C0 or C1 control, DEL, line or paragraph separator in a name.
const NOT_IN_NAMES = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** @returns null unless it is base64 as RFC 4648 §4 has it, padding included. */
export function decodeBase64(text: string): Buffer | null {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : null;
}

/** `astring` of UTF-8: user names, passwords, quota roots. */
export function textArgument(cursor: Cursor, what: string): string {
  return decodeUtf8(cursor.astring(what)) ?? cursor.fail(`${what} is not valid UTF-8`);
}

/** `mailbox`. With `isUtf8` its octets are UTF-8 and "&" is no more than itself (RFC 9755 §3, RFC 9051 appendix A). */
export function mailboxArgument(cursor: Cursor, isUtf8: boolean): MailboxName {
  return mailboxName(cursor, cursor.astring('A mailbox name'), isUtf8);
}

/** The pattern of LIST and LSUB: wildcards are plain characters in both spellings. */
export function patternArgument(cursor: Cursor, isUtf8: boolean): MailboxName {
  return mailboxName(cursor, cursor.listMailbox('A mailbox pattern'), isUtf8);
}

function mailboxName(cursor: Cursor, raw: string, isUtf8: boolean): MailboxName {
  const name = isUtf8 ? decodeUtf8(raw) : decodeModifiedUtf7(raw);
  if (name === null) {
    return cursor.fail(
      `The mailbox name is not valid ${isUtf8 ? 'UTF-8' : 'modified UTF-7'}`,
      'mailbox-name',
    );
  }
  if (NOT_IN_NAMES.test(name))
    return cursor.fail('The mailbox name holds a control character', 'mailbox-name');
  // RFC 9051 §5.1: INBOX, in any case, is this user's primary mailbox.
  if (name.length === 5 && name.toUpperCase() === 'INBOX') return { name: 'INBOX', raw };
  // RFC 5198 §2. In both spellings: what one client made from decomposed letters, as Macs do, another must find.
  return { name: name.normalize('NFC'), raw };
}
