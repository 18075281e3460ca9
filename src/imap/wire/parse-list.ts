/** LIST, LSUB, XLIST and STATUS. RFC 9051 §6.3.9, §6.3.11; RFC 5258, RFC 5819, RFC 6154; LSUB RFC 3501 §6.3.9. */
import type {
  ListCommand,
  ListReturn,
  ListSelection,
  LsubCommand,
  StatusCommand,
  StatusItem,
} from './ast.ts';
import { mailboxArgument, patternArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';

const SELECTIONS: ReadonlySet<string> = new Set<ListSelection>([
  'SUBSCRIBED',
  'REMOTE',
  'RECURSIVEMATCH',
  'SPECIAL-USE',
]);
const RETURNS: ReadonlySet<string> = new Set<ListReturn>(['SUBSCRIBED', 'CHILDREN', 'SPECIAL-USE']);
const STATUS_ITEMS: ReadonlySet<string> = new Set<StatusItem>([
  'MESSAGES',
  'RECENT',
  'UIDNEXT',
  'UIDVALIDITY',
  'UNSEEN',
  'DELETED',
  'SIZE',
  'HIGHESTMODSEQ',
  'APPENDLIMIT',
  'MAILBOXID',
]);

export function parseList(cursor: Cursor, tag: string, isUtf8: boolean): ListCommand {
  cursor.space();
  let isExtended = false;
  let selection: ListSelection[] = [];
  if (cursor.peek() === '(') {
    isExtended = true;
    selection = oneEach(
      cursor.list('Selection options', () => oneOf<ListSelection>(cursor, SELECTIONS, 'selection option')),
    );
    // RFC 5258 §3.1: RECURSIVEMATCH needs something to match; REMOTE alone is nothing.
    if (
      selection.includes('RECURSIVEMATCH') &&
      !selection.some((o) => o === 'SUBSCRIBED' || o === 'SPECIAL-USE')
    ) {
      cursor.fail('RECURSIVEMATCH needs another selection option');
    }
    cursor.space();
  }
  const reference = mailboxArgument(cursor, isUtf8);
  cursor.space();
  const hasPatternList = cursor.peek() === '(';
  const patterns = hasPatternList
    ? cursor.list('Mailbox patterns', () => patternArgument(cursor, isUtf8))
    : [patternArgument(cursor, isUtf8)];
  if (patterns.length === 0) cursor.fail('A mailbox pattern is expected');
  if (hasPatternList) isExtended = true;
  let returns: ListReturn[] = [];
  let status: StatusItem[] | null = null;
  if (!cursor.isAtEnd) {
    isExtended = true;
    if (cursor.keyword('RETURN') !== 'RETURN') cursor.fail('RETURN is expected');
    cursor.space();
    cursor.list('RETURN options', () => {
      const option = cursor.keyword('A RETURN option');
      if (option === 'STATUS') {
        cursor.space();
        status = statusItems(cursor);
      } else if (RETURNS.has(option)) {
        returns.push(option as ListReturn);
      } else {
        cursor.fail('Unknown RETURN option');
      }
    });
    returns = oneEach(returns);
    cursor.end();
  }
  return { tag, name: 'LIST', reference, patterns, selection, returns, status, isExtended };
}

export function parseLsub(
  cursor: Cursor,
  tag: string,
  name: LsubCommand['name'],
  isUtf8: boolean,
): LsubCommand {
  cursor.space();
  const reference = mailboxArgument(cursor, isUtf8);
  cursor.space();
  const pattern = patternArgument(cursor, isUtf8);
  cursor.end();
  return { tag, name, reference, pattern };
}

export function parseStatus(cursor: Cursor, tag: string, isUtf8: boolean): StatusCommand {
  cursor.space();
  const mailbox = mailboxArgument(cursor, isUtf8);
  cursor.space();
  const items = statusItems(cursor);
  cursor.end();
  return { tag, name: 'STATUS', mailbox, items };
}

function statusItems(cursor: Cursor): StatusItem[] {
  const items = cursor.list('STATUS items', () => oneOf<StatusItem>(cursor, STATUS_ITEMS, 'STATUS item'));
  return items.length === 0 ? cursor.fail('The list of STATUS items is empty') : oneEach(items);
}

function oneOf<T extends string>(cursor: Cursor, known: ReadonlySet<string>, what: string): T {
  const word = cursor.keyword(`A ${what}`);
  return known.has(word) ? (word as T) : cursor.fail(`Unknown ${what}`);
}

function oneEach<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}
