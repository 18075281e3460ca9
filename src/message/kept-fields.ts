/**
 * The header fields that are kept beside a message's digest once it is absorbed (docs/format.md, "Pages"), so that what
 * clients list messages by needs no opened body: all fields but those that only machines on the way read, whose names are
 * told by `isTraceField` alone. So a request that names none of those is answered from the kept ones, fields that the
 * message lacks included.
 */
import { KEPT_FIELDS_OCTETS } from '../limits.ts';
import { scanFields } from './header.ts';

/** Of no interest to a client that lists messages, and half of a header's octets. */
const TRACE_FIELDS: ReadonlySet<string> = new Set(['received', 'x-received', 'x-gm-message-state']);
const TRACE_PREFIXES = ['arc-', 'x-google-', 'x-ms-', 'x-microsoft-', 'x-forefront-'] as const;

/** @param name In lower case. */
const isTraceField = (name: string): boolean =>
  TRACE_FIELDS.has(name) || TRACE_PREFIXES.some((prefix) => name.startsWith(prefix));

/** Whether fields of these names, of any case, are among the kept ones when the message has them. */
export const areKept = (names: readonly string[]): boolean =>
  !names.some((name) => isTraceField(name.toLowerCase()));

/**
 * @param header A header block.
 * @returns its kept fields, whole and in order, as latin1 text; null when they are longer than KEPT_FIELDS_OCTETS.
 */
export function keptFields(header: Buffer): string | null {
  const text = header.toString('latin1');
  let kept = '';
  for (const { name, start, end } of scanFields(text)) {
    if (isTraceField(name.toLowerCase())) continue;
    kept += text.slice(start, end);
    if (kept.length > KEPT_FIELDS_OCTETS) return null;
  }
  return kept;
}

/**
 * What `selectFields` of the whole header gives in its mode 'only'.
 * @param wanted Names in lower case, all kept.
 */
export function selectKept(kept: string, wanted: ReadonlySet<string>): string {
  let selected = '';
  let from = 0;
  let until = 0;
  for (const { name, start, end } of scanFields(kept)) {
    if (!wanted.has(name.toLowerCase())) continue;
    // Neighbours are taken in one piece.
    if (start !== until) {
      selected += kept.slice(from, until);
      from = start;
    }
    until = end;
  }
  selected += kept.slice(from, until);
  if (selected !== '' && !selected.endsWith('\n')) selected += '\r\n';
  return `${selected}\r\n`;
}
