/**
 * The header fields that are kept beside a message's digest once it is absorbed (docs/format.md, "Pages"), so that what
 * clients list messages by needs no opened body: all fields but those that only machines on the way read, whose names are
 * told by `isTraceField` alone. So a request that names none of those is answered from the kept ones, fields that the
 * message lacks included.
 */
import { KEPT_FIELDS_OCTETS } from '../limits.ts';
import { endOfField, fieldName, scanBlock, unfold } from './header.ts';

/** Of no interest to a client that lists messages, and half of a header's octets. */
const TRACE_FIELDS: ReadonlySet<string> = new Set(['received', 'x-received', 'x-gm-message-state']);
const TRACE_PREFIXES = ['arc-', 'x-google-', 'x-ms-', 'x-microsoft-', 'x-forefront-'] as const;

const EMPTY_LINE = '\r\n';

/** A folder's messages have some hundred names of fields; who makes up more has each looked at anew. */
const MET_NAMES = 1_000;

/** @param name In lower case. */
const isTraceField = (name: string): boolean =>
  TRACE_FIELDS.has(name) || TRACE_PREFIXES.some((prefix) => name.startsWith(prefix));

/** Whether fields of these names, of any case, are among the kept ones when the message has them. */
export const areKept = (names: readonly string[]): boolean =>
  !names.some((name) => isTraceField(name.toLowerCase()));

/**
 * @param header A header block.
 * @returns its kept fields, whole and in order, and the empty line if it has one, as latin1 text; null when the fields are
 *   longer than KEPT_FIELDS_OCTETS.
 */
export function keptFields(header: Buffer): string | null {
  const text = header.toString('latin1');
  let kept = '';
  const { fields, end: blockEnd } = scanBlock(text);
  for (const { name, start, end } of fields) {
    if (isTraceField(name.toLowerCase())) continue;
    kept += text.slice(start, end);
    if (kept.length > KEPT_FIELDS_OCTETS) return null;
  }
  return blockEnd < text.length ? kept + EMPTY_LINE : kept;
}

/** As header.ts `fieldValues` of the whole header. @param name Kept. */
export function keptValues(kept: string, name: string): string[] {
  const wanted = name.toLowerCase();
  const values: string[] = [];
  for (let start = 0; start < kept.length; ) {
    const end = endOfField(kept, start);
    const colon = kept.indexOf(':', start);
    if (colon - start >= wanted.length && fieldName(kept.slice(start, colon)).toLowerCase() === wanted) {
      values.push(unfold(kept.slice(colon + 1, end)));
    }
    start = end;
  }
  return values;
}

/** Selects fields from those that were kept of one message after the other, as `selectFields` does from whole headers. */
export class KeptSelection {
  readonly #wanted: ReadonlySet<string>;
  /** Names as they were met, and whether they are wanted: messages spell them alike. */
  readonly #met = new Map<string, boolean>();

  /** @param names All kept. */
  constructor(names: readonly string[]) {
    this.#wanted = new Set(names.map((name) => name.toLowerCase()));
  }

  /** What selectFields of the message's header gives in its mode 'only'. @param kept As keptFields gives it. */
  select(kept: string): string {
    let selected = '';
    let from = 0;
    let until = 0;
    const fieldsEnd =
      kept === EMPTY_LINE || kept.endsWith(`\n${EMPTY_LINE}`) ? kept.length - EMPTY_LINE.length : kept.length;
    for (let start = 0; start < fieldsEnd; ) {
      const end = endOfField(kept, start);
      if (this.#wants(kept.slice(start, kept.indexOf(':', start)))) {
        // Neighbours are taken in one piece.
        if (start !== until) {
          selected += kept.slice(from, until);
          from = start;
        }
        until = end;
      }
      start = end;
    }
    selected += kept.slice(from, until);
    if (selected !== '' && !selected.endsWith('\n')) selected += '\r\n';
    return selected + kept.slice(fieldsEnd);
  }

  /** @param name May have white space behind it (RFC 5322 §4.5). */
  #wants(name: string): boolean {
    const met = this.#met.get(name);
    if (met !== undefined) return met;
    const isWanted = this.#wanted.has(fieldName(name).toLowerCase());
    if (this.#met.size < MET_NAMES) this.#met.set(name, isWanted);
    return isWanted;
  }
}
