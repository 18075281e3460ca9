/** Commands that name messages and change them: STORE, COPY, MOVE, UID EXPUNGE. RFC 9051 §6.4.6 to §6.4.9. */
import type { CopyCommand, ExpungeCommand, StoreCommand } from './ast.ts';
import { storeFlags } from './flags.ts';
import { mailboxArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';

const STORE_ITEM = /^([+-]?)FLAGS(\.SILENT)?$/;

/** RFC 9051 §6.4.6; UNCHANGEDSINCE RFC 7162 §3.1.3. */
export function parseStore(cursor: Cursor, tag: string, isUid: boolean): StoreCommand {
  cursor.space();
  const set = cursor.messageSet();
  cursor.space();
  let unchangedSince: number | null = null;
  if (cursor.peek() === '(') {
    cursor.list('STORE modifiers', () => {
      if (cursor.keyword('A STORE modifier') !== 'UNCHANGEDSINCE') cursor.fail('Unknown STORE modifier');
      cursor.space();
      unchangedSince = cursor.number64('UNCHANGEDSINCE');
    });
    cursor.space();
  }
  const item = STORE_ITEM.exec(cursor.keyword('FLAGS')) ?? cursor.fail('FLAGS, +FLAGS or -FLAGS is expected');
  cursor.space();
  const flags = storeFlags(cursor);
  cursor.end();
  const operation = item[1] === '+' ? 'add' : item[1] === '-' ? 'remove' : 'replace';
  return {
    tag,
    name: 'STORE',
    isUid,
    set,
    operation,
    isSilent: item[2] !== undefined,
    flags,
    unchangedSince,
  };
}

export function parseCopy(
  cursor: Cursor,
  tag: string,
  name: CopyCommand['name'],
  isUid: boolean,
  isUtf8: boolean,
): CopyCommand {
  cursor.space();
  const set = cursor.messageSet();
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  cursor.end();
  return { tag, name, isUid, set, mailbox };
}

/** EXPUNGE takes no arguments; UID EXPUNGE (RFC 4315 §2.1) takes UIDs. */
export function parseExpunge(cursor: Cursor, tag: string, isUid: boolean): ExpungeCommand {
  if (isUid) cursor.space();
  const set = isUid ? cursor.messageSet('A set of UIDs') : null;
  cursor.end();
  return { tag, name: 'EXPUNGE', set };
}
