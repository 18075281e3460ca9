/**
 * Header blocks (RFC 5322 §2.2, obsolete forms of §4.5 included), read tolerantly: LF ends a line as CRLF does, lines
 * that are no field are passed over, and the block ends with an empty line or with its octets.
 *
 * Text in this folder is latin1, one character an octet, until text.ts decodes it: offsets are octets either way.
 */

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
const DEL = 127;

export interface HeaderField {
  /** As written, white space before the colon removed. */
  readonly name: string;
  /** [start, end): the whole field, line ends included; the value (with its folds) begins at valueStart. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** The fields of a header block, in order. Never throws; lines that are no field are skipped. */
export function parseHeader(octets: Buffer): HeaderField[] {
  return scanFields(octets.toString('latin1'));
}

/** A field's value as latin1 text: folds undone (RFC 5322 §2.2.3), outer white space removed. */
export function fieldValue(octets: Buffer, field: HeaderField): string {
  return unfold(octets.toString('latin1', field.valueStart, field.end));
}

/** Values (as fieldValue) of every field of that name, case-insensitive, in order. */
export function fieldValues(octets: Buffer, name: string): string[] {
  const wanted = name.toLowerCase();
  const text = octets.toString('latin1');
  return scanFields(text)
    .filter((field) => field.name.toLowerCase() === wanted)
    .map((field) => unfold(text.slice(field.valueStart, field.end)));
}

/**
 * BODY[HEADER.FIELDS (names)] ('only') and BODY[HEADER.FIELDS.NOT (names)] ('except') of a header block: whole fields in
 * the order of the message, then the empty line, unless the message has none (RFC 9051 §6.4.5.1). Names compare
 * case-insensitively. Lines that are no field are in 'except' only.
 */
export function selectFields(octets: Buffer, names: readonly string[], mode: 'only' | 'except'): Buffer {
  const text = octets.toString('latin1');
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const { fields, end } = scanBlock(text);
  let kept = '';
  let from = 0;
  for (const field of fields) {
    if (!wanted.has(field.name.toLowerCase())) continue;
    kept += mode === 'only' ? text.slice(field.start, field.end) : text.slice(from, field.start);
    from = field.end;
  }
  if (mode === 'except') kept += text.slice(from, end);
  if (kept !== '' && !kept.endsWith('\n')) kept += '\r\n';
  return Buffer.from(end < text.length ? `${kept}\r\n` : kept, 'latin1');
}

/** As parseHeader, of latin1 text. */
export function scanFields(text: string): HeaderField[] {
  return scanBlock(text).fields;
}

/** Undoes folding and removes white space at both ends. Not trim(): to that, octet A0 of a UTF-8 sequence is a space. */
export function unfold(raw: string): string {
  let start = 0;
  let end = raw.length;
  while (start < end && isSpace(raw.charCodeAt(start))) start++;
  while (end > start && isSpace(raw.charCodeAt(end - 1))) end--;
  const value = raw.slice(start, end);
  return value.includes('\n') ? value.replace(/\r?\n/g, '') : value;
}

/** What precedes a field's colon, without the white space before that (RFC 5322 §4.5); octet A0 belongs to the name. */
export function fieldName(beforeColon: string): string {
  let end = beforeColon.length;
  while (end > 0 && (beforeColon.charCodeAt(end - 1) === SPACE || beforeColon.charCodeAt(end - 1) === TAB))
    end--;
  return beforeColon.slice(0, end);
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB || code === CR || code === LF;
}

/** `end` is where the empty line begins, or the length of the text when there is none. */
export function scanBlock(text: string): { fields: HeaderField[]; end: number } {
  const fields: HeaderField[] = [];
  let start = 0;
  while (start < text.length) {
    const first = text.charCodeAt(start);
    if (first === LF || (first === CR && text.charCodeAt(start + 1) === LF)) break;
    const end = endOfField(text, start);
    const nameEnd = endOfName(text, start);
    let colon = nameEnd;
    while (text.charCodeAt(colon) === SPACE || text.charCodeAt(colon) === TAB) colon++;
    if (nameEnd > start && text.charCodeAt(colon) === COLON) {
      fields.push({ name: text.slice(start, nameEnd), start, valueStart: colon + 1, end });
    }
    start = end;
  }
  return { fields, end: start };
}

/** Where the field that begins at `start` ends: after the line end that no white space follows. */
export function endOfField(text: string, start: number): number {
  let end = start;
  for (;;) {
    const lf = text.indexOf('\n', end);
    if (lf < 0) return text.length;
    end = lf + 1;
    const next = text.charCodeAt(end);
    if (next !== SPACE && next !== TAB) return end;
  }
}

/** RFC 5322 §3.6.8 ftext; octets above 127 are let through (RFC 6532 does not allow them, some mail has them). */
function endOfName(text: string, start: number): number {
  let end = start;
  for (;;) {
    const code = text.charCodeAt(end);
    if (!(code > SPACE) || code === COLON || code === DEL) return end;
    end++;
  }
}
