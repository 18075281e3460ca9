/**
 * APPEND. RFC 9051 §6.3.12; several messages (MULTIAPPEND), RFC 3502; UTF8 data, RFC 6855 §4, which RFC 9755 has dropped
 * and clients still send. CATENATE is refused.
 */
import type { AppendCommand, AppendMessage, Literal } from './ast.ts';
import { parseDateTime } from './dates.ts';
import { flagList } from './flags.ts';
import { mailboxArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';

export function parseAppend(cursor: Cursor, tag: string, isUtf8: boolean): AppendCommand {
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  return { tag, name: 'APPEND', mailbox, messages: messages(cursor, isUtf8, null) };
}

/**
 * The APPEND so far, whose last message is the literal announced at the end of a command's prefix; or null when that
 * literal is the mailbox's name.
 */
export function parseAppendPrefix(
  cursor: Cursor,
  tag: string,
  isUtf8: boolean,
  sizeOctets: number,
): AppendCommand | null {
  cursor.space();
  if (cursor.isAtAnnouncedLiteral) return null;
  const mailbox = mailboxArgument(cursor, isUtf8);
  const announced: Literal = { kind: 'streamed', sizeOctets };
  return { tag, name: 'APPEND', mailbox, messages: messages(cursor, isUtf8, announced) };
}

/** @param announced What stands for the literal that is announced and did not come yet; null when all are there. */
function messages(cursor: Cursor, isUtf8: boolean, announced: Literal | null): AppendMessage[] {
  const found: AppendMessage[] = [];
  cursor.space();
  do {
    const next = message(cursor, isUtf8, announced);
    found.push(next);
    if (next.message === announced) break;
  } while (cursor.another());
  return found;
}

function message(cursor: Cursor, isUtf8: boolean, announced: Literal | null): AppendMessage {
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
  const isUtf8Data = cursor.peekKeyword() === 'UTF8';
  if (isUtf8Data) {
    if (!isUtf8) cursor.fail('UTF8 data is taken after ENABLE UTF8=ACCEPT only');
    cursor.take('UTF8');
    cursor.space();
    cursor.expect('(');
    // literal8: the message may hold NUL. It may in a plain literal, too.
    cursor.expect('~');
  }
  if (announced !== null && cursor.isAtAnnouncedLiteral) return { flags, internalDate, message: announced };
  const literal = cursor.literal('A message');
  if (isUtf8Data) cursor.expect(')');
  return { flags, internalDate, message: literal };
}
