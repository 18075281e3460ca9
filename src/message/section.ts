/** Which octets of a message a FETCH section names. RFC 3501 §6.4.5, RFC 9051 §6.4.5.1. */
import type { DigestPart } from './digest.ts';

export type SectionText = 'HEADER' | 'HEADER.FIELDS' | 'HEADER.FIELDS.NOT' | 'TEXT' | 'MIME';

export interface SectionSpec {
  /** Part numbers from 1; empty for the message itself. */
  readonly path: readonly number[];
  /** null: the part's body (or, with an empty path, the whole message). */
  readonly text: SectionText | null;
}

/** Octets [start, end) of the message. */
export interface OctetRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The octets that a section names, or null when the message has no such section. For HEADER.FIELDS and
 * HEADER.FIELDS.NOT it is the whole header, of which header.ts `selectFields` then takes the subset.
 *
 * HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT and TEXT exist for the message and for message/rfc822 parts, of which they
 * name the embedded message's; MIME exists for every part, and of a message that is its only part it is the header.
 */
export function locateSection(parts: readonly DigestPart[], { path, text }: SectionSpec): OctetRange | null {
  const section = path.join('.');
  if (text === null || text === 'MIME') {
    const part = path.length === 0 ? findEntity(parts, '') : findPart(parts, section);
    if (part === undefined || (text === 'MIME' && path.length === 0)) return null;
    if (text === 'MIME') return header(part);
    return path.length === 0 ? { start: part.headerStart, end: part.end } : body(part);
  }
  const message = findEntity(parts, path.length === 0 ? '' : `${section}.`);
  if (message === undefined) return null;
  return text === 'TEXT' ? body(message) : header(message);
}

function header(part: DigestPart): OctetRange {
  return { start: part.headerStart, end: part.bodyStart };
}

function body(part: DigestPart): OctetRange {
  return { start: part.bodyStart, end: part.end };
}

function findEntity(parts: readonly DigestPart[], section: string): DigestPart | undefined {
  return parts.find((part) => part.section === section);
}

/** RFC 9051 §6.4.5.1: every message has a part 1, which is the message's own body when it is not multipart. */
function findPart(parts: readonly DigestPart[], section: string): DigestPart | undefined {
  const found = findEntity(parts, section);
  if (found !== undefined || !/(^|\.)1$/.test(section)) return found;
  const message = findEntity(parts, section.slice(0, -1));
  return message?.mediaType.startsWith('multipart/') ? undefined : message;
}
