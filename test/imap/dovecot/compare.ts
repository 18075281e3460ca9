/** Asks two servers the same of one message, and says where their answers part. */
import type { ImapAnswer, RawImap } from '../../support/raw-imap.ts';
import type { Sample } from './monsters.ts';
import { parseFetch, type Value } from './response.ts';

const WHOLE = [
  'RFC822.SIZE',
  'ENVELOPE',
  'BODY',
  'BODYSTRUCTURE',
  'BODY.PEEK[]',
  'BODY.PEEK[]<3.20>',
  'BODY.PEEK[HEADER]',
  'BODY.PEEK[TEXT]',
  'BODY.PEEK[TEXT]<0.7>',
  'BODY.PEEK[HEADER.FIELDS (subject FROM Content-Type)]',
  'BODY.PEEK[HEADER.FIELDS.NOT (Subject X-Odd)]',
];

export interface Difference {
  /** As FETCH names it. */
  readonly item: string;
  readonly dovecot: Value | undefined;
  readonly ours: Value | undefined;
}

/** Appends the message to INBOX, which is selected, of both, and compares what FETCH says of it. */
export async function differences(
  dovecot: RawImap,
  ours: RawImap,
  { octets }: Sample,
): Promise<Difference[]> {
  const command = `APPEND INBOX {${octets.length}+}\r\n${octets}`;
  await Promise.all([dovecot.ok(command), ours.ok(command)]);
  const whole = await both(dovecot, ours, WHOLE);
  const sections = sectionsOf(whole.ours.get('BODYSTRUCTURE') ?? null);
  const parts = sections.length === 0 ? whole : await both(dovecot, ours, sections);
  return [...compared(whole), ...(parts === whole ? [] : compared(parts))];
}

interface Answers {
  readonly dovecot: ReadonlyMap<string, Value>;
  readonly ours: ReadonlyMap<string, Value>;
}

async function both(dovecot: RawImap, ours: RawImap, items: readonly string[]): Promise<Answers> {
  const command = `FETCH * (${items.join(' ')})`;
  const answers = await Promise.all([dovecot.ok(command), ours.ok(command)]);
  return { dovecot: itemsOf(answers[0]), ours: itemsOf(answers[1]) };
}

function itemsOf({ untagged }: ImapAnswer): ReadonlyMap<string, Value> {
  return parseFetch(untagged.find((response) => / FETCH \(/.test(response))!);
}

function compared({ dovecot, ours }: Answers): Difference[] {
  const found: Difference[] = [];
  for (const item of new Set([...dovecot.keys(), ...ours.keys()])) {
    const [theirs, own] = [dovecot.get(item), ours.get(item)];
    const isStructure = item === 'BODY' || item === 'BODYSTRUCTURE';
    const [a, b] = isStructure ? [lowered(theirs), lowered(own)] : [theirs, own];
    if (JSON.stringify(a) !== JSON.stringify(b)) found.push({ item, dovecot: theirs, ours: own });
  }
  return found;
}

/** RFC 2045 §5.1: types, subtypes and names of parameters are the same in any case. Values are compared so too. */
function lowered(value: Value | undefined): unknown {
  if (typeof value === 'string') return value.toLowerCase();
  return Array.isArray(value) ? value.map(lowered) : value;
}

/**
 * BODY.PEEK of every part that a BODYSTRUCTURE tells of: content, MIME header, and of embedded messages header and text.
 * RFC 9051 §6.4.5.1: what is not multipart has a part 1.
 * @param message The number of the embedded message whose structure this is; '' for the message itself.
 */
function sectionsOf(structure: Value, message = ''): string[] {
  return isMultipart(structure)
    ? partsOf(structure).flatMap((part, index) => sectionsOfPart(part, numbered(message, index + 1)))
    : sectionsOfPart(structure, numbered(message, 1));
}

function sectionsOfPart(structure: Value, number: string): string[] {
  const own = [`BODY.PEEK[${number}]`, `BODY.PEEK[${number}.MIME]`];
  if (isMultipart(structure)) return [...own, ...sectionsOf(structure, number)];
  if (!isEmbeddedMessage(structure)) return own;
  return [
    ...own,
    `BODY.PEEK[${number}.HEADER]`,
    `BODY.PEEK[${number}.TEXT]`,
    ...sectionsOf(structure[8]!, number),
  ];
}

const numbered = (path: string, part: number): string => (path === '' ? `${part}` : `${path}.${part}`);

const isMultipart = (structure: Value): structure is readonly Value[] =>
  Array.isArray(structure) && Array.isArray(structure[0]);

/** The parts come first, then the subtype, then what BODYSTRUCTURE adds. */
const partsOf = (structure: readonly Value[]): readonly Value[] =>
  structure.slice(
    0,
    structure.findIndex((value) => !Array.isArray(value)),
  );

const isEmbeddedMessage = (structure: Value): structure is readonly Value[] =>
  Array.isArray(structure) &&
  String(structure[0]).toLowerCase() === 'message' &&
  String(structure[1]).toLowerCase() === 'rfc822';
