/**
 * One FETCH response. RFC 9051 §7.5.2; RFC 8474 §5, RFC 8514 §3, RFC 8970 §3.
 *
 * A response is put together before any of it is written, so that a message which does not open leaves no half line
 * behind. Long octets are the exception: they are written frame by frame, and once their length has been promised the
 * only honest failure is to close the connection (BrokenLiteral).
 */
import { IMAP_STREAM_OCTETS } from '../../limits.ts';
import { selectFields } from '../../message/header.ts';
import { locateSection, type OctetRange } from '../../message/section.ts';
import type { KnownContent, MessageSummary, StoredMessage } from '../../store/types.ts';
import { printDateTime } from '../wire/dates.ts';
import { printString } from '../wire/printer.ts';
import type { Output, SelectedFolder } from './context.ts';
import {
  type FetchPlan,
  type IndexItem,
  type OctetsItem,
  type PlannedItem,
  partialRange,
} from './fetch-plan.ts';
import { printFlags } from './flags.ts';
import { emailIdOf } from './object-id.ts';
import { fetchHead } from './uid-only.ts';

/** A response that cannot be finished: the connection must be closed, without another octet. */
export class BrokenLiteral extends Error {
  constructor(cause: unknown) {
    super('a response was broken off', { cause });
    this.name = 'BrokenLiteral';
  }
}

/**
 * A response without content of the message, or '' when the message is gone or unknown to the client.
 * @param summary Needed when the plan needs the index.
 */
export function indexResponse(
  plan: FetchPlan,
  uid: number,
  selected: SelectedFolder,
  summary: MessageSummary | null,
): string {
  const number = selected.numbers.sequenceOf(uid);
  const flags = selected.view.flags(uid as Parameters<typeof selected.view.flags>[0]);
  if (number === 0 || flags === undefined) return '';
  let items = plan.withUid ? `UID ${uid}` : '';
  for (const item of plan.items) {
    if (items !== '') items += ' ';
    switch (item.kind) {
      case 'FLAGS':
        items += printFlags(flags.system, flags.keywords, selected.numbers.isRecent(uid));
        selected.numbers.flagsTold(uid);
        break;
      case 'MODSEQ':
        items += `MODSEQ (${flags.modSeq})`;
        break;
      case 'THREADID':
        items += 'THREADID NIL';
        break;
      case 'INTERNALDATE':
      case 'SAVEDATE':
      case 'RFC822.SIZE':
      case 'EMAILID':
        items += indexValue(item.kind, summary!);
        break;
      default:
        throw new Error(`${item.kind} is not in the index`);
    }
  }
  return `${fetchHead(selected, number, uid)}${items})\r\n`;
}

/**
 * Writes the response of an opened message; nothing when it is gone or unknown to the client.
 * @param tellFlags Adds FLAGS though they were not asked for: the fetch has just set \Seen (RFC 9051 §6.4.5).
 * @throws IntegrityError with nothing written; BrokenLiteral.
 * @returns whether a response was written.
 */
export async function writeResponse(
  plan: FetchPlan,
  message: StoredMessage,
  selected: SelectedFolder,
  out: Output,
  tellFlags: { readonly withModSeq: boolean } | null,
): Promise<boolean> {
  const { uid } = message;
  const number = selected.numbers.sequenceOf(uid);
  if (number === 0 || selected.view.flags(uid) === undefined) return false;
  const draft = new Draft(out, fetchHead(selected, number, uid));
  try {
    if (plan.withUid) draft.item(`UID ${uid}`);
    for (const item of plan.items) {
      const text =
        item.kind === 'octets' ? await octets(item, message, draft) : await value(item, message, selected);
      if (text !== null) draft.item(text);
    }
    if (tellFlags !== null) {
      if (!plan.withFlags) draft.item((await value({ kind: 'FLAGS' }, message, selected))!);
      if (tellFlags.withModSeq && !plan.withModSeq) {
        draft.item((await value({ kind: 'MODSEQ' }, message, selected))!);
      }
    }
  } catch (error) {
    throw draft.isCommitted ? new BrokenLiteral(error) : error;
  }
  draft.end();
  return true;
}

/**
 * The response of a message of which all is at hand, as wire text; null when the message has to be opened for it, and ''
 * when it is gone or unknown to the client. What writeResponse would write, without a wait.
 */
export function knownResponse(
  plan: FetchPlan,
  message: StoredMessage,
  selected: SelectedFolder,
): string | null {
  const { uid } = message;
  const number = selected.numbers.sequenceOf(uid);
  if (number === 0 || selected.view.flags(uid) === undefined) return '';
  const known = message.known();
  if (known === null) return null;
  let items = plan.withUid ? `UID ${uid}` : '';
  for (const item of plan.items) {
    const text =
      item.kind === 'octets' ? knownFields(item, known) : knownValue(item.kind, message, known, selected);
    if (text === null) return null;
    items += items === '' ? text : ` ${text}`;
  }
  return `${fetchHead(selected, number, uid)}${items})\r\n`;
}

function knownValue(
  kind: Exclude<PlannedItem, OctetsItem>['kind'],
  message: StoredMessage,
  known: KnownContent,
  selected: SelectedFolder,
): string | null {
  switch (kind) {
    case 'ENVELOPE':
      return prefixed('ENVELOPE ', known.envelope);
    case 'BODYSTRUCTURE':
      return prefixed('BODYSTRUCTURE ', known.bodyStructure);
    case 'BODY':
    case 'PREVIEW':
      return null;
    default:
      return closedValue(kind, message, selected);
  }
}

