/**
 * The structure of a message by octet offsets (RFC 2046 §5), read while its octets stream by: only the header being read
 * is held, and the beginning of a line that may be a boundary. Lines end with LF; the CR before it is optional, as
 * imported mail has both. The result does not depend on how the octets were cut into chunks.
 *
 * Nothing fails: what is no valid MIME, or beyond a limit of limits.ts, is the body of the entity it lies in. Where RFC
 * 2046 leaves room we do as Dovecot does: a boundary is found by its prefix, the longest open one wins, and a boundary
 * line inside a header ends that header.
 */
import { HEADER_OCTETS, MESSAGE_PARTS, PART_DEPTH, TOTAL_HEADER_OCTETS } from '../limits.ts';
import { type BoundaryLine, BoundaryStack, DECIDING_OCTETS } from './boundary-stack.ts';
import { parameterValue } from './content-type.ts';
import {
  asOpaque,
  type ContentFields,
  type DefaultType,
  EMPTY_ENVELOPE,
  type Entity,
  type EnvelopeFields,
  mediaTypeName,
  NO_CONTENT_FIELDS,
  readEntityHeader,
  unreadFields,
} from './entity.ts';
import { HeaderScanner } from './header-scanner.ts';
import { type TextSample, TextSampler } from './text-sampler.ts';

export interface MessageStructure {
  /** The message itself. */
  readonly root: Entity;
  readonly sizeOctets: number;
  /** The beginning of the text to make a preview of. */
  readonly sample: TextSample | null;
}

/** An entity under construction. */
interface OpenEntity {
  headerStart: number;
  bodyStart: number;
  end: number;
  kind: Entity['kind'];
  content: ContentFields;
  envelope: EnvelopeFields | null;
  lines: number;
  children: OpenEntity[];
}

/** An entity that has not ended. */
interface Frame {
  readonly entity: OpenEntity;
  readonly isMessage: boolean;
  /** What the entity is when it has no Content-Type. */
  readonly defaultType: DefaultType;
  /** #lines where the body began, when its lines are counted. */
  linesBefore: number | null;
}

const DELIMITER_HINT = Buffer.from('\n--');
const EMPTY = Buffer.alloc(0);
const LF = 10;
const CR = 13;
const HYPHEN = 45;

export class StructureReader {
  /** Octets consumed; what is held for a decision is not. */
  #offset = 0;
  /** What the next octet belongs to. 'delimiter': the rest of a boundary line. */
  #state: 'header' | 'body' | 'delimiter' = 'header';
  readonly #root: OpenEntity;
  /** From the message inwards. */
  readonly #open: Frame[] = [];
  readonly #boundaries = new BoundaryStack();
  readonly #header = new HeaderScanner(HEADER_OCTETS);
  /** Beginning of the current line while it is too short to decide whether it is a boundary. Holds no LF. */
  #heldLine: Buffer = EMPTY;
  #isAtLineStart = false;
  /** Octets of the line end before the current line: they belong to the boundary, if it is one. */
  #lineEndOctets = 0;
  #lastOctet = LF;
  /** Whether the boundary line being passed is the last of its multipart. */
  #isDelimiterClosing = false;
  #entities = 0;
  #headerOctets = 0;
  /** Line ends passed while some open entity counted them. */
  #lines = 0;
  #countingEntities = 0;
  readonly #sampler = new TextSampler();

  constructor() {
    this.#root = this.#openEntity(true, 'text/plain', 0);
  }

  /** Takes the next octets. The chunk is the caller's again when this returns. */
  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#state === 'header') position = this.#readHeader(chunk, position);
      else if (this.#state === 'delimiter') position = this.#readDelimiter(chunk, position);
      else if (this.#isAtLineStart && !this.#boundaries.isEmpty)
        position = this.#readLineStart(chunk, position);
      else position = this.#readBody(chunk, position);
    }
  }

  /** The structure of all that was pushed. Call once. */
  end(): MessageStructure {
    if (this.#state === 'header') {
      const { octets, lineStart } = this.#header.finish();
      const line = this.#boundaries.match(octets, lineStart, octets.length);
      if (line === null) this.#endHeader(octets, 0, octets.length);
      else this.#endHeaderAtBoundary(octets, 0, lineStart, line);
      this.#consume(octets, line === null ? octets.length : lineStart, octets.length);
    } else if (this.#heldLine.length > 0) {
      const line = this.#boundaries.match(this.#heldLine, 0, this.#heldLine.length);
      if (line !== null) this.#closeBefore(line);
      this.#consume(this.#heldLine, 0, this.#heldLine.length);
    }
    this.#close(0, this.#offset, 0);
    return { root: this.#root, sizeOctets: this.#offset, sample: this.#sampler.sample() };
  }

  #readHeader(chunk: Buffer, position: number): number {
    const found = this.#header.scan(chunk, position, this.#isBoundary);
    if (found === null) return chunk.length;
    const { octets, start, end, lineEnd } = found;
    const line = lineEnd === end ? null : this.#boundaries.match(octets, end, lineEnd - 1);
    if (line === null) this.#endHeader(octets, start, end);
    else {
      this.#endHeaderAtBoundary(octets, start, end, line);
      this.#lineEndOctets = octets[lineEnd - 2] === CR ? 2 : 1;
      this.#consume(octets, end, lineEnd);
      this.#endDelimiter();
    }
    return found.position;
  }

