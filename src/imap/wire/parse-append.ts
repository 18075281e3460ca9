/** APPEND. RFC 9051 §6.3.12. One message: MULTIAPPEND (RFC 3502), CATENATE and UTF8 data are refused. */
import type { AppendCommand, Literal } from './ast.ts';
import { parseDateTime } from './dates.ts';
import { flagList } from './flags.ts';
import { mailboxArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';

export function parseAppend(cursor: Cursor, tag: string, isUtf8: boolean): AppendCommand {
  cursor.space();
  const head = appendHead(cursor, isUtf8);
  const message = cursor.literal('A message');
  if (!cursor.isAtEnd) cursor.fail('Only one message may be appended at a time');
  return { tag, name: 'APPEND', ...head, message };
}

/**
 * The APPEND whose message is the literal announced at the end of a command's prefix, or null when that literal is the
 * mailbox's name.
 */
export function parseAppendPrefix(
  cursor: Cursor,
  tag: string,
  isUtf8: boolean,
  sizeOctets: number,
): AppendCommand | null {
  cursor.space();
  if (cursor.isAtAnnouncedLiteral) return null;
  const head = appendHead(cursor, isUtf8);
  if (!cursor.isAtAnnouncedLiteral) {
    if (cursor.isAtLiteral) cursor.fail('Only one message may be appended at a time');
    cursor.fail('A message is expected as a literal');
  }
  const message: Literal = { kind: 'streamed', sizeOctets };
  return { tag, name: 'APPEND', ...head, message };
}

function appendHead(
  cursor: Cursor,
  isUtf8: boolean,
): Pick<AppendCommand, 'mailbox' | 'flags' | 'internalDate'> {
  const mailbox = mailboxArgument(cursor, isUtf8);
  cursor.space();
  let flags: string[] = [];
  if (cursor.peek() === '(') {
    flags = flagList(cursor);
    cursor.space();
  }
  let internalDate: Date | null = null;
  if (cursor.peek() === '"') {
    internalDate = parseDateTime(cursor.string('A date')) ?? cursor.fail('The date and time are not valid');
    cursor.space();
  }
  return { mailbox, flags, internalDate };
}
