/**
 * The header log of a mailbox: every message's age header and sealed digest, append-only. docs/format.md, "Header log".
 * It is what a lost index is rebuilt from. For threads that may wait for the disk.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';
import type { MessageId } from '../../ids.ts';

const VERSION = 1;
const PREFIX_OCTETS = 8;
const FIXED_OCTETS = 1 + 16 + 4 + 8 + 8;

export interface HeaderRecord {
  readonly id: MessageId;
  readonly epoch: number;
  /** Clear octets of the message. */
  readonly octets: number;
  /** Milliseconds since 1970. */
  readonly internalDate: number;
  readonly header: Buffer;
  readonly digest: Buffer;
}

export function encodeHeaderRecord(record: HeaderRecord): Buffer {
  const length = FIXED_OCTETS + 4 + record.header.length + 4 + record.digest.length;
  const out = Buffer.allocUnsafe(PREFIX_OCTETS + length);
  out.writeUInt32BE(length, 0);
  let at = out.writeUInt8(VERSION, PREFIX_OCTETS);
  at += Buffer.from(record.id, 'hex').copy(out, at);
  at = out.writeUInt32BE(record.epoch, at);
  at = out.writeBigUInt64BE(BigInt(record.octets), at);
  at = out.writeBigUInt64BE(BigInt(record.internalDate), at);
  at = out.writeUInt32BE(record.header.length, at);
  at += record.header.copy(out, at);
  at = out.writeUInt32BE(record.digest.length, at);
  record.digest.copy(out, at);
  out.writeUInt32BE(crc32(out.subarray(PREFIX_OCTETS)), 4);
  return out;
}

/** Records of an open log, oldest first, up to a torn tail; `end` is where each one ends. */
export function* readHeaderRecords(file: number): Generator<HeaderRecord & { readonly end: number }> {
  const { size } = fstatSync(file);
  const prefix = Buffer.alloc(PREFIX_OCTETS);
  let at = 0;
  while (at + PREFIX_OCTETS + FIXED_OCTETS <= size) {
    readSync(file, prefix, 0, PREFIX_OCTETS, at);
    const length = prefix.readUInt32BE(0);
    const end = at + PREFIX_OCTETS + length;
    if (length < FIXED_OCTETS + 8 || end > size) return;
    const rest = Buffer.allocUnsafe(length);
    readSync(file, rest, 0, length, at + PREFIX_OCTETS);
    if (crc32(rest) !== prefix.readUInt32BE(4) || rest[0] !== VERSION) return;
    yield { ...decodeHeaderRecord(rest), end };
    at = end;
  }
}

/** The same by path; none when there is no log. */
export function* readHeaderLog(path: string): Generator<HeaderRecord> {
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  try {
    yield* readHeaderRecords(file);
  } finally {
    closeSync(file);
  }
}

/** Cuts a torn tail, appends and syncs. */
export function appendHeaderRecords(
  path: string,
  records: readonly Buffer[],
  intactEnd: number | null,
): number {
  const file = openSync(path, 'a+', 0o600);
  try {
    let end = intactEnd ?? findIntactEnd(file);
    if (end < fstatSync(file).size) ftruncateSync(file, end);
    for (const record of records) end += writeSync(file, record);
    fsyncSync(file);
    return end;
  } finally {
    closeSync(file);
  }
}

function decodeHeaderRecord(rest: Buffer): HeaderRecord {
  const headerLength = rest.readUInt32BE(FIXED_OCTETS);
  const digestAt = FIXED_OCTETS + 4 + headerLength;
  const digestLength = rest.readUInt32BE(digestAt);
  return {
    id: rest.toString('hex', 1, 17) as MessageId,
    epoch: rest.readUInt32BE(17),
    octets: Number(rest.readBigUInt64BE(21)),
    internalDate: Number(rest.readBigUInt64BE(29)),
    header: rest.subarray(FIXED_OCTETS + 4, digestAt),
    digest: rest.subarray(digestAt + 4, digestAt + 4 + digestLength),
  };
}

function findIntactEnd(file: number): number {
  let end = 0;
  for (const record of readHeaderRecords(file)) end = record.end;
  return end;
}
