/**
 * Content-Type, Content-Disposition, Content-Transfer-Encoding and Content-Language (RFC 2045 §5 and §6, RFC 2183,
 * RFC 3282). What is malformed gives what can be made of it, never an error.
 */
import { PARAMETERS_PER_FIELD } from '../limits.ts';
import { charactersBut, StructuredField } from './structured-field.ts';

export interface Parameter {
  /** As written; an RFC 2231 extended parameter keeps its asterisk. */
  readonly name: string;
  readonly value: string;
}

export interface MediaType {
  /** As written. */
  readonly type: string;
  readonly subtype: string;
  readonly parameters: readonly Parameter[];
}

export interface Disposition {
  readonly type: string;
  readonly parameters: readonly Parameter[];
}

/** RFC 2045 §5.1 token. */
const TOKEN = charactersBut('()<>@,;:\\"/[]?=');
/** Values without the quotes they need (boundary=----=_Part) are common: they end at white space, ';' or a comment. */
const LOOSE_VALUE = charactersBut(';"(');
const LANGUAGE = charactersBut('(),;"<>[]:@\\');

/** RFC 2045 §5.2: a Content-Type that cannot be read means text/plain; so does the bare 'text' of old mailers. */
export function parseContentType(value: string): MediaType {
  const field = new StructuredField(value);
  field.skipSpace();
  const type = field.run(TOKEN);
  field.skipSpace();
  const hasSubtype = field.take('/');
  field.skipSpace();
  const subtype = hasSubtype ? field.run(TOKEN) : '';
  if (type !== '' && subtype !== '') return { type, subtype, parameters: parameters(field) };
  return { type: 'text', subtype: 'plain', parameters: /^text$/i.test(type) ? parameters(field) : [] };
}

/** Null when there is no disposition type. */
export function parseDisposition(value: string): Disposition | null {
  const field = new StructuredField(value);
  field.skipSpace();
  const type = field.run(TOKEN);
  return type === '' ? null : { type, parameters: parameters(field) };
}

/** The mechanism of Content-Transfer-Encoding as written, or null when it is not a token and no more. */
export function parseTransferEncoding(value: string): string | null {
  const field = new StructuredField(value);
  field.skipSpace();
  const token = field.run(TOKEN);
  field.skipSpace();
  return token !== '' && (field.isAtEnd || field.next === ';') ? token : null;
}

/** The tags of Content-Language, in order. */
export function parseLanguages(value: string): string[] {
  const field = new StructuredField(value);
  const tags: string[] = [];
  do {
    field.skipSpace();
    const tag = field.run(LANGUAGE);
    if (tag === '') break;
    tags.push(tag);
    field.skipSpace();
  } while (field.take(','));
  return tags;
}

/** The value of the parameter named `name` (lower case), or null. */
export function parameterValue(parameters: readonly Parameter[], name: string): string | null {
  return parameters.find((parameter) => parameter.name.toLowerCase() === name)?.value ?? null;
}

function parameters(field: StructuredField): readonly Parameter[] {
  const found: Parameter[] = [];
  while (found.length < PARAMETERS_PER_FIELD) {
    field.skipTo(';');
    if (field.isAtEnd) break;
    field.position++;
    field.skipSpace();
    const name = field.run(TOKEN);
    field.skipSpace();
    if (name === '' || !field.take('=')) continue;
    field.skipSpace();
    found.push({ name, value: field.next === '"' ? field.quotedString() : field.run(LOOSE_VALUE) });
  }
  return found.some((parameter) => parameter.name.includes('*')) ? joinContinuations(found) : found;
}

/**
 * RFC 2231 §3: `name*0`, `name*1*` ... are pieces of one value. §6 wants IMAP servers to put them together, keeping
 * charset and percent-encoding: the whole is `name`, or `name*` when a piece is encoded. Pieces that do not number
 * 0, 1, 2 ... stay as they are.
 */
function joinContinuations(found: readonly Parameter[]): Parameter[] {
  const pieces = new Map<string, { index: number; isEncoded: boolean; value: string }[]>();
  for (const { name, value } of found) {
    const piece = CONTINUATION.exec(name);
    if (piece === null) continue;
    const key = piece[1]!.toLowerCase();
    const list = pieces.get(key) ?? [];
    list.push({ index: Number(piece[2]), isEncoded: piece[3] === '*', value });
    pieces.set(key, list);
  }
  const joined = new Set<string>();
  const result: Parameter[] = [];
  for (const parameter of found) {
    const base = CONTINUATION.exec(parameter.name)?.[1];
    const key = base?.toLowerCase() ?? '';
    const list = base === undefined ? undefined : pieces.get(key);
    if (base === undefined || list === undefined) result.push(parameter);
    else if (!joined.has(key)) {
      list.sort((a, b) => a.index - b.index);
      if (list.some((piece, position) => piece.index !== position)) {
        pieces.delete(key);
        result.push(parameter);
        continue;
      }
      joined.add(key);
      const isEncoded = list.some((piece) => piece.isEncoded);
      const values = list.map((piece) =>
        isEncoded && !piece.isEncoded ? piece.value.replaceAll('%', '%25') : piece.value,
      );
      const prefix = isEncoded && !list[0]!.isEncoded ? "''" : '';
      result.push({ name: isEncoded ? `${base}*` : base, value: prefix + values.join('') });
    }
  }
  return result;
}

const CONTINUATION = /^([^*]+)\*(0|[1-9][0-9]{0,4})(\*?)$/;
