/**
 * Where the sealed octets of a body are: its file in cur/, or, until the checkpoint has written that, the accept
 * journal's record or the spool. Readers need not know which.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { IntegrityError } from '../../errors.ts';
import type { MailboxId, MessageId } from '../../ids.ts';
import type { BodySource } from '../../seal/body.ts';
import type { Segment } from './accept-journal.ts';
import { bodyFile, spoolFile } from './layout.ts';

/** A body whose file in cur/ may not be there yet. */
type PendingBody =
  | { readonly kind: 'journal'; readonly segment: Segment; readonly number: number; readonly offset: number }
  | { readonly kind: 'spool' };

/** A body opened for reading; close it. */
export interface OpenBody extends BodySource {
  close(): Promise<void>;
}

export class Bodies {
  readonly #data: string;
  readonly #pending = new Map<MessageId, PendingBody>();
  /** Ids by segment, in the order of their records, so that a checkpoint can drop what it has written. */
  readonly #bySegment = new Map<Segment, { id: MessageId; recordOffset: number }[]>();

  constructor(data: string) {
    this.#data = data;
  }

  /** A committed record holds the body at `offset` of its segment, or (null) names the spool. */
  addPending(id: MessageId, segment: Segment, offset: number | null, recordOffset: number): void {
    this.#pending.set(
      id,
      offset === null ? { kind: 'spool' } : { kind: 'journal', segment, number: segment.number, offset },
    );
    const ids = this.#bySegment.get(segment);
    if (ids === undefined) this.#bySegment.set(segment, [{ id, recordOffset }]);
    else ids.push({ id, recordOffset });
  }

  /** The checkpoint wrote the files of all records before `offset` of the segment. */
  dropPending(segment: Segment, offset: number): void {
    const ids = this.#bySegment.get(segment);
    if (ids === undefined) return;
    let done = 0;
    while (done < ids.length && ids[done]!.recordOffset < offset) this.#pending.delete(ids[done++]!.id);
    ids.splice(0, done);
    if (ids.length === 0) this.#bySegment.delete(segment);
  }

  /**
   * The whole sealed body in one buffer; for bodies known to be small.
   * @throws IntegrityError 'missing-body', 'seal-broken' when its length is not `octets`.
   */
  async read(mailbox: MailboxId, id: MessageId, octets: number): Promise<Buffer> {
    const pending = this.#pending.get(id);
    if (pending?.kind === 'journal') {
      const body = await readJournal(pending, 0, octets);
      if (body !== null) return body;
    }
    const file = await this.#openFile(mailbox, id);
    try {
      // One octet more than expected, so that a body that grew is seen as well as one that was cut.
      const body = Buffer.allocUnsafe(octets + 1);
      const { bytesRead } = await file.read(body, 0, octets + 1, 0);
      if (bytesRead !== octets)
        throw new IntegrityError('seal-broken', 'A stored message has the wrong length');
      return body.subarray(0, octets);
    } finally {
      await file.close();
    }
  }

  /** @throws IntegrityError 'missing-body'. */
  async open(mailbox: MailboxId, id: MessageId, octets: number): Promise<OpenBody> {
    const pending = this.#pending.get(id);
    if (pending?.kind === 'journal') {
      const body = await readJournal(pending, 0, octets);
      if (body !== null) return inMemory(body);
    }
    const file = await this.#openFile(mailbox, id);
    const { size } = await file.stat();
    return {
      sizeOctets: size,
      read: async (offset, length) => {
        const buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = await file.read(buffer, 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      close: () => file.close(),
    };
  }

  async #openFile(mailbox: MailboxId, id: MessageId): Promise<FileHandle> {
    // Between the look at #pending and the open, a checkpoint may have moved the body from the spool to cur/.
    const paths = [bodyFile(this.#data, mailbox, id)];
    if (this.#pending.has(id)) paths.unshift(spoolFile(this.#data, id));
    for (const path of paths) {
      try {
        return await open(path, 'r');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    throw new IntegrityError('missing-body', 'The message is in the index but its body is not in the store');
  }
}

/** @returns null when the segment was reused meanwhile: the body is in its file then. */
async function readJournal(
  pending: Extract<PendingBody, { kind: 'journal' }>,
  offset: number,
  length: number,
): Promise<Buffer | null> {
  const { segment, number } = pending;
  if (segment.number !== number) return null;
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await segment.file.read(buffer, 0, length, pending.offset + offset);
  return segment.number === number && bytesRead === length ? buffer : null;
}

function inMemory(body: Buffer): OpenBody {
  return {
    sizeOctets: body.length,
    read: async (offset, length) => body.subarray(offset, offset + length),
    close: async () => undefined,
  };
}
