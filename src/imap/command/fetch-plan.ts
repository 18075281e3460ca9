/** What a FETCH asks for, sorted by what it costs. RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 8474, 8514, 8970. */
import { areKept, KeptSelection } from '../../message/kept-fields.ts';
import type { OctetRange, SectionSpec } from '../../message/section.ts';
import type { FetchItem, Section } from '../wire/ast.ts';
import { printBodySectionName } from '../wire/section.ts';

/** Octets of the message under the name that the client asked for. */
export interface OctetsItem {
  readonly kind: 'octets';
  readonly name: string;
  readonly section: SectionSpec;
  /** Fields of HEADER.FIELDS and HEADER.FIELDS.NOT. */
  readonly fields: readonly string[];
  /** What selects them from kept fields, when all of them are kept (message/kept-fields.ts), else null. */
  readonly kept: KeptSelection | null;
  /** `<offset.length>` of what the section names. */
  readonly partial: { readonly offset: number; readonly length: number } | null;
}

/** What the index knows of a message. */
export type IndexItem = 'INTERNALDATE' | 'SAVEDATE' | 'RFC822.SIZE' | 'EMAILID';

export type PlannedItem =
  | { readonly kind: 'FLAGS' | 'MODSEQ' | 'THREADID' }
  | { readonly kind: IndexItem }
  | { readonly kind: 'ENVELOPE' | 'BODY' | 'BODYSTRUCTURE' | 'PREVIEW' }
  | OctetsItem;

export interface FetchPlan {
  /** In the order asked for; UID is not among them, as it always comes first. */
  readonly items: readonly PlannedItem[];
  readonly withUid: boolean;
  readonly withFlags: boolean;
  readonly withModSeq: boolean;
  /** What the dearest item needs: the open folder, its index, the sealed digest, kept header fields, or the message. */
  readonly needs: 'view' | 'index' | 'digest' | 'kept' | 'octets';
  /** Whether an item sets \Seen. */
  readonly setsSeen: boolean;
}

const RFC822_SECTIONS = {
  RFC822: { path: [], text: null },
  'RFC822.HEADER': { path: [], text: 'HEADER' },
  'RFC822.TEXT': { path: [], text: 'TEXT' },
} as const satisfies Record<string, SectionSpec>;

const COST = ['view', 'index', 'digest', 'kept', 'octets'] as const;

/** @param withModSeq Adds MODSEQ when it was not asked for (RFC 7162 §3.1.4.1). */
export function planFetch(items: readonly FetchItem[], isUid: boolean, withModSeq: boolean): FetchPlan {
  const planned: PlannedItem[] = [];
  let withUid = isUid;
  let setsSeen = false;
  let cost = 0;
  for (const item of items) {
    switch (item.item) {
      case 'UID':
        withUid = true;
        break;
      case 'FLAGS':
      case 'MODSEQ':
      case 'THREADID':
        planned.push({ kind: item.item });
        break;
      case 'INTERNALDATE':
      case 'SAVEDATE':
      case 'RFC822.SIZE':
      case 'EMAILID':
        planned.push({ kind: item.item });
        cost = Math.max(cost, 1);
        break;
      case 'ENVELOPE':
      case 'BODY':
      case 'BODYSTRUCTURE':
      case 'PREVIEW':
        planned.push({ kind: item.item });
        cost = Math.max(cost, 2);
        break;
      case 'RFC822':
      case 'RFC822.HEADER':
      case 'RFC822.TEXT':
        planned.push({
          kind: 'octets',
          name: item.item,
          section: RFC822_SECTIONS[item.item],
          fields: [],
          kept: null,
          partial: null,
        });
        setsSeen ||= item.item !== 'RFC822.HEADER';
        cost = 4;
        break;
      case 'BODY[]': {
        const kept = keptOf(item.section);
        planned.push({
          kind: 'octets',
          name: printBodySectionName(item),
          section: sectionSpec(item.section),
          fields: item.section.fields,
          kept,
          partial: item.partial,
        });
        setsSeen ||= !item.isPeek;
        cost = Math.max(cost, kept === null ? 4 : 3);
        break;
      }
      default:
        item satisfies never;
    }
  }
  if (withModSeq && !planned.some(({ kind }) => kind === 'MODSEQ')) planned.push({ kind: 'MODSEQ' });
  return {
    items: planned,
    withUid,
    withFlags: planned.some(({ kind }) => kind === 'FLAGS'),
    withModSeq: planned.some(({ kind }) => kind === 'MODSEQ'),
    needs: COST[cost]!,
    setsSeen,
  };
}

function sectionSpec(section: Section): SectionSpec {
  return { path: section.part === '' ? [] : section.part.split('.').map(Number), text: section.text };
}

function keptOf({ part, text, fields }: Section): KeptSelection | null {
  if (part !== '' || text !== 'HEADER.FIELDS' || !areKept(fields)) return null;
  return new KeptSelection(fields);
}

/** The part of `range` that `<offset.length>` leaves; empty when the offset lies behind it. */
export function partialRange(range: OctetRange, partial: OctetsItem['partial']): OctetRange {
  if (partial === null) return range;
  const start = Math.min(range.start + partial.offset, range.end);
  return { start, end: Math.min(start + partial.length, range.end) };
}
