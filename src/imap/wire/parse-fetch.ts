/**
 * FETCH and UID FETCH, and UIDBATCHES, which prepares them. RFC 9051 §6.4.5, §9 `fetch`; modifiers RFC 7162 §3.1.4, §3.2.6, RFC 9394 §3.3; items RFC 8474 §5, RFC 8514 §3,
 * RFC 8970 §3.
 */
import type { BodySectionItem, FetchCommand, FetchItem, Partial, Section, UidBatchesCommand } from './ast.ts';
import { type PartialRange, partialRange } from './partial-range.ts';
import { printBodySectionName } from './section.ts';
import type { Cursor } from './tokens.ts';

const FAST = ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'] as const;
const ALL = [...FAST, 'ENVELOPE'] as const;
const MACROS: ReadonlyMap<string, readonly PlainItem[]> = new Map<string, readonly PlainItem[]>([
  ['ALL', ALL],
  ['FAST', FAST],
  ['FULL', [...ALL, 'BODY']],
]);

type PlainItem = Exclude<FetchItem['item'], 'BODY[]'>;
const PLAIN_ITEMS: ReadonlySet<string> = new Set<PlainItem>([
  'FLAGS',
  'UID',
  'INTERNALDATE',
  'ENVELOPE',
  'BODY',
  'BODYSTRUCTURE',
  'RFC822',
  'RFC822.SIZE',
  'RFC822.HEADER',
  'RFC822.TEXT',
  'MODSEQ',
  'EMAILID',
  'THREADID',
  'SAVEDATE',
  'PREVIEW',
]);

// RFC 5322 §3.6.8 ftext. What the client asks for is printed back inside the response item's name.
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;

export function parseFetch(cursor: Cursor, tag: string, isUid: boolean): FetchCommand {
  cursor.space();
  const set = cursor.messageSet();
  cursor.space();
  const items = fetchItems(cursor);
  let changedSince: number | null = null;
  let isVanished = false;
  let page: PartialRange | null = null;
  if (!cursor.isAtEnd) {
    cursor.list('FETCH modifiers', () => {
      const modifier = cursor.keyword('A FETCH modifier');
      if (modifier === 'CHANGEDSINCE') {
        cursor.space();
        changedSince = cursor.number64('CHANGEDSINCE');
      } else if (modifier === 'VANISHED') {
        isVanished = true;
      } else if (modifier === 'PARTIAL' && isUid && page === null) {
        cursor.space();
        page = partialRange(cursor);
      } else {
        cursor.fail('Unknown FETCH modifier');
      }
    });
    cursor.end();
  }
  return { tag, name: 'FETCH', isUid, set, items, changedSince, isVanished, partial: page };
}

/** RFC 10022 §3.1: `UIDBATCHES 2000 10:20`. */
export function parseUidBatches(cursor: Cursor, tag: string): UidBatchesCommand {
  cursor.space();
  const size = cursor.nonZero('The size of a batch');
  if (cursor.isAtEnd) return { tag, name: 'UIDBATCHES', size, batches: null };
  const from = cursor.nonZero('A batch');
  cursor.expect(':');
  const to = cursor.nonZero('A batch');
  cursor.end();
  return { tag, name: 'UIDBATCHES', size, batches: { from, to } };
}

function fetchItems(cursor: Cursor): FetchItem[] {
  if (cursor.peek() === '(') {
    const items = cursor.list('FETCH items', () => fetchItem(cursor, cursor.itemName('A FETCH item')));
    if (items.length === 0) cursor.fail('The list of FETCH items is empty');
    return withoutDuplicates(items);
  }
  const name = cursor.itemName('A FETCH item');
  return MACROS.get(name)?.map((item) => ({ item })) ?? [fetchItem(cursor, name)];
}

function fetchItem(cursor: Cursor, name: string): FetchItem {
  if ((name === 'BODY' || name === 'BODY.PEEK') && cursor.take('[')) {
    const parsed = section(cursor);
    cursor.expect(']');
    return { item: 'BODY[]', section: parsed, partial: partial(cursor), isPeek: name === 'BODY.PEEK' };
  }
  if (!PLAIN_ITEMS.has(name)) cursor.fail('Unknown FETCH item');
  // The only modifier there is; what else stands in parentheses are FETCH modifiers.
  if (name === 'PREVIEW') cursor.take(' (LAZY)');
  return { item: name as PlainItem };
}

/** `section-spec`, empty too: part numbers, then a name that not every part may have. */
function section(cursor: Cursor): Section {
  if (cursor.peek() === ']') return { part: '', text: null, fields: [] };
  const match = /^((?:[1-9][0-9]{0,9}(?:\.|$))*)(.*)$/s.exec(cursor.itemName('A section'))!;
  const isPartOnly = match[2] === '' && match[1] !== '' && !match[1]!.endsWith('.');
  if (isPartOnly) return { part: match[1]!, text: null, fields: [] };
  const part = match[1]!.replace(/\.$/, '');
  const text = match[2]!;
  switch (text) {
    case 'HEADER':
    case 'TEXT':
      return { part, text, fields: [] };
    case 'MIME':
      // RFC 9051 §6.4.5.1: the message itself has no MIME header of its own.
      if (part !== '') return { part, text, fields: [] };
      break;
    case 'HEADER.FIELDS':
    case 'HEADER.FIELDS.NOT': {
      cursor.space();
      const fields = cursor.list('Header field names', () => fieldName(cursor));
      cursor.skipSpaces();
      if (fields.length > 0) return { part, text, fields };
      break;
    }
  }
  return cursor.fail('The section is not valid');
}

function fieldName(cursor: Cursor): string {
  const name = cursor.astring('A header field name');
  return FIELD_NAME.test(name) ? name : cursor.fail('A header field name is not valid');
}

function partial(cursor: Cursor): Partial | null {
  if (!cursor.take('<')) return null;
  const offset = cursor.number64('The offset');
  cursor.expect('.');
  const length = cursor.number64('The length');
  cursor.expect('>');
  return length === 0 ? cursor.fail('The length must not be zero') : { offset, length };
}

/** An item asked for twice is answered once; of BODY[x] and BODY.PEEK[x] the first to come stays, with \Seen if any. */
function withoutDuplicates(items: readonly FetchItem[]): FetchItem[] {
  if (items.length < 2) return [...items];
  const byName = new Map<string, FetchItem>();
  for (const item of items) {
    const name = item.item === 'BODY[]' ? requestName(item) : item.item;
    const before = byName.get(name);
    if (before === undefined) byName.set(name, item);
    else if (before.item === 'BODY[]' && item.item === 'BODY[]' && before.isPeek) byName.set(name, item);
  }
  return [...byName.values()];
}

/** As printed back, with the length, which the response's name lacks. */
function requestName(item: BodySectionItem): string {
  return `${printBodySectionName(item)}${item.partial?.length ?? ''}`;
}
