/**
 * Commands about the connection and the user: ID (RFC 2971), AUTHENTICATE and LOGIN (RFC 9051 §6.2.2, §6.2.3;
 * RFC 4959), ENABLE (RFC 5161), COMPRESS (RFC 4978), quotas (RFC 9208 §4.1).
 */
import { IMAP_ID_FIELD_OCTETS, IMAP_ID_PAIRS, IMAP_ID_VALUE_OCTETS, IMAP_LIST_ITEMS } from '../../limits.ts';
import type {
  AuthenticateCommand,
  CompressCommand,
  EnableCommand,
  GetQuotaCommand,
  IdCommand,
  LoginCommand,
  SetQuotaCommand,
} from './ast.ts';
import { decodeBase64, textArgument } from './strings.ts';
import type { Cursor } from './tokens.ts';
import { decodeUtf8 } from './utf8.ts';

/** What goes beyond RFC 2971's limits is left out: a client's boasting is no reason to fail it. */
export function parseId(cursor: Cursor, tag: string): IdCommand {
  cursor.space();
  if (cursor.peek() !== '(') {
    if (cursor.keyword('A list or NIL') !== 'NIL') cursor.fail('A list or NIL is expected');
    cursor.end();
    return { tag, name: 'ID', parameters: null };
  }
  const parameters = new Map<string, string | null>();
  cursor.list('ID fields', () => {
    const field = cursor.astring('A field name').toLowerCase();
    cursor.space();
    const octets = cursor.peekKeyword() === 'NIL' ? cursor.nstring('A value') : cursor.astring('A value');
    const value = octets === null ? null : (decodeUtf8(octets) ?? octets);
    const fits = field.length <= IMAP_ID_FIELD_OCTETS && (octets?.length ?? 0) <= IMAP_ID_VALUE_OCTETS;
    if (fits && parameters.size < IMAP_ID_PAIRS && !parameters.has(field)) parameters.set(field, value);
  });
  cursor.end();
  return { tag, name: 'ID', parameters };
}

export function parseAuthenticate(cursor: Cursor, tag: string): AuthenticateCommand {
  cursor.space();
  const mechanism = cursor.keyword('A SASL mechanism');
  if (cursor.isAtEnd) return { tag, name: 'AUTHENTICATE', mechanism, initialResponse: null };
  const text = cursor.word('An initial response');
  cursor.end();
  // RFC 4959 §3: "=" is an initial response of no octets.
  const initialResponse = text === '=' ? Buffer.alloc(0) : decodeBase64(text);
  if (initialResponse === null) return cursor.fail('The initial response is not valid base64');
  return { tag, name: 'AUTHENTICATE', mechanism, initialResponse };
}

export function parseLogin(cursor: Cursor, tag: string): LoginCommand {
  cursor.space();
  const username = textArgument(cursor, 'The user name');
  cursor.space();
  const password = textArgument(cursor, 'The password');
  cursor.end();
  return { tag, name: 'LOGIN', username, password };
}

export function parseEnable(cursor: Cursor, tag: string): EnableCommand {
  cursor.space();
  const capabilities = [cursor.keyword('A capability')];
  while (!cursor.isAtEnd) {
    if (capabilities.length >= IMAP_LIST_ITEMS) cursor.fail('Too many capabilities', 'too-many');
    capabilities.push(cursor.keyword('A capability'));
  }
  return { tag, name: 'ENABLE', capabilities };
}

export function parseCompress(cursor: Cursor, tag: string): CompressCommand {
  cursor.space();
  const mechanism = cursor.keyword('A compression mechanism');
  cursor.end();
  return { tag, name: 'COMPRESS', mechanism };
}

export function parseGetQuota(cursor: Cursor, tag: string): GetQuotaCommand {
  cursor.space();
  const root = textArgument(cursor, 'The quota root');
  cursor.end();
  return { tag, name: 'GETQUOTA', root };
}

export function parseSetQuota(cursor: Cursor, tag: string): SetQuotaCommand {
  cursor.space();
  const root = textArgument(cursor, 'The quota root');
  cursor.space();
  const limits = cursor.list('Quota limits', () => {
    const resource = cursor.keyword('A quota resource');
    cursor.space();
    return { resource, limit: cursor.number64('A quota limit') };
  });
  cursor.end();
  return { tag, name: 'SETQUOTA', root, limits };
}
