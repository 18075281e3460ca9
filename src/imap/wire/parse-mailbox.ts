/**
 * Commands on one mailbox name: SELECT, EXAMINE, CREATE, RENAME and those that take nothing else. RFC 9051 §6.3;
 * CONDSTORE and QRESYNC RFC 7162 §3.1.8, §3.2.5; USE RFC 6154 §3.
 */
import type { CreateCommand, MailboxCommand, QresyncParameter, RenameCommand, SelectCommand } from './ast.ts';
import { hasStar, lengthOf, type SequenceSet } from './sequence-set.ts';
import { mailboxArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';

const SPECIAL_USES: ReadonlyMap<string, string> = new Map(
  ['All', 'Archive', 'Drafts', 'Flagged', 'Junk', 'Sent', 'Trash'].map((use) => [
    use.toUpperCase(),
    `\\${use}`,
  ]),
);

export function parseSelect(
  cursor: Cursor,
  tag: string,
  name: SelectCommand['name'],
  isUtf8: boolean,
): SelectCommand {
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  let isCondstore = false;
  let qresyncParameter: QresyncParameter | null = null;
  if (!cursor.isAtEnd) {
    cursor.list('SELECT parameters', () => {
      const parameter = cursor.keyword('A SELECT parameter');
      if (parameter === 'CONDSTORE') {
        isCondstore = true;
      } else if (parameter === 'QRESYNC') {
        cursor.space();
        qresyncParameter = qresync(cursor);
      } else {
        cursor.fail('Unknown SELECT parameter');
      }
    });
    cursor.end();
  }
  return { tag, name, mailbox, isCondstore, qresync: qresyncParameter };
}

export function parseCreate(cursor: Cursor, tag: string, isUtf8: boolean): CreateCommand {
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  const specialUse: string[] = [];
  if (!cursor.isAtEnd) {
    cursor.list('CREATE parameters', () => {
      if (cursor.keyword('A CREATE parameter') !== 'USE') cursor.fail('Unknown CREATE parameter');
      cursor.space();
      specialUse.push(...cursor.list('Special uses', () => specialUseAttribute(cursor)));
    });
    cursor.end();
  }
  return { tag, name: 'CREATE', mailbox, specialUse: [...new Set(specialUse)] };
}

export function parseMailboxCommand(
  cursor: Cursor,
  tag: string,
  name: MailboxCommand['name'],
  isUtf8: boolean,
): MailboxCommand {
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  cursor.end();
  return { tag, name, mailbox };
}

export function parseRename(cursor: Cursor, tag: string, isUtf8: boolean): RenameCommand {
  cursor.space();
  const from = mailboxArgument(cursor, isUtf8);
  cursor.space();
  const to = mailboxArgument(cursor, isUtf8);
  cursor.end();
  return { tag, name: 'RENAME', from, to };
}

/** Unknown attributes are kept as sent: the answer to them is NO with USEATTR, not BAD (RFC 6154 §3). */
function specialUseAttribute(cursor: Cursor): string {
  cursor.expect('\\');
  const name = cursor.atom('A special use');
  return SPECIAL_USES.get(name.toUpperCase()) ?? `\\${name}`;
}

/** `(67890007 90060115194045000 41:211,214:541 (1:3 41,43,116))`; the last two are optional. */
function qresync(cursor: Cursor): QresyncParameter {
  cursor.expect('(');
  cursor.skipSpaces();
  const uidValidity = cursor.nonZero('UIDVALIDITY');
  cursor.space();
  const modSeq = cursor.number64('The modification sequence');
  cursor.skipSpaces();
  let knownUids: QresyncParameter['knownUids'] = null;
  let match: QresyncParameter['match'] = null;
  if (cursor.peek() !== ')' && cursor.peek() !== '(') {
    knownUids = setOfKnown(cursor);
    cursor.skipSpaces();
  }
  if (cursor.take('(')) {
    cursor.skipSpaces();
    const sequenceNumbers = setOfKnown(cursor);
    cursor.space();
    const uids = setOfKnown(cursor);
    if (lengthOf(uids) !== lengthOf(sequenceNumbers)) cursor.fail('Each message number needs its UID');
    match = { sequenceNumbers, uids };
    cursor.skipSpaces();
    cursor.expect(')');
    cursor.skipSpaces();
  }
  cursor.expect(')');
  return { uidValidity, modSeq, knownUids, match };
}

/** RFC 7162 §3.2.5: what a client knows has no `*` in it. */
function setOfKnown(cursor: Cursor): SequenceSet {
  const set = cursor.sequenceSet('A set of known numbers');
  return hasStar(set) ? cursor.fail('A set of known numbers holds "*"') : set;
}
