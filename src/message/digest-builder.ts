/** Makes a message's digest while its octets stream by: one pass at delivery, nothing to parse at FETCH. */
import { createHash } from 'node:crypto';
import { imapBody, imapBodyStructure } from './body-structure.ts';
import { parameterValue } from './content-type.ts';
import { DIGEST_VERSION, type Digest, type DigestPart } from './digest.ts';
import { type Entity, mediaTypeName } from './entity.ts';
import { imapEnvelope } from './imap-envelope.ts';
import { previewText } from './preview.ts';
import { StructureReader } from './structure.ts';

export class DigestBuilder {
  readonly #hash = createHash('sha256');
  readonly #structure = new StructureReader();

  /** Takes the next octets of the message, in any chunking; the chunk is the caller's again when this returns. */
  push(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#structure.push(chunk);
  }

  /**
   * The digest of all that was pushed. Call once. Never throws: every sequence of octets is a message.
   * @param frames Sealed length of each zstd frame.
   */
  end(frames: readonly number[]): Digest {
    const { root, sizeOctets, sample } = this.#structure.end();
    return {
      version: DIGEST_VERSION,
      sizeOctets,
      sha256: this.#hash.digest('hex'),
      envelope: imapEnvelope(root.envelope!),
      bodyStructure: imapBodyStructure(root),
      body: imapBody(root),
      parts: digestParts(root),
      frames,
      preview: sample === null ? '' : previewText(digestPart(sample.entity, ''), sample.octets),
    };
  }
}

/** All entities, depth-first, with their sections (DigestPart.section). */
export function digestParts(message: Entity): DigestPart[] {
  const parts: DigestPart[] = [];
  addMessage(parts, message, '');
  return parts;
}

/** @param section '' or the section of the part that embeds the message and a dot. */
function addMessage(parts: DigestPart[], message: Entity, section: string): void {
  parts.push(digestPart(message, section));
  if (message.kind === 'message') addMessage(parts, message.children[0]!, `${section}1.`);
  else addParts(parts, message.children, section);
}

function addPart(parts: DigestPart[], part: Entity, section: string): void {
  parts.push(digestPart(part, section));
  if (part.kind === 'message') addMessage(parts, part.children[0]!, `${section}.`);
  else addParts(parts, part.children, `${section}.`);
}

function addParts(parts: DigestPart[], children: readonly Entity[], prefix: string): void {
  for (const [index, child] of children.entries()) addPart(parts, child, `${prefix}${index + 1}`);
}

function digestPart({ content, headerStart, bodyStart, end }: Entity, section: string): DigestPart {
  const { mediaType, transferEncoding } = content;
  const isText = mediaType.type.toLowerCase() === 'text';
  return {
    section,
    mediaType: mediaTypeName(mediaType),
    charset: isText ? (parameterValue(mediaType.parameters, 'charset') ?? '').toLowerCase() : '',
    encoding: (transferEncoding ?? '7bit').toLowerCase(),
    headerStart,
    bodyStart,
    end,
  };
}
