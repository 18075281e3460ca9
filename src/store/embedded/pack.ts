/**
 * Packs: the append-only files that hold a mailbox's messages. docs/format.md, "Packs". For threads that may wait for
 * the disk, but for the places, which everyone reads by.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { IntegrityError } from '../../errors.ts';
import type { MailboxId, MessageId } from '../../ids.ts';
import { mailboxDirectory } from './layout.ts';

const VERSION = 1;
/** Of a record with an envelope: a message of a queue. */
const QUEUED_VERSION = 2;
const PREFIX_OCTETS = 8;
const FIXED_OCTETS = 1 + 16 + 4 + 8 + 8;

/** Where a message's record is, and its body in it; 0 when the body is a file of its own. */
export interface PackPlace {
  readonly pack: number;
  readonly recordOffset: number;
  readonly recordOctets: number;
  readonly bodyOffset: number;
}

export interface PackRecord {
  readonly id: MessageId;
  readonly epoch: number;
  /** Clear octets of the message. */
  readonly octets: number;
  /** Milliseconds since 1970. */
  readonly internalDate: number;
  readonly header: Buffer;
  readonly digest: Buffer;
  /** null: not of a queue. */
  readonly envelope: Buffer | null;
  /** null: the body is a file of its own. */
  readonly body: Buffer | null;
}

export type RecordHead = Pick<PackRecord, 'header' | 'digest' | 'epoch'>;

export interface LocatedPackRecord extends PackRecord {
  readonly place: PackPlace;
}

/** Buffers to be written one after the other, their length, and where in them the body begins. */
export interface EncodedRecord {
  readonly buffers: readonly Buffer[];
  readonly octets: number;
  readonly bodyAt: number;
}

export const packFile = (data: string, mailbox: MailboxId, pack: number): string =>
  join(mailboxDirectory(data, mailbox), 'packs', `${pack.toString(16).padStart(8, '0')}.pack`);

/** Numbers of a mailbox's packs, ascending. */
export function listPacks(data: string, mailbox: MailboxId): number[] {
  const directory = join(mailboxDirectory(data, mailbox), 'packs');
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => /^[0-9a-f]{8}\.pack$/.test(name));
  return names.map((name) => Number.parseInt(name, 16)).sort((a, b) => a - b);
}

export function encodePackRecord(record: PackRecord): EncodedRecord {
  const { header, digest, envelope, body } = record;
  const envelopeOctets = envelope === null ? 0 : 4 + envelope.length;
  const bodyAt = PREFIX_OCTETS + FIXED_OCTETS + 4 + header.length + 4 + digest.length + envelopeOctets + 4;
  const head = Buffer.allocUnsafe(bodyAt);
  const octets = bodyAt + (body?.length ?? 0);
  head.writeUInt32BE(octets - PREFIX_OCTETS, 0);
  let at = head.writeUInt8(envelope === null ? VERSION : QUEUED_VERSION, PREFIX_OCTETS);
  at += Buffer.from(record.id, 'hex').copy(head, at);
  at = head.writeUInt32BE(record.epoch, at);
  at = head.writeBigUInt64BE(BigInt(record.octets), at);
  at = head.writeBigUInt64BE(BigInt(record.internalDate), at);
  at = head.writeUInt32BE(header.length, at);
  at += header.copy(head, at);
  at = head.writeUInt32BE(digest.length, at);
  at += digest.copy(head, at);
  if (envelope !== null) {
    at = head.writeUInt32BE(envelope.length, at);
    at += envelope.copy(head, at);
  }
  head.writeUInt32BE(body?.length ?? 0, at);
  const crc = crc32(head.subarray(PREFIX_OCTETS));
  head.writeUInt32BE(body === null ? crc : crc32(body, crc), 4);
  return { buffers: body === null ? [head] : [head, body], octets, bodyAt };
}

/** Records of a pack, in order, up to the first that is torn. @param from Where one begins. */
export function* readPack(path: string, pack: number, from = 0): Generator<LocatedPackRecord> {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const prefix = Buffer.alloc(PREFIX_OCTETS);
    let at = from;
    while (at + PREFIX_OCTETS + FIXED_OCTETS + 12 <= size) {
      readSync(file, prefix, 0, PREFIX_OCTETS, at);
      const length = prefix.readUInt32BE(0);
      if (length < FIXED_OCTETS + 12 || at + PREFIX_OCTETS + length > size) return;
      const rest = Buffer.allocUnsafe(length);
      readSync(file, rest, 0, length, at + PREFIX_OCTETS);
      if (crc32(rest) !== prefix.readUInt32BE(4) || !(rest[0]! >= VERSION && rest[0]! <= QUEUED_VERSION))
        return;
      yield decodePackRecord(rest, pack, at);
      at += PREFIX_OCTETS + length;
    }
  } finally {
    closeSync(file);
  }
}

/** Octets of a record that are to be read for `decodeRecordHead`. */
export const recordHeadOctets = ({ recordOffset, recordOctets, bodyOffset }: PackPlace): number =>
  bodyOffset === 0 ? recordOctets : bodyOffset - recordOffset;

/**
 * Header and digest from the beginning of a record. Its CRC is not looked at: what is sealed is verified when it is opened.
 * @throws IntegrityError 'seal-broken' when it is not the record of this message.
 */
export function decodeRecordHead(head: Buffer, id: MessageId): RecordHead {
  const broken = (): IntegrityError => new IntegrityError('seal-broken', 'A record of a pack cannot be read');
  if (head.length < PREFIX_OCTETS + FIXED_OCTETS + 4 || head[PREFIX_OCTETS] !== VERSION) throw broken();
  const rest = head.subarray(PREFIX_OCTETS);
  const headerEnd = FIXED_OCTETS + 4 + rest.readUInt32BE(FIXED_OCTETS);
  if (rest.toString('hex', 1, 17) !== id || headerEnd + 4 > rest.length) throw broken();
  const digestEnd = headerEnd + 4 + rest.readUInt32BE(headerEnd);
  if (digestEnd > rest.length) throw broken();
  return {
    epoch: rest.readUInt32BE(17),
    header: rest.subarray(FIXED_OCTETS + 4, headerEnd),
    digest: rest.subarray(headerEnd + 4, digestEnd),
  };
}

/** @param rest The record after its CRC, which it fits. @param recordOffset Where the record begins in its pack. */
function decodePackRecord(rest: Buffer, pack: number, recordOffset: number): LocatedPackRecord {
  let at = FIXED_OCTETS;
  const field = (): Buffer => {
    const start = at + 4;
    at = start + rest.readUInt32BE(at);
    return rest.subarray(start, at);
  };
  const header = field();
  const digest = field();
  const envelope = rest[0] === QUEUED_VERSION ? field() : null;
  const bodyOffset = recordOffset + PREFIX_OCTETS + at + 4;
  const body = field();
  return {
    id: rest.toString('hex', 1, 17) as MessageId,
    epoch: rest.readUInt32BE(17),
    octets: Number(rest.readBigUInt64BE(21)),
    internalDate: Number(rest.readBigUInt64BE(29)),
    header,
    digest,
    envelope,
    body: body.length === 0 ? null : body,
    place: {
      pack,
      recordOffset,
      recordOctets: PREFIX_OCTETS + rest.length,
      bodyOffset: body.length === 0 ? 0 : bodyOffset,
    },
  };
}
