/** BODYSTRUCTURE and BODY (RFC 9051 §7.5.2, RFC 3501 §7.4.2), as latin1 text. */
import { type Disposition, type Parameter, parameterValue } from './content-type.ts';
import type { ContentFields, Entity } from './entity.ts';
import { imapEnvelope } from './imap-envelope.ts';
import { nstring } from './imap-string.ts';

/** The value of BODYSTRUCTURE: with extension data. */
export function imapBodyStructure(message: Entity): string {
  return body(message, true);
}

/** The value of BODY: without extension data. */
export function imapBody(message: Entity): string {
  return body(message, false);
}

function body(entity: Entity, isExtended: boolean): string {
  const { content } = entity;
  if (entity.kind === 'multipart') {
    const parts = entity.children.map((child) => body(child, isExtended)).join('');
    const extension = isExtended
      ? ` ${parameterList(content.mediaType.parameters)}${commonExtension(content)}`
      : '';
    return `(${parts} ${nstring(content.mediaType.subtype)}${extension})`;
  }
  const extension = isExtended ? ` ${nstring(content.md5)}${commonExtension(content)}` : '';
  return `(${basicFields(entity)}${typeSpecificFields(entity, isExtended)}${extension})`;
}

function basicFields({ content, bodyStart, end }: Entity): string {
  const { type, subtype, parameters } = content.mediaType;
  const isText = type.toLowerCase() === 'text';
  return `${nstring(type)} ${nstring(subtype)} ${parameterList(isText ? withCharset(parameters) : parameters)} ${nstring(
    content.id,
  )} ${nstring(content.description)} ${nstring(content.transferEncoding ?? '7bit')} ${end - bodyStart}`;
}

/**
 * Of text its lines, of an embedded message envelope, structure and lines. message/global is entered (structure.ts) but
 * shown as any other type: RFC 3501 has no other form for it, and clients of IMAP4rev1 expect that.
 */
function typeSpecificFields(entity: Entity, isExtended: boolean): string {
  const { type, subtype } = entity.content.mediaType;
  if (entity.kind === 'message' && subtype.toLowerCase() === 'rfc822') {
    const embedded = entity.children[0]!;
    const envelope = embedded.envelope === null ? 'NIL' : imapEnvelope(embedded.envelope);
    return ` ${envelope} ${body(embedded, isExtended)} ${entity.lines}`;
  }
  return type.toLowerCase() === 'text' ? ` ${entity.lines}` : '';
}

/** Disposition, language and location, each after a space. */
function commonExtension(content: ContentFields): string {
  const languages = content.languages.length === 0 ? 'NIL' : `(${content.languages.map(nstring).join(' ')})`;
  return ` ${dispositionField(content.disposition)} ${languages} ${nstring(content.location)}`;
}

function dispositionField(disposition: Disposition | null): string {
  if (disposition === null) return 'NIL';
  return `(${nstring(disposition.type)} ${parameterList(disposition.parameters)})`;
}

/** RFC 2045 §5.2: text without a charset is US-ASCII. Clients know it from BODYSTRUCTURE alone. */
function withCharset(parameters: readonly Parameter[]): readonly Parameter[] {
  const hasCharset =
    parameterValue(parameters, 'charset') !== null || parameterValue(parameters, 'charset*') !== null;
  return hasCharset ? parameters : [...parameters, { name: 'charset', value: 'us-ascii' }];
}

function parameterList(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return 'NIL';
  return `(${parameters.map(({ name, value }) => `${nstring(name)} ${nstring(value)}`).join(' ')})`;
}
