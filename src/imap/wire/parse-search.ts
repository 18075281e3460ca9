/**
 * SEARCH and SORT, by UID too. RFC 9051 §6.4.4, §9 `search`; RFC 5256 §5 `sort`; RETURN RFC 4731, RFC 5182, RFC 9394; MODSEQ RFC 7162 §3.1.5; keys RFC 5032,
 * RFC 8474 §6, RFC 8514 §4.
 */
import { IMAP_SEARCH_DEPTH, IMAP_SEARCH_KEYS } from '../../limits.ts';
import type { SearchCommand, SearchKey, SearchReturn, SortCommand, SortCriterion, SortKey } from './ast.ts';
import { parseDate } from './dates.ts';
import { type PartialRange, partialRange } from './partial-range.ts';
import type { Cursor } from './tokens.ts';
import { decodeUtf8 } from './utf8.ts';

const RETURNS: ReadonlySet<string> = new Set<SearchReturn>(['MIN', 'MAX', 'ALL', 'COUNT', 'SAVE', 'PARTIAL']);
const SORT_KEYS: ReadonlySet<string> = new Set<SortKey>([
  'ARRIVAL',
  'CC',
  'DATE',
  'FROM',
  'SIZE',
  'SUBJECT',
  'TO',
  'DISPLAYFROM',
  'DISPLAYTO',
]);
// RFC 9051 §6.4.4: US-ASCII and UTF-8 are what a server must know. All ASCII is UTF-8.
const CHARSETS: ReadonlySet<string> = new Set(['UTF-8', 'UTF8', 'US-ASCII', 'ASCII']);

const flagKey = (flag: string, isSet: boolean): SearchKey => ({ key: 'FLAG', flag, isSet });

const FLAG_KEYS: ReadonlyMap<string, SearchKey> = new Map<string, SearchKey>([
  ['ANSWERED', flagKey('\\Answered', true)],
  ['DELETED', flagKey('\\Deleted', true)],
  ['DRAFT', flagKey('\\Draft', true)],
  ['FLAGGED', flagKey('\\Flagged', true)],
  ['SEEN', flagKey('\\Seen', true)],
  ['RECENT', flagKey('\\Recent', true)],
  ['UNANSWERED', flagKey('\\Answered', false)],
  ['UNDELETED', flagKey('\\Deleted', false)],
  ['UNDRAFT', flagKey('\\Draft', false)],
  ['UNFLAGGED', flagKey('\\Flagged', false)],
  ['UNSEEN', flagKey('\\Seen', false)],
  // RFC 3501 §6.4.4.
  ['OLD', flagKey('\\Recent', false)],
  ['NEW', { key: 'AND', keys: [flagKey('\\Recent', true), flagKey('\\Seen', false)] }],
  ['ALL', { key: 'ALL' }],
  // RFC 8514 §4.4: every message has a save date.
  ['SAVEDATESUPPORTED', { key: 'ALL' }],
]);

export function parseSearch(cursor: Cursor, tag: string, isUid: boolean, isUtf8: boolean): SearchCommand {
  cursor.space();
  const { returns, partial } = searchReturns(cursor);
  if (cursor.peekKeyword() === 'CHARSET') {
    // RFC 9755 §3: everything is UTF-8 then, and a second word on it could only contradict.
    if (isUtf8) cursor.fail('CHARSET is not allowed after ENABLE UTF8=ACCEPT');
    cursor.take('CHARSET');
    cursor.space();
    charset(cursor);
    cursor.space();
  }
  return { tag, name: 'SEARCH', isUid, returns, partial, key: searchKeys(cursor) };
}

/** `SORT (REVERSE DATE SUBJECT) UTF-8 ALL`. */
export function parseSort(cursor: Cursor, tag: string, isUid: boolean): SortCommand {
  cursor.space();
  const { returns, partial } = searchReturns(cursor);
  const criteria = cursor.list('Sort criteria', () => sortCriterion(cursor));
  if (criteria.length === 0) cursor.fail('The list of sort criteria is empty');
  cursor.space();
  charset(cursor);
  cursor.space();
  return { tag, name: 'SORT', isUid, returns, partial, criteria, key: searchKeys(cursor) };
}

function sortCriterion(cursor: Cursor): SortCriterion {
  const isReverse = cursor.peekKeyword() === 'REVERSE';
  if (isReverse) {
    cursor.take('REVERSE');
    cursor.space();
  }
  const key = cursor.keyword('A sort key');
  return SORT_KEYS.has(key) ? { key: key as SortKey, isReverse } : cursor.fail('Unknown sort key');
}

function charset(cursor: Cursor): void {
  if (!CHARSETS.has(cursor.astring('A charset').toUpperCase())) {
    cursor.fail('The charset is not supported', 'badcharset');
  }
}

