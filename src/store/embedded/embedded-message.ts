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
import type { Bodies } from './bodies.ts';
import type { EntryRow, SealedParts } from './mailbox-index.ts';

const FILE_KEYS = Symbol('file keys');

export interface MessageContext {
  readonly mailbox: MailboxId;
  readonly bodies: Bodies;
  readonly lease: Lease;
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
  readonly #sealed: SealedParts;
  readonly #context: MessageContext;
  /** Read ahead, while earlier messages are on their way to the client. */
  readonly #body: Promise<Buffer> | null;
  #digest: Digest | null = null;

  constructor(
    row: EntryRow,
    keywords: readonly string[],
    sealed: SealedParts,
    context: MessageContext,
    readAhead: boolean,
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
    this.#sealed = sealed;
    this.#context = context;
    this.#body =
      readAhead && this.#isSmall ? context.bodies.read(context.mailbox, row.id, row.bodyOctets) : null;
    // Awaited later, or never: a failure must not count as unhandled meanwhile.
    this.#body?.catch(() => undefined);
  }

  async digest(): Promise<Digest> {
    return this.#openDigest();
  }

  async *octets(start = 0, end = this.sizeOctets): AsyncGenerator<Buffer> {
    if (this.#isSmall) {
      yield (await this.#smallBody()).subarray(start, end);
      return;
    }
    const { bodies, mailbox } = this.#context;
    const source = await bodies.open(mailbox, this.#row.id, this.#row.bodyOctets);
    try {
      yield* openBodyRange(this.#fileKey(), this.#openDigest().frames, this.sizeOctets, source, start, end);
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
    const { bodies, mailbox } = this.#context;
    const { id, bodyOctets, octets } = this.#row;
    const body = await (this.#body ?? bodies.read(mailbox, id, bodyOctets));
    // A small message is one raw frame: its table need not come from the digest.
    return openSmallBody(this.#fileKey(), body, [RAW_PREFIX_OCTETS + octets], octets);
  }

  #openDigest(): Digest {
    if (this.#digest !== null) return this.#digest;
    const { id } = this.#row;
    const fields = [this.#context.mailbox, id, this.#sealed.epoch] as const;
    const digest = decodeDigest(openObject(this.#fileKey(), 'digest', fields, this.#sealed.digest));
    if (digest.sizeOctets !== this.#row.octets) {
      throw new IntegrityError('seal-broken', 'A stored message is not as long as its sealed digest says');
    }
    this.#digest = digest;
    return digest;
  }

  #fileKey(): Buffer {
    const { lease } = this.#context;
    const keys = lease.memo(FILE_KEYS, () => new Map<number, Buffer>());
    const known = keys.get(this.#row.messageKey);
    if (known !== undefined) return known;
    const key = openHeader(this.#sealed.header, lease.identity);
    if (keys.size >= FILE_KEYS_PER_LEASE) keys.delete(keys.keys().next().value!);
    keys.set(this.#row.messageKey, key);
    return key;
  }
}