  readonly #isBoundary = (octets: Buffer, start: number, end: number): boolean =>
    this.#boundaries.match(octets, start, end) !== null;

  /** The header of the innermost entity is octets [start, end); its body follows. */
  #endHeader(octets: Buffer, start: number, end: number): void {
    this.#consume(octets, start, end);
    this.#isAtLineStart = this.#lastOctet === LF;
    this.#lineEndOctets = 0;
    this.#state = 'body';
    this.#enterBody(octets.toString('latin1', start, end), this.#offset);
  }

  /** The same where a boundary line begins at `end`: there is no body, and the header's last line end is the boundary's. */
  #endHeaderAtBoundary(octets: Buffer, start: number, end: number, line: BoundaryLine): void {
    this.#consume(octets, start, end);
    this.#lineEndOctets = end === start ? 0 : end - start > 1 && octets[end - 2] === CR ? 2 : 1;
    this.#enterBody(octets.toString('latin1', start, end), this.#offset - this.#lineEndOctets);
    this.#closeBefore(line);
  }

  #enterBody(header: string, bodyStart: number): void {
    const frame = this.#open.at(-1)!;
    const entity = frame.entity;
    entity.bodyStart = bodyStart;
    this.#headerOctets += header.length;
    const fields =
      this.#headerOctets > TOTAL_HEADER_OCTETS
        ? unreadFields(frame.isMessage)
        : readEntityHeader(header, frame.isMessage, frame.defaultType);
    entity.content = fields.content;
    entity.envelope = fields.envelope;
    const type = mediaTypeName(fields.content.mediaType);
    if (type.startsWith('multipart/')) this.#enterMultipart(entity);
    else if (type === 'message/rfc822' || (type === 'message/global' && isIdentity(fields.content))) {
      this.#enterMessage(frame, bodyStart);
    } else if (type.startsWith('text/')) {
      this.#countLines(frame);
      this.#sampler.begin(entity, type, this.#open.findLastIndex((open) => open.isMessage) > 0);
    }
  }

  #enterMultipart(entity: OpenEntity): void {
    if (this.#open.length > PART_DEPTH) {
      entity.content = asOpaque(entity.content);
      return;
    }
    entity.kind = 'multipart';
    const boundary = parameterValue(entity.content.mediaType.parameters, 'boundary');
    if (boundary !== null) this.#boundaries.push(boundary, this.#open.length - 1);
  }

  #enterMessage(frame: Frame, bodyStart: number): void {
    if (this.#open.length > PART_DEPTH || this.#entities >= MESSAGE_PARTS) {
      frame.entity.content = asOpaque(frame.entity.content);
      return;
    }
    frame.entity.kind = 'message';
    this.#countLines(frame);
    frame.entity.children.push(this.#openEntity(true, 'text/plain', bodyStart));
    this.#state = 'header';
  }

  /** Passes the rest of a boundary line. */
  #readDelimiter(chunk: Buffer, position: number): number {
    const lf = chunk.indexOf(LF, position);
    if (lf < 0) {
      this.#consume(chunk, position, chunk.length);
      return chunk.length;
    }
    this.#passLineEnd(chunk, position, lf);
    this.#endDelimiter();
    return lf + 1;
  }

  #endDelimiter(): void {
    this.#state = 'body';
    this.#isAtLineStart = true;
    if (this.#isDelimiterClosing) return;
    if (this.#entities >= MESSAGE_PARTS) {
      this.#boundaries.clear();
      return;
    }
    const multipart = this.#open.at(-1)!.entity;
    const isDigest = multipart.content.mediaType.subtype.toLowerCase() === 'digest';
    multipart.children.push(
      this.#openEntity(false, isDigest ? 'message/rfc822' : 'text/plain', this.#offset),
    );
    this.#state = 'header';
  }

  /** At the beginning of a line that a boundary may begin. */
  #readLineStart(chunk: Buffer, position: number): number {
    const held = this.#heldLine.length;
    const octets =
      held === 0
        ? chunk
        : Buffer.concat([this.#heldLine, chunk.subarray(position, position + DECIDING_OCTETS - held)]);
    const start = held === 0 ? position : 0;
    const available = Math.min(octets.length, start + DECIDING_OCTETS);
    if (!this.#isHyphenated(octets, start, available)) {
      this.#heldLine = EMPTY;
      this.#isAtLineStart = false;
      this.#consume(octets, start, start + held);
      return position;
    }
    let end = start;
    while (end < available && octets[end] !== LF) end++;
    if (end === available && available < start + DECIDING_OCTETS) {
      this.#heldLine = Buffer.from(octets.subarray(start));
      return chunk.length;
    }
    const line = this.#boundaries.match(octets, start, end);
    this.#heldLine = EMPTY;
    this.#isAtLineStart = false;
    let taken = held;
    if (line !== null) {
      taken = Math.max(held, line.length);
      this.#closeBefore(line);
    }
    this.#consume(octets, start, start + taken);
    return position + taken - held;
  }

  /** Whether the line begins with two hyphens, or is too short to tell. */
  #isHyphenated(octets: Buffer, start: number, end: number): boolean {
    return octets[start] === HYPHEN && (start + 1 === end || octets[start + 1] === HYPHEN);
  }

  /** Passes the body up to a line that a boundary may begin, or the whole chunk. */
  #readBody(chunk: Buffer, position: number): number {
    if (!this.#boundaries.isEmpty) {
      const lf = findLineEndBeforeHyphens(chunk, position);
      if (lf >= 0) {
        this.#passLineEnd(chunk, position, lf);
        this.#isAtLineStart = true;
        return lf + 1;
      }
    }
    this.#consume(chunk, position, chunk.length);
    return chunk.length;
  }

  #passLineEnd(chunk: Buffer, position: number, lf: number): void {
    const before = lf > position ? chunk[lf - 1] : this.#lastOctet;
    this.#lineEndOctets = before === CR ? 2 : 1;
    this.#consume(chunk, position, lf + 1);
  }

  /** At the beginning of a boundary line, before it is consumed: ends what lies within that boundary's multipart. */
  #closeBefore(line: BoundaryLine): void {
    const innermost = this.#open.at(-1)!.entity;
    const end = Math.max(this.#offset - this.#lineEndOctets, innermost.bodyStart);
    this.#close(line.boundary.depth + 1, end, end < this.#offset ? 1 : 0);
    this.#boundaries.pass(line);
    this.#isDelimiterClosing = line.isClosing;
    this.#state = 'delimiter';
  }

  /** Ends all but the `depth` outermost entities at `end`, `excessLines` line ends before here. */
  #close(depth: number, end: number, excessLines: number): void {
    this.#sampler.end();
    while (this.#open.length > depth) {
      const { entity, linesBefore } = this.#open.pop()!;
      entity.end = end;
      if (linesBefore !== null) {
        entity.lines = Math.max(0, this.#lines - excessLines - linesBefore);
        this.#countingEntities--;
      }
      if (entity.kind === 'multipart' && entity.children.length === 0) entity.children.push(newEntity(end));
    }
  }

  #openEntity(isMessage: boolean, defaultType: DefaultType, headerStart: number): OpenEntity {
    const entity = newEntity(headerStart);
    if (isMessage) entity.envelope = EMPTY_ENVELOPE;
    this.#open.push({ entity, isMessage, defaultType, linesBefore: null });
    this.#entities++;
    return entity;
  }

  #countLines(frame: Frame): void {
    frame.linesBefore = this.#lines;
    this.#countingEntities++;
  }

  #consume(octets: Buffer, from: number, to: number): void {
    if (from >= to) return;
    if (this.#countingEntities > 0) this.#lines += countLineEnds(octets, from, to);
    this.#sampler.push(octets, from, to);
    this.#lastOctet = octets[to - 1]!;
    this.#offset += to - from;
  }
}

