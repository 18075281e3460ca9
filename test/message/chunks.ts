/** Ways to cut a message for push parsers: the result must be the same for all of them. */
import type { Entity } from '../../src/message/entity.ts';
import { type MessageStructure, StructureReader } from '../../src/message/structure.ts';

/** Octets of latin1 text whose line ends are written as LF, with CRLF instead. */
export function crlf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
}

/** The octets in one piece, octet by octet, and in pieces of some odd lengths. */
export function* chunkings(octets: Buffer): Generator<Buffer[]> {
  yield [octets];
  for (const length of [1, 2, 3, 7, 13, 64, 257]) yield cut(octets, [length]);
}

/** Pieces of the given lengths, over and over. The pieces are copies that the reader cannot hold on to. */
export function cut(octets: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let position = 0;
  while (position < octets.length) {
    const length = lengths[pieces.length % lengths.length]!;
    pieces.push(Buffer.from(octets.subarray(position, position + length)));
    position += length;
  }
  return pieces;
}

/** The structure of a message pushed in these pieces, each overwritten after it was pushed. */
export function readStructure(pieces: readonly Buffer[]): MessageStructure {
  const reader = new StructureReader();
  for (const piece of pieces) {
    const lent = Buffer.from(piece);
    reader.push(lent);
    lent.fill('-');
  }
  return reader.end();
}

/**
 * An entity in one line for each: 'kind type/subtype "body" lines' with children indented, bodies cut from the message.
 */
export function outline(octets: Buffer, entity: Entity, indent = ''): string[] {
  const { type, subtype } = entity.content.mediaType;
  const body = JSON.stringify(octets.toString('latin1', entity.bodyStart, entity.end).replaceAll('\r', ''));
  const lines = entity.lines > 0 ? ` ${entity.lines}` : '';
  const own = `${indent}${type}/${subtype}${entity.kind === 'leaf' ? ` ${body}` : ''}${lines}`;
  return [own, ...entity.children.flatMap((child) => outline(octets, child, `${indent}  `))];
}
