/**
 * From the octets that a client sent to the octets that are sealed: one block of trace fields in front, and the changes
 * that header-rules.ts names. Nothing behind the header section is looked at.
 */
import { RefusedError } from '../errors.ts';
import { HEADER_SECTION_OCTETS } from '../limits.ts';
import { parseHeader } from '../message/header.ts';
import { addedFields, type HeaderRules, type HeaderSection, keptParts } from './header-rules.ts';
import { refuseLoop, type TraceFacts, traceBlock } from './trace.ts';

export interface Acceptance {
  readonly trace: TraceFacts;
  readonly rules: HeaderRules;
}

const CRLF = Buffer.from('\r\n');
const EMPTY_LINE = Buffer.from('\r\n\r\n');
const SPACE = 32;
const TAB = 9;

/**
 * The message as it is stored, of one that is whole in memory.
 * @throws RefusedError 'mail-loop', 'too-big' (header section), and whatever `rules.check` throws.
 */
export function acceptWhole(message: Buffer, acceptance: Acceptance): Buffer {
  const end = headerEnd(message);
  const header = end < 0 ? message : message.subarray(0, end);
  const parts = acceptHeader(header, acceptance);
  parts.push(message.subarray(header.length));
  return Buffer.concat(parts);
}

/** The same of a message that is read chunk by chunk; what the header throws is thrown before the first chunk. */
export async function acceptStream(
  source: AsyncIterable<Buffer>,
  acceptance: Acceptance,
): Promise<AsyncIterable<Buffer>> {
  const chunks = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  let end = -1;
  while (end < 0 && head.length <= HEADER_SECTION_OCTETS) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
    end = headerEnd(head);
  }
  const header = end < 0 ? head : head.subarray(0, end);
  const parts = acceptHeader(header, acceptance);
  parts.push(head.subarray(header.length));
  return followedBy(Buffer.concat(parts), chunks);
}

async function* followedBy(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

function acceptHeader(octets: Buffer, acceptance: Acceptance): Buffer[] {
  if (octets.length > HEADER_SECTION_OCTETS)
    throw new RefusedError('too-big', 'The header section is too large');
  const header: HeaderSection = { octets, fields: parseHeader(octets) };
  acceptance.rules.check?.(header);
  refuseLoop(header.fields);
  const block = traceBlock(acceptance.trace) + addedFields(header, acceptance.rules);
  const parts = [Buffer.from(block), ...keptParts(header, acceptance.rules)];
  // A message whose first line begins with white space has no header; without this line it would continue ours.
  if (octets[0] === SPACE || octets[0] === TAB) parts.splice(1, 0, CRLF);
  return parts;
}

/** The octet after the empty line that ends the header section, or -1 when there is none (yet). */
function headerEnd(octets: Buffer): number {
  if (octets[0] === 13 && octets[1] === 10) return 2;
  const at = octets.indexOf(EMPTY_LINE);
  return at < 0 ? -1 : at + EMPTY_LINE.length;
}