/** RFC 6532 §3.7 allows message/global an encoding, in which its structure cannot be seen; RFC 2046 §5.2.1 allows none. */
function isIdentity(content: ContentFields): boolean {
  return ['7bit', '8bit', 'binary'].includes(content.transferEncoding?.toLowerCase() ?? '7bit');
}

/** An empty text/plain part at `offset`, which reading fills; a multipart without parts keeps it as its one part. */
function newEntity(offset: number): OpenEntity {
  return {
    headerStart: offset,
    bodyStart: offset,
    end: offset,
    kind: 'leaf',
    content: NO_CONTENT_FIELDS,
    envelope: null,
    lines: 0,
    children: [],
  };
}

/** The first LF from `position` on that two hyphens follow, or that does so little to the end of the chunk that they may. */
function findLineEndBeforeHyphens(chunk: Buffer, position: number): number {
  const found = chunk.indexOf(DELIMITER_HINT, position);
  if (found >= 0) return found;
  const last = chunk.length - 1;
  if (chunk[last] === LF) return last;
  return chunk[last] === HYPHEN && last > position && chunk[last - 1] === LF ? last - 1 : -1;
}

function countLineEnds(octets: Buffer, from: number, to: number): number {
  let count = 0;
  for (let lf = octets.indexOf(LF, from); lf >= 0 && lf < to; lf = octets.indexOf(LF, lf + 1)) count++;
  return count;
}
