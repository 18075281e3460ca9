/**
 * From a framed command to a typed one. RFC 9051 §6 and §9. Whether a command is allowed in the session's state is not
 * asked here; the grammar of one file a family of commands is in parse-*.ts.
 */
import type { AppendCommand, BareCommand, Command } from './ast.ts';
import { CommandError } from './command-error.ts';
import { leadingTag, trailingLiteral } from './literal-marker.ts';
import {
  parseAuthenticate,
  parseCompress,
  parseEnable,
  parseGetQuota,
  parseId,
  parseLogin,
  parseSetQuota,
} from './parse-account.ts';
import { parseAppend, parseAppendPrefix } from './parse-append.ts';
import { parseFetch, parseUidBatches } from './parse-fetch.ts';
import { parseList, parseLsub, parseStatus } from './parse-list.ts';
import { parseCreate, parseMailboxCommand, parseRename, parseSelect } from './parse-mailbox.ts';
import { parseSearch, parseSort } from './parse-search.ts';
import { parseCopy, parseExpunge, parseStore } from './parse-store.ts';
import type { FramedCommand } from './reader.ts';
import { Cursor } from './tokens.ts';

export { CommandError } from './command-error.ts';

export interface ParserOptions {
  /** After ENABLE of UTF8=ACCEPT (or IMAP4rev2): mailbox names are UTF-8 instead of modified UTF-7. */
  readonly isUtf8: boolean;
}

type Parse = (cursor: Cursor, tag: string, options: ParserOptions) => Command;

const bare =
  (name: BareCommand['name']): Parse =>
  (cursor, tag) => {
    cursor.end();
    return { tag, name };
  };

const COMMANDS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ['CAPABILITY', bare('CAPABILITY')],
  ['NOOP', bare('NOOP')],
  ['LOGOUT', bare('LOGOUT')],
  ['STARTTLS', bare('STARTTLS')],
  ['NAMESPACE', bare('NAMESPACE')],
  ['IDLE', bare('IDLE')],
  ['CHECK', bare('CHECK')],
  ['CLOSE', bare('CLOSE')],
  ['UNSELECT', bare('UNSELECT')],
  ['ID', parseId],
  ['AUTHENTICATE', parseAuthenticate],
  ['LOGIN', parseLogin],
  ['ENABLE', parseEnable],
  ['COMPRESS', parseCompress],
  ['SELECT', (cursor, tag, { isUtf8 }) => parseSelect(cursor, tag, 'SELECT', isUtf8)],
  ['EXAMINE', (cursor, tag, { isUtf8 }) => parseSelect(cursor, tag, 'EXAMINE', isUtf8)],
  ['CREATE', (cursor, tag, { isUtf8 }) => parseCreate(cursor, tag, isUtf8)],
  ['DELETE', (cursor, tag, { isUtf8 }) => parseMailboxCommand(cursor, tag, 'DELETE', isUtf8)],
  ['RENAME', (cursor, tag, { isUtf8 }) => parseRename(cursor, tag, isUtf8)],
  ['SUBSCRIBE', (cursor, tag, { isUtf8 }) => parseMailboxCommand(cursor, tag, 'SUBSCRIBE', isUtf8)],
  ['UNSUBSCRIBE', (cursor, tag, { isUtf8 }) => parseMailboxCommand(cursor, tag, 'UNSUBSCRIBE', isUtf8)],
  ['LIST', (cursor, tag, { isUtf8 }) => parseList(cursor, tag, isUtf8)],
  ['LSUB', (cursor, tag, { isUtf8 }) => parseLsub(cursor, tag, 'LSUB', isUtf8)],
  ['XLIST', (cursor, tag, { isUtf8 }) => parseLsub(cursor, tag, 'XLIST', isUtf8)],
  ['STATUS', (cursor, tag, { isUtf8 }) => parseStatus(cursor, tag, isUtf8)],
  ['APPEND', (cursor, tag, { isUtf8 }) => parseAppend(cursor, tag, isUtf8)],
  ['EXPUNGE', (cursor, tag) => parseExpunge(cursor, tag, false)],
  ['SEARCH', (cursor, tag, { isUtf8 }) => parseSearch(cursor, tag, false, isUtf8)],
  ['SORT', (cursor, tag) => parseSort(cursor, tag, false)],
  ['FETCH', (cursor, tag) => parseFetch(cursor, tag, false)],
  ['STORE', (cursor, tag) => parseStore(cursor, tag, false)],
  ['COPY', (cursor, tag, { isUtf8 }) => parseCopy(cursor, tag, 'COPY', false, isUtf8)],
  ['MOVE', (cursor, tag, { isUtf8 }) => parseCopy(cursor, tag, 'MOVE', false, isUtf8)],
  ['GETQUOTA', parseGetQuota],
  ['GETQUOTAROOT', (cursor, tag, { isUtf8 }) => parseMailboxCommand(cursor, tag, 'GETQUOTAROOT', isUtf8)],
  ['SETQUOTA', parseSetQuota],
  ['UIDBATCHES', parseUidBatches],
  ['UID', parseUid],
]);

