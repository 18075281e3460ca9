/**
 * A message opened for one session: its file key comes from the header (or from what this lease opened before), its
 * digest from beside the header, its octets from the body.
 */
import { IntegrityError } from '../../errors.ts';
import type { MailboxId, MessageId, ModSeq, Uid } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { FILE_KEYS_PER_LEASE, RAW_MESSAGE_OCTETS } from '../../limits.ts';
import { type Digest, decodeDigest } from '../../message/digest.ts';
import { openBodyRange, openSmallBody } from '../../seal/body.ts';
import { RAW_PREFIX_OCTETS } from '../../seal/frames.ts';
import { openHeader } from '../../seal/header.ts';
import { openObject } from '../../seal/object.ts';
import type { StoredMessage } from '../types.ts';
import type { Bodies, BodyPlace } from './bodies.ts';
import type { EntryRow, SealedParts } from './mailbox-index.ts';

const FILE_KEYS = Symbol('file keys');

export interface MessageContext {
  readonly mailbox: MailboxId;
  readonly bodies: Bodies;
  /** Asked each time a key is needed: keys outlive no wait. */
  readonly lease: () => Promise<Lease>;
  /** Header and digest of a message; null when it is gone. */
  readonly sealed: (messageKey: number) => SealedParts | null;
  /** The row as it is now; null when the message is gone. */
  readonly relocate: (uid: number) => EntryRow | null;
}

export class EmbeddedMessage implements StoredMessage {
  readonly uid: Uid;
  readonly systemFlags: number;
  readonly keywords: readonly string[];
  readonly modSeq: ModSeq;
  readonly sizeOctets: number;
  readonly internalDate: Date;
  readonly saveDate: Date;
  readonly emailId: MessageId;
  readonly #row: EntryRow;
  readonly #context: MessageContext;
  /** Read ahead, while earlier messages are on their way to the client; null when it was not. */
  readonly #body: Promise<Buffer> | null;
  #digest: Digest | null = null;

  constructor(
    row: EntryRow,
    keywords: readonly string[],
    context: MessageContext,
    body: Promise<Buffer> | null,
  ) {
    this.uid = row.uid as Uid;
    this.systemFlags = row.flags;
    this.keywords = keywords;
    this.modSeq = row.modSeq as ModSeq;
    this.sizeOctets = row.octets;
    this.internalDate = new Date(row.internalDate);
    this.saveDate = new Date(row.saveDate);
    this.emailId = row.id;
    this.#row = row;
    this.#context = context;
    this.#body = body;
  }

  async digest(): Promise<Digest> {
    this.#digest ??= openDigest(await this.#context.lease(), this.#row, this.#context);
    return this.#digest;
  }

  async *octets(start = 0, end = this.sizeOctets): AsyncGenerator<Buffer> {
    if (this.#isSmall) {
      yield (await this.#smallBody()).subarray(start, end);
      return;
    }
    const { frames } = await this.digest();
    const source = await this.#located((place) => this.#context.bodies.open(place));
    try {
      yield* openBodyRange(await this.#fileKey(), frames, this.sizeOctets, source, start, end);
    } finally {
      await source.close();
    }
  }

  async read(start = 0, end = this.sizeOctets): Promise<Buffer> {
    if (this.#isSmall) return (await this.#smallBody()).subarray(start, end);
    const parts: Buffer[] = [];
    for await (const part of this.octets(start, end)) parts.push(part);
    return Buffer.concat(parts);
  }

  get #isSmall(): boolean {
    return this.#row.octets <= RAW_MESSAGE_OCTETS;
  }

  async #smallBody(): Promise<Buffer> {
    const { octets } = this.#row;
    const body = await this.#located((place) => this.#context.bodies.read(place), this.#body);
    // A small message is one raw frame: its table need not come from the digest.
    return openSmallBody(await this.#fileKey(), body, [RAW_PREFIX_OCTETS + octets], octets);
  }

  async #fileKey(): Promise<Buffer> {
    return openFileKey(await this.#context.lease(), this.#row, this.#context);
  }

  /** A compaction may have moved the body since the row was read: then it is looked up once more. */
  async #located<T>(read: (place: BodyPlace) => Promise<T>, ahead: Promise<T> | null = null): Promise<T> {
    const { mailbox, relocate } = this.#context;
    try {
      return await (ahead ?? read({ mailbox, ...this.#row }));
    } catch (error) {
      const isMissing = error instanceof IntegrityError && error.code === 'missing-body';
      const row = isMissing ? relocate(this.#row.uid) : null;
      if (row === null) throw error;
      return read({ mailbox, ...row });
    }
  }
}

function openDigest(lease: Lease, row: EntryRow, context: MessageContext): Digest {
  const { digest: sealed, epoch } = sealedParts(row, context);
  const fields = [context.mailbox, row.id, epoch] as const;
  const digest = decodeDigest(openObject(openFileKey(lease, row, context), 'digest', fields, sealed));
  if (digest.sizeOctets !== row.octets) {
    throw new IntegrityError('seal-broken', 'A stored message is not as long as its sealed digest says');
  }
  return digest;
}

/** From the header, or as this lease opened it before. */
function openFileKey(lease: Lease, row: EntryRow, context: MessageContext): Buffer {
  const keys = lease.memo(FILE_KEYS, () => new Map<MessageId, Buffer>());
  const known = keys.get(row.id);
  if (known !== undefined) return known;
  const key = openHeader(sealedParts(row, context).header, lease.identity);
  if (keys.size >= FILE_KEYS_PER_LEASE) keys.delete(keys.keys().next().value!);
  keys.set(row.id, key);
  return key;
}

/** @throws IntegrityError 'missing-body' when the message was expunged meanwhile. */
function sealedParts(row: EntryRow, context: MessageContext): SealedParts {
  const sealed = context.sealed(row.messageKey);
  if (sealed === null) throw new IntegrityError('missing-body', 'The message was expunged');
  return sealed;
}
