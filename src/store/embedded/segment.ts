/**
 * Accept-journal segments as octets: header and records. docs/format.md, "Accept journal".
 */
import { readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { IntegrityError } from '../../errors.ts';
import type { Operation } from '../operation.ts';

export const SEGMENT_HEADER_OCTETS = 24;
const MAGIC = Buffer.from('LLAJ\x01\0\0\0', 'latin1');
const RECORD_PREFIX_OCTETS = 8;
const RECORD_FIXED_OCTETS = 12;

export interface SegmentHeader {
  readonly number: number;
  readonly seed: number;
}

export interface JournalRecord {
  readonly sequence: number;
  readonly operation: Operation;
  readonly blobs: readonly Buffer[];
}

/** A record found in a segment, and where each of its blobs lies in the segment's file. */
export interface LocatedRecord extends JournalRecord {
  readonly blobOffsets: readonly number[];
  /** Offset of its first octet, and of the octet after it. */
  readonly offset: number;
  readonly end: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const out = Buffer.alloc(SEGMENT_HEADER_OCTETS);
  MAGIC.copy(out);
  out.writeBigUInt64BE(BigInt(header.number), 8);
  out.writeUInt32BE(header.seed, 16);
  return out;
}

/** @returns null for a segment that is free (zeros). @throws IntegrityError for anything else that is not a header. */
export function decodeSegmentHeader(octets: Buffer): SegmentHeader | null {
  if (octets.length < SEGMENT_HEADER_OCTETS) return null;
  if (octets.subarray(0, SEGMENT_HEADER_OCTETS).every((octet) => octet === 0)) return null;
  if (!octets.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new IntegrityError('format', 'An accept-journal segment has an unknown format');
  }
  return { number: Number(octets.readBigUInt64BE(8)), seed: octets.readUInt32BE(16) };
}

/** A record in pieces, not yet tied to a segment: `frame` does that when its place is known. */
export interface PendingRecord {
  readonly operationOctets: Buffer;
  readonly blobs: readonly Buffer[];
  readonly length: number;
}

export function encodeRecord(operation: Operation, blobs: readonly Buffer[]): PendingRecord {
  const operationOctets = Buffer.from(
    JSON.stringify({ ...operation, blobs: blobs.map((blob) => blob.length) }),
  );
  const blobOctets = blobs.reduce((sum, blob) => sum + blob.length, 0);
  return {
    operationOctets,
    blobs,
    length: RECORD_PREFIX_OCTETS + RECORD_FIXED_OCTETS + operationOctets.length + blobOctets,
  };
}

/** Buffers to be written at one offset, in order. */
export function frameRecord(record: PendingRecord, sequence: number, seed: number): Buffer[] {
  const head = Buffer.allocUnsafe(RECORD_PREFIX_OCTETS + RECORD_FIXED_OCTETS);
  head.writeUInt32BE(record.length - RECORD_PREFIX_OCTETS, 0);
  head.writeBigUInt64BE(BigInt(sequence), 8);
  head.writeUInt32BE(record.operationOctets.length, 16);
  let crc = crc32(head.subarray(RECORD_PREFIX_OCTETS), seed);
  crc = crc32(record.operationOctets, crc);
  for (const blob of record.blobs) crc = crc32(blob, crc);
  head.writeUInt32BE(crc, 4);
  return [head, record.operationOctets, ...record.blobs];
}

/** Offsets of a record's blobs when the record starts at `offset`. */
export function blobOffsets(record: PendingRecord, offset: number): number[] {
  const offsets: number[] = [];
  let at = offset + RECORD_PREFIX_OCTETS + RECORD_FIXED_OCTETS + record.operationOctets.length;
  for (const blob of record.blobs) {
    offsets.push(at);
    at += blob.length;
  }
  return offsets;
}

/**
 * Records in [from, to) of a segment's file, one read at a time. Ends at the first that fails its CRC: a torn append, or
 * what the segment held in an earlier life. Synchronous: for start-up and for threads that may wait for the disk.
 */
export function* readRecords(file: number, seed: number, from: number, to: number): Generator<LocatedRecord> {
  const prefix = Buffer.alloc(RECORD_PREFIX_OCTETS);
  let at = from;
  while (at + RECORD_PREFIX_OCTETS + RECORD_FIXED_OCTETS <= to) {
    readSync(file, prefix, 0, prefix.length, at);
    const length = prefix.readUInt32BE(0);
    if (length < RECORD_FIXED_OCTETS || at + RECORD_PREFIX_OCTETS + length > to) return;
    const rest = Buffer.allocUnsafe(length);
    if (readSync(file, rest, 0, length, at + RECORD_PREFIX_OCTETS) !== length) return;
    if (crc32(rest, seed) !== prefix.readUInt32BE(4)) return;
    const record = decodeRecord(rest, at);
    yield record;
    at = record.end;
  }
}

/** @param rest The record's octets after its CRC, which they fit. @param offset Where the record begins. */
function decodeRecord(rest: Buffer, offset: number): LocatedRecord {
  const start = offset + RECORD_PREFIX_OCTETS;
  const operationEnd = RECORD_FIXED_OCTETS + rest.readUInt32BE(8);
  const { blobs: lengths, ...operation } = JSON.parse(
    rest.toString('utf8', RECORD_FIXED_OCTETS, operationEnd),
  ) as Operation & { blobs: number[] };
  const blobs: Buffer[] = [];
  const offsets: number[] = [];
  let from = operationEnd;
  for (const length of lengths) {
    blobs.push(rest.subarray(from, from + length));
    offsets.push(start + from);
    from += length;
  }
  const end = start + rest.length;
  return {
    sequence: Number(rest.readBigUInt64BE(0)),
    operation: operation as Operation,
    blobs,
    blobOffsets: offsets,
    offset,
    end,
  };
}