/** All keys up to the end, which is one AND. */
function searchKeys(cursor: Cursor): SearchKey {
  const parser = new SearchParser(cursor);
  const keys = [parser.key(0)];
  while (!cursor.isAtEnd) keys.push(parser.key(0));
  return conjunction(keys);
}

function searchReturns(cursor: Cursor): Pick<SearchCommand, 'returns' | 'partial'> {
  if (cursor.peekKeyword() !== 'RETURN') return { returns: null, partial: null };
  cursor.take('RETURN');
  cursor.space();
  let partial: PartialRange | null = null;
  const options = cursor.list('RETURN options', () => {
    const option = cursor.keyword('A RETURN option');
    if (option === 'PARTIAL') {
      if (partial !== null) cursor.fail('PARTIAL is given twice');
      cursor.space();
      partial = partialRange(cursor);
    }
    return RETURNS.has(option) ? (option as SearchReturn) : cursor.fail('Unknown RETURN option');
  });
  cursor.space();
  // RFC 9394 §3.1: a page, or all.
  if (partial !== null && options.includes('ALL')) cursor.fail('PARTIAL and ALL exclude each other');
  return { returns: options.length === 0 ? ['ALL'] : [...new Set(options)], partial };
}

function conjunction(keys: readonly SearchKey[]): SearchKey {
  return keys.length === 1 ? keys[0]! : { key: 'AND', keys };
}

class SearchParser {
  readonly #cursor: Cursor;
  #count = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  /** One key, with those inside it. @throws CommandError 'too-many' beyond the limits of depth and number. */
  key(depth: number): SearchKey {
    const cursor = this.#cursor;
    this.#count += 1;
    if (depth > IMAP_SEARCH_DEPTH) cursor.fail('Search keys are nested too deeply', 'too-many');
    if (this.#count > IMAP_SEARCH_KEYS) cursor.fail('Too many search keys', 'too-many');
    const next = cursor.peek();
    if (next === '(') {
      const keys = cursor.list('Search keys', () => this.key(depth + 1));
      return keys.length === 0 ? cursor.fail('A list of search keys is empty') : conjunction(keys);
    }
    if (next === '*' || next === '$' || (next >= '0' && next <= '9')) {
      return { key: 'SEQUENCE', set: cursor.messageSet() };
    }
    const name = cursor.keyword('A search key');
    const flag = FLAG_KEYS.get(name);
    if (flag !== undefined) return flag;
    cursor.space();
    return this.#withArgument(name, depth);
  }

  #withArgument(name: string, depth: number): SearchKey {
    const cursor = this.#cursor;
    switch (name) {
      case 'NOT':
        return { key: 'NOT', operand: this.key(depth + 1) };
      case 'OR': {
        const left = this.key(depth + 1);
        cursor.space();
        return { key: 'OR', left, right: this.key(depth + 1) };
      }
      case 'UID':
        return { key: 'UID', set: cursor.messageSet('A set of UIDs') };
      case 'BCC':
      case 'CC':
      case 'FROM':
      case 'SUBJECT':
      case 'TO':
      case 'BODY':
      case 'TEXT':
        return { key: name, text: this.#text() };
      case 'HEADER': {
        const field = this.#text();
        cursor.space();
        return { key: name, field, text: this.#text() };
      }
      case 'KEYWORD':
      case 'UNKEYWORD':
        return flagKey(cursor.atom('A keyword'), name === 'KEYWORD');
      case 'LARGER':
      case 'SMALLER':
        return { key: name, sizeOctets: cursor.number64(name) };
      case 'BEFORE':
      case 'ON':
      case 'SINCE':
      case 'SENTBEFORE':
      case 'SENTON':
      case 'SENTSINCE':
      case 'SAVEDBEFORE':
      case 'SAVEDON':
      case 'SAVEDSINCE':
        return {
          key: name,
          day: parseDate(cursor.astring('A date')) ?? cursor.fail('The date is not valid'),
        };
      case 'OLDER':
      case 'YOUNGER':
        return { key: name, seconds: cursor.nonZero(name) };
      case 'EMAILID':
      case 'THREADID':
        return { key: name, id: cursor.astring('An object id') };
      case 'MODSEQ':
        return { key: name, modSeq: this.#modSeq() };
      default:
        return cursor.fail('Unknown search key');
    }
  }

  #text(): string {
    const text = decodeUtf8(this.#cursor.astring('A search text'));
    return text ?? this.#cursor.fail('A search text is not valid UTF-8', 'badcharset');
  }

  /** `MODSEQ ["/flags/\\draft" all] 720162338`. All flags share one modseq here, so the entry changes nothing. */
  #modSeq(): number {
    const cursor = this.#cursor;
    if (cursor.peek() === '"') {
      cursor.string('An entry name');
      cursor.space();
      if (!['PRIV', 'SHARED', 'ALL'].includes(cursor.keyword('An entry type'))) {
        cursor.fail('Unknown entry type');
      }
      cursor.space();
    }
    return cursor.number64('MODSEQ');
  }
}