const prefixed = (name: string, text: string | null): string | null => (text === null ? null : name + text);

function knownFields({ name, kept, partial }: OctetsItem, known: KnownContent): string | null {
  const fields = kept === null ? null : known.fields;
  if (fields === null) return null;
  const selected = kept!.select(fields);
  const { start, end } = partialRange({ start: 0, end: selected.length }, partial);
  return `${name} {${end - start}}\r\n${selected.slice(start, end)}`;
}

/** Pieces of a response, held back until it is whole or `commit` is called. */
class Draft {
  readonly #out: Output;
  #text: string;
  #pieces: (string | Uint8Array)[] = [];
  #separator = '';
  isCommitted = false;

  constructor(out: Output, start: string) {
    this.#out = out;
    this.#text = start;
  }

  item(text: string): void {
    this.#text += this.#separator + text;
    this.#separator = ' ';
  }

  literal(name: string, octets: Uint8Array): void {
    this.item(`${name} {${octets.length}}\r\n`);
    this.#pieces.push(this.#text, octets);
    this.#text = '';
  }

  /** From here on there is no way back. */
  commit(): Output {
    this.isCommitted = true;
    this.#write();
    return this.#out;
  }

  end(): void {
    this.#text += ')\r\n';
    this.#write();
  }

  #write(): void {
    for (const piece of this.#pieces) {
      if (typeof piece === 'string') this.#out.text(piece);
      else this.#out.octets(piece);
    }
    this.#out.text(this.#text);
    this.#pieces = [];
    this.#text = '';
  }
}

function indexValue(kind: IndexItem, summary: MessageSummary): string {
  switch (kind) {
    case 'INTERNALDATE':
      return `INTERNALDATE ${printDateTime(summary.internalDate)}`;
    case 'SAVEDATE':
      return `SAVEDATE ${printDateTime(summary.saveDate)}`;
    case 'RFC822.SIZE':
      return `RFC822.SIZE ${summary.sizeOctets}`;
    case 'EMAILID':
      return `EMAILID (${emailIdOf(summary)})`;
    default:
      return kind satisfies never;
  }
}

async function value(
  item: Exclude<PlannedItem, OctetsItem>,
  message: StoredMessage,
  selected: SelectedFolder,
): Promise<string> {
  switch (item.kind) {
    case 'ENVELOPE':
      return `ENVELOPE ${(await message.digest()).envelope}`;
    case 'BODY':
      return `BODY ${(await message.digest()).body}`;
    case 'BODYSTRUCTURE':
      return `BODYSTRUCTURE ${(await message.digest()).bodyStructure}`;
    case 'PREVIEW':
      return `PREVIEW ${printString((await message.digest()).preview)}`;
    default:
      return closedValue(item.kind, message, selected);
  }
}

/** What can be said of a message that is not opened. */
function closedValue(
  kind: IndexItem | 'FLAGS' | 'MODSEQ' | 'THREADID',
  message: StoredMessage,
  selected: SelectedFolder,
): string {
  switch (kind) {
    case 'THREADID':
      return 'THREADID NIL';
    case 'FLAGS': {
      // Not the message's own: \Seen may have been set since it was read.
      const flags = selected.view.flags(message.uid);
      selected.numbers.flagsTold(message.uid);
      return printFlags(
        flags?.system ?? message.systemFlags,
        flags?.keywords ?? message.keywords,
        selected.numbers.isRecent(message.uid),
      );
    }
    case 'MODSEQ':
      return `MODSEQ (${selected.view.flags(message.uid)?.modSeq ?? message.modSeq})`;
    default:
      return indexValue(kind, message);
  }
}

/** Drafts or writes the octets of a section; returns the item's text when it has none. */
async function octets(item: OctetsItem, message: StoredMessage, draft: Draft): Promise<string | null> {
  const { section } = item;
  let range: OctetRange | null = { start: 0, end: message.sizeOctets };
  if (section.path.length > 0 || section.text !== null) {
    range = locateSection((await message.digest()).parts, section);
  }
  if (range === null) return `${item.name} NIL`;
  if (section.text === 'HEADER.FIELDS' || section.text === 'HEADER.FIELDS.NOT') {
    const header = await message.read(range.start, range.end);
    const fields = selectFields(header, item.fields, section.text === 'HEADER.FIELDS' ? 'only' : 'except');
    const { start, end } = partialRange({ start: 0, end: fields.length }, item.partial);
    draft.literal(item.name, fields.subarray(start, end));
    return null;
  }
  const { start, end } = partialRange(range, item.partial);
  if (end - start <= IMAP_STREAM_OCTETS) {
    const read = end > start ? await message.read(start, end) : Buffer.alloc(0);
    if (read.length !== end - start) throw new Error('the store yielded another length than it promised');
    draft.literal(item.name, read);
    return null;
  }
  draft.item(`${item.name} {${end - start}}\r\n`);
  const out = draft.commit();
  let left = end - start;
  for await (const chunk of message.octets(start, end)) {
    left -= chunk.length;
    if (left < 0) break;
    out.octets(chunk);
    await out.settle();
  }
  if (left !== 0) throw new Error('the store yielded another length than it promised');
  return null;
}
