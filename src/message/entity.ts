/** MIME entities (RFC 2045 §2.4) and what their headers say about them, as the structure reader finds them. */
import {
  type Disposition,
  type MediaType,
  parseContentType,
  parseDisposition,
  parseLanguages,
  parseTransferEncoding,
} from './content-type.ts';
import { scanFields, unfold } from './header.ts';

/** The Content-* fields of an entity. Values are octets as latin1 text, as written; null when absent. */
export interface ContentFields {
  readonly mediaType: MediaType;
  readonly id: string | null;
  readonly description: string | null;
  readonly transferEncoding: string | null;
  readonly md5: string | null;
  readonly disposition: Disposition | null;
  readonly languages: readonly string[];
  readonly location: string | null;
}

/** The header fields that ENVELOPE shows, unparsed. Addresses: one value a field, as a field may come twice. */
export interface EnvelopeFields {
  readonly date: string | null;
  readonly subject: string | null;
  readonly from: readonly string[];
  readonly sender: readonly string[];
  readonly replyTo: readonly string[];
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly inReplyTo: string | null;
  readonly messageId: string | null;
}

/**
 * An entity and where it lies. Octets [headerStart, bodyStart) of the message are its header, the empty line included;
 * [bodyStart, end) its body. A child lies within its parent's body; siblings do not overlap.
 */
export interface Entity {
  readonly headerStart: number;
  readonly bodyStart: number;
  readonly end: number;
  /** 'message': its one child is the embedded message. 'multipart' has at least one child. */
  readonly kind: 'leaf' | 'multipart' | 'message';
  readonly content: ContentFields;
  /** Of a message (the whole one, or an embedded one); null of a part. */
  readonly envelope: EnvelopeFields | null;
  /** Line ends in the body: counted for text parts and embedded messages, else 0. */
  readonly lines: number;
  readonly children: readonly Entity[];
}

/** What a Content-Type field's absence means (RFC 2045 §5.2; in multipart/digest, RFC 2046 §5.1.5). */
export type DefaultType = 'text/plain' | 'message/rfc822';

const TEXT_PLAIN: MediaType = { type: 'text', subtype: 'plain', parameters: [] };
const MESSAGE_RFC822: MediaType = { type: 'message', subtype: 'rfc822', parameters: [] };
const OCTET_STREAM: MediaType = { type: 'application', subtype: 'octet-stream', parameters: [] };

/** Of an entity without Content-* fields. */
export const NO_CONTENT_FIELDS: ContentFields = {
  mediaType: TEXT_PLAIN,
  id: null,
  description: null,
  transferEncoding: null,
  md5: null,
  disposition: null,
  languages: [],
  location: null,
};

export const EMPTY_ENVELOPE: EnvelopeFields = {
  date: null,
  subject: null,
  from: [],
  sender: [],
  replyTo: [],
  to: [],
  cc: [],
  bcc: [],
  inReplyTo: null,
  messageId: null,
};

/** The fields of an entity whose header is not looked into. */
export function unreadFields(isMessage: boolean): {
  content: ContentFields;
  envelope: EnvelopeFields | null;
} {
  return { content: asOpaque(NO_CONTENT_FIELDS), envelope: isMessage ? EMPTY_ENVELOPE : null };
}

/** The same entity, declared to be mere octets: for structures that are not entered. */
export function asOpaque(content: ContentFields): ContentFields {
  return { ...content, mediaType: OCTET_STREAM };
}

/**
 * Reads an entity's header block (latin1). Of fields that may come once, ENVELOPE shows the last: it is the one that DKIM
 * signs (RFC 6376 §5.4.2), so that a field put in front of a signed message is not what readers see. Of Content-* fields
 * the first counts; address fields add up. All as Dovecot has it.
 * @param isMessage Whether the entity is a message: it then has an envelope, and its Content-* fields count only beside
 *   a MIME-Version or Content-Type field (as Dovecot has it: not every sender writes MIME-Version).
 */
export function readEntityHeader(
  header: string,
  isMessage: boolean,
  defaultType: DefaultType,
): { content: ContentFields; envelope: EnvelopeFields | null } {
  const values = new Map<string, string>();
  const addresses = new Map<string, string[]>();
  for (const field of scanFields(header)) {
    const name = field.name.toLowerCase();
    if (isMessage && ADDRESS_FIELDS.has(name)) {
      const list = addresses.get(name);
      const value = unfold(header.slice(field.valueStart, field.end));
      if (list === undefined) addresses.set(name, [value]);
      else list.push(value);
    } else if (
      (isMessage && MESSAGE_FIELDS.has(name)) ||
      (name.startsWith('content-') && !values.has(name))
    ) {
      values.set(name, unfold(header.slice(field.valueStart, field.end)));
    }
  }
  const isMime = !isMessage || values.has('content-type') || values.has('mime-version');
  return {
    content: isMime ? contentFields(values, defaultType) : NO_CONTENT_FIELDS,
    envelope: isMessage ? envelopeFields(values, addresses) : null,
  };
}

const ADDRESS_FIELDS = new Set(['from', 'sender', 'reply-to', 'to', 'cc', 'bcc']);
const MESSAGE_FIELDS = new Set(['date', 'subject', 'in-reply-to', 'message-id', 'mime-version']);

function contentFields(values: ReadonlyMap<string, string>, defaultType: DefaultType): ContentFields {
  const type = values.get('content-type');
  const encoding = values.get('content-transfer-encoding');
  const disposition = values.get('content-disposition');
  const languages = values.get('content-language');
  const absent = defaultType === 'text/plain' ? TEXT_PLAIN : MESSAGE_RFC822;
  return {
    mediaType: type === undefined ? absent : parseContentType(type),
    id: values.get('content-id') ?? null,
    description: values.get('content-description') ?? null,
    transferEncoding: encoding === undefined ? null : parseTransferEncoding(encoding),
    md5: values.get('content-md5') ?? null,
    disposition: disposition === undefined ? null : parseDisposition(disposition),
    languages: languages === undefined ? [] : parseLanguages(languages),
    location: values.get('content-location') ?? null,
  };
}

function envelopeFields(
  values: ReadonlyMap<string, string>,
  addresses: ReadonlyMap<string, string[]>,
): EnvelopeFields {
  return {
    date: values.get('date') ?? null,
    subject: values.get('subject') ?? null,
    from: addresses.get('from') ?? [],
    sender: addresses.get('sender') ?? [],
    replyTo: addresses.get('reply-to') ?? [],
    to: addresses.get('to') ?? [],
    cc: addresses.get('cc') ?? [],
    bcc: addresses.get('bcc') ?? [],
    inReplyTo: values.get('in-reply-to') ?? null,
    messageId: values.get('message-id') ?? null,
  };
}

/** 'type/subtype' in lower case. */
export function mediaTypeName(mediaType: MediaType): string {
  return `${mediaType.type}/${mediaType.subtype}`.toLowerCase();
}
