/**
 * The rules, each with a name, by which acceptance changes a header section besides prepending the trace block.
 * Everything else stays octet for octet as it came.
 */
import { fieldValue, type HeaderField } from '../message/header.ts';
import { StructuredField } from '../message/structured-field.ts';

/** A header section (empty line included, where there is one) and its fields. */
export interface HeaderSection {
  readonly octets: Buffer;
  readonly fields: readonly HeaderField[];
}

export interface HeaderRules {
  /** 'old-return-path': the reverse-path is ours to write on final delivery. RFC 5321 §4.4. */
  readonly removesReturnPath: boolean;
  /** 'forged-authentication-results': fields that claim this authserv-id would pass for ours. RFC 8601 §5. */
  readonly removesResultsOf: string | null;
  /** 'bcc': the submitter's blind recipients are his secret. RFC 5322 §3.6.3. */
  readonly removesBcc: boolean;
  /** 'missing-date' and 'missing-message-id': RFC 6409 §8.2 and §8.3. */
  readonly completes: { readonly date: string; readonly messageId: string } | null;
  /** Looks at the header before anything is changed. @throws RefusedError to refuse the message. */
  readonly check?: (header: HeaderSection) => void;
}

/** The parts of the header section that stay, in order; the octets are shared with it. */
export function keptParts(header: HeaderSection, rules: HeaderRules): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const field of header.fields) {
    if (!isRemoved(header, field, rules)) continue;
    if (field.start > from) parts.push(header.octets.subarray(from, field.start));
    from = field.end;
  }
  if (from < header.octets.length) parts.push(header.octets.subarray(from));
  return parts;
}

/** Fields to add, as the rules want it: each with its CRLF. */
export function addedFields(header: HeaderSection, rules: HeaderRules): string {
  if (rules.completes === null) return '';
  const { date, messageId } = rules.completes;
  const has = (name: string) => header.fields.some((field) => field.name.toLowerCase() === name);
  return `${has('date') ? '' : `Date: ${date}\r\n`}${has('message-id') ? '' : `Message-ID: ${messageId}\r\n`}`;
}

function isRemoved(header: HeaderSection, field: HeaderField, rules: HeaderRules): boolean {
  switch (field.name.length) {
    case 3:
    case 10:
      if (rules.removesBcc && /^(?:resent-)?bcc$/i.test(field.name)) return true;
      break;
    case 11:
      if (rules.removesReturnPath && field.name.toLowerCase() === 'return-path') return true;
      break;
    case 22:
      return (
        rules.removesResultsOf !== null &&
        field.name.toLowerCase() === 'authentication-results' &&
        authservId(fieldValue(header.octets, field)) === rules.removesResultsOf.toLowerCase()
      );
  }
  return false;
}

/** RFC 8601 §2.2: [CFWS] authserv-id [CFWS version]; the id is a token or a quoted-string. Lower case. */
function authservId(value: string): string {
  const field = new StructuredField(value);
  field.skipSpace();
  if (field.next === '"') return field.quotedString().toLowerCase();
  const start = field.position;
  while (!field.isAtEnd && !' \t;('.includes(field.next)) field.position++;
  return value.slice(start, field.position).toLowerCase();
}
