/**
 * A message opened for one session: its file key and its digest come from a page once it is absorbed, before that from
 * its header (or from what this lease opened before) and from beside it; its octets from the body.
 */
import { IntegrityError } from '../../errors.ts';
import type { FolderId, MailboxId, MessageId, ModSeq, Uid } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { FILE_KEYS_PER_LEASE, RAW_MESSAGE_OCTETS } from '../../limits.ts';
import { type Digest, decodeDigest } from '../../message/digest.ts';
import { openBodyRange, openSmallBody } from '../../seal/body.ts';
import { RAW_PREFIX_OCTETS } from '../../seal/frames.ts';
import { openHeader } from '../../seal/header.ts';
import { openObject } from '../../seal/object.ts';
import type { KnownContent, StoredMessage } from '../types.ts';
import type { Bodies, BodyPlace } from './bodies.ts';
import type { EntryRow, SealedParts } from './mailbox-index.ts';
import type { MailboxOwner } from './mailbox-owner.ts';
import { openedPages } from './opened-pages.ts';

const FILE_KEYS = Symbol('file keys');

export interface MessageContext {
  readonly mailbox: MailboxId;
  readonly bodies: Bodies;
  readonly owner: MailboxOwner;
  readonly folder: FolderId;
  /** Asked each time a key is needed: keys outlive no wait. */
  readonly lease: () => Promise<Lease>;
  /** The lease that was granted last, if it lives: for what must not wait. */
  readonly heldLease: () => Lease | null;
}

export class EmbeddedMessage implements StoredMessage {
  readonly keywords: readonly string[];
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
    this.keywords = keywords;
    this.#row = row;
    this.#context = context;
    this.#body = body;
  }

  get uid(): Uid {
    return this.#row.uid as Uid;
  }

  get systemFlags(): number {
    return this.#row.flags;
  }

  get modSeq(): ModSeq {
    return this.#row.modSeq as ModSeq;
  }

  get sizeOctets(): number {
    return this.#row.octets;
  }

  get internalDate(): Date {
    return new Date(this.#row.internalDate);
  }

  get saveDate(): Date {
    return new Date(this.#row.saveDate);
  }

  get emailId(): MessageId {
    return this.#row.id;
  }

  known(): KnownContent | null {
    const lease = this.#context.heldLease();
    if (lease === null) return null;
    return openedPages(lease, this.#context.owner).known(this.#row.messageKey, this.#row.id);
  }

  async digest(): Promise<Digest> {
    this.#digest ??= await this.#openDigest();
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

  async #openDigest(): Promise<Digest> {
    const { owner, mailbox } = this.#context;
    const { id, messageKey, octets } = this.#row;
    const lease = await this.#context.lease();
    const pages = openedPages(lease, owner);
    const at = pages.find(messageKey, id);
    const paged = at === null ? null : pages.digest(at);
    const digest =
      paged ??
      (await this.#withParts((held, { digest: sealed, header, epoch }) => {
        const fileKey = rememberedFileKey(held, id, header);
        return decodeDigest(openObject(fileKey, 'digest', [mailbox, id, epoch], sealed));
      }));
    if (digest.sizeOctets !== octets) {
      throw new IntegrityError('seal-broken', 'A stored message is not as long as its sealed digest says');
    }
    return digest;
  }

  /** From a page, or as this lease opened it before, or from the header. */
  async #fileKey(): Promise<Buffer> {
    const { owner } = this.#context;
    const { id, messageKey } = this.#row;
    const lease = await this.#context.lease();
    const pages = openedPages(lease, owner);
    const at = pages.find(messageKey, id);
    const paged = at === null ? null : pages.fileKey(at);
    return paged ?? this.#withParts((held, { header }) => rememberedFileKey(held, id, header));
  }

  /**
   * Opens with the message's own header and digest: from its row, or, when it was in a page that does not open, from its
   * pack.
   * @throws IntegrityError 'missing-body' when the message was expunged meanwhile.
   */
  async #withParts<T>(open: (lease: Lease, parts: SealedParts) => T): Promise<T> {
    const { owner, bodies, mailbox } = this.#context;
    const { id, messageKey } = this.#row;
    for (let attempt = 1; ; attempt++) {
      const parts = owner.index.sealedParts(messageKey);
      if (parts === null) throw new IntegrityError('missing-body', 'The message was expunged');
      if (parts !== 'absorbed') return open(await this.#context.lease(), parts);
      owner.isOrphan(messageKey);
      const found = owner.pages.place(messageKey);
      try {
        if (found === null) throw new IntegrityError('missing-body', 'The message was expunged');
        const head = await bodies.readHead(mailbox, id, found.place);
        return open(await this.#context.lease(), { ...head, epoch: found.epoch });
      } catch (error) {
        // A compaction may have moved the record meanwhile.
        if (attempt > 1 || !(error instanceof IntegrityError)) throw error;
      }
    }
  }

  /** A compaction may have moved the body since the row was read: then it is looked up once more. */
  async #located<T>(read: (place: BodyPlace) => Promise<T>, ahead: Promise<T> | null = null): Promise<T> {
    const { mailbox, owner, folder } = this.#context;
    try {
      return await (ahead ?? read({ mailbox, ...this.#row }));
    } catch (error) {
      const isMissing = error instanceof IntegrityError && error.code === 'missing-body';
      const row = isMissing ? owner.index.entry(folder, this.#row.uid) : null;
      if (row === null) throw error;
      return read({ mailbox, ...row });
    }
  }
}

/** As this lease opened it before, or from the header. */
function rememberedFileKey(lease: Lease, id: MessageId, header: Buffer): Buffer {
  const keys = lease.memo(FILE_KEYS, () => new Map<MessageId, Buffer>());
  const known = keys.get(id);
  if (known !== undefined) return known;
  const key = openHeader(header, lease.identity);
  if (keys.size >= FILE_KEYS_PER_LEASE) keys.delete(keys.keys().next().value!);
  keys.set(id, key);
  return key;
}
