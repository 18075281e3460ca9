/** Names of BODY[section]<origin> in FETCH responses. RFC 9051 §7.5.2. */
import type { BodySectionItem, Section } from './ast.ts';

// ASTRING-CHAR without "]": clients find the section's end by it.
const BARE = /^[^\x00-\x20\x7f-\uffff(){%*"\\\]]+$/;

/** `BODY[HEADER.FIELDS (Date From)]<0>`: field names as the client spelled them, of a partial only its offset. */
export function printBodySectionName(item: BodySectionItem): string {
  const origin = item.partial === null ? '' : `<${item.partial.offset}>`;
  return `BODY[${printSection(item.section)}]${origin}`;
}

/** `1.2.HEADER.FIELDS (Date From)`, without the brackets. */
export function printSection(section: Section): string {
  const { part, text, fields } = section;
  const name = part === '' || text === null ? `${part}${text ?? ''}` : `${part}.${text}`;
  return fields.length === 0 ? name : `${name} (${fields.map(printField).join(' ')})`;
}

/** The parser lets only printable US-ASCII through, so no literal is ever needed. */
function printField(field: string): string {
  return BARE.test(field) ? field : `"${field.replace(/["\\]/g, '\\$&')}"`;
}
