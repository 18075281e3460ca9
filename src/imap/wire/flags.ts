/** Flags as arguments of STORE and APPEND. RFC 9051 §2.3.2, §9 `flag`. */
import { IMAP_LIST_ITEMS } from '../../limits.ts';
import type { Cursor } from './tokens.ts';

const SYSTEM_FLAGS: ReadonlyMap<string, string> = new Map(
  ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft'].map((flag) => [flag.toUpperCase(), flag]),
);

/** `flag-list`. Duplicates are dropped without regard to case, as flags compare that way. */
export function flagList(cursor: Cursor): string[] {
  return withoutDuplicates(cursor.list('Flags', () => flag(cursor)));
}

/** STORE's flags: a list, or flags side by side without parentheses, up to the end. */
export function storeFlags(cursor: Cursor): string[] {
  if (cursor.peek() === '(') return flagList(cursor);
  const flags = [flag(cursor)];
  while (!cursor.isAtEnd) {
    if (flags.length >= IMAP_LIST_ITEMS) cursor.fail('Too many flags', 'too-many');
    flags.push(flag(cursor));
  }
  return withoutDuplicates(flags);
}

/** A keyword as sent; a system flag in its canonical case. \Recent and what we do not know are refused, as Dovecot does. */
function flag(cursor: Cursor): string {
  if (!cursor.take('\\')) return cursor.atom('A flag');
  const name = cursor.keyword('A flag');
  return SYSTEM_FLAGS.get(`\\${name}`) ?? cursor.fail('Unknown system flag');
}

function withoutDuplicates(flags: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const name of flags) {
    const key = name.toUpperCase();
    if (!seen.has(key)) seen.set(key, name);
  }
  return [...seen.values()];
}