/** RFC 9051 §6.4.9; UID EXPUNGE RFC 4315 §2.1, UID MOVE RFC 6851 §3.2. */
const UID_COMMANDS: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ['EXPUNGE', (cursor, tag) => parseExpunge(cursor, tag, true)],
  ['SEARCH', (cursor, tag, { isUtf8 }) => parseSearch(cursor, tag, true, isUtf8)],
  ['SORT', (cursor, tag) => parseSort(cursor, tag, true)],
  ['FETCH', (cursor, tag) => parseFetch(cursor, tag, true)],
  ['STORE', (cursor, tag) => parseStore(cursor, tag, true)],
  ['COPY', (cursor, tag, { isUtf8 }) => parseCopy(cursor, tag, 'COPY', true, isUtf8)],
  ['MOVE', (cursor, tag, { isUtf8 }) => parseCopy(cursor, tag, 'MOVE', true, isUtf8)],
]);

/** @throws CommandError, and nothing else whatever the octets are. Its message never repeats what the client sent. */
export function parseCommand(command: FramedCommand, options: ParserOptions): Command {
  const cursor = new Cursor(command, options.isUtf8);
  const tag = readTag(cursor, command);
  return dispatch(COMMANDS, cursor, tag, options);
}

/**
 * What the literal is that the reader announced after `prefix`: the message of an APPEND, which is to be streamed, or an
 * argument, which is to be buffered.
 * @throws CommandError when the prefix is an APPEND whose arguments are not valid: refuse the literal and answer BAD.
 */
export function classifyLiteral(
  prefix: FramedCommand,
  options: ParserOptions,
):
  | { readonly kind: 'message'; readonly append: AppendCommand }
  | { readonly kind: 'argument'; readonly tag: string | null } {
  const cursor = new Cursor(prefix, options.isUtf8);
  const tag = leadingTag(prefix.lines[0] ?? '');
  const marker = trailingLiteral(prefix.lines.at(-1) ?? '');
  if (tag === null || marker === null) return { kind: 'argument', tag };
  readTag(cursor, prefix);
  if (cursor.peekKeyword() !== 'APPEND') return { kind: 'argument', tag };
  cursor.take('APPEND');
  const append = parseAppendPrefix(cursor, tag, options.isUtf8, marker.sizeOctets);
  return append === null ? { kind: 'argument', tag } : { kind: 'message', append };
}

function parseUid(cursor: Cursor, tag: string, options: ParserOptions): Command {
  cursor.space();
  return dispatch(UID_COMMANDS, cursor, tag, options);
}

function readTag(cursor: Cursor, command: FramedCommand): string {
  const tag = leadingTag(command.lines[0] ?? '');
  if (tag === null) throw new CommandError(null, 'The tag is missing or not valid');
  cursor.tag = tag;
  cursor.advance(tag.length);
  cursor.space();
  return tag;
}

function dispatch(
  commands: ReadonlyMap<string, Parse>,
  cursor: Cursor,
  tag: string,
  options: ParserOptions,
): Command {
  const parse = commands.get(cursor.keyword('A command'));
  if (parse === undefined) return cursor.fail('Unknown command', 'unknown-command');
  return parse(cursor, tag, options);
}
