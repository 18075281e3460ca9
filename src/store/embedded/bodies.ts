/**
 * Where the sealed octets of a body are: in a pack or a file of its own, or, until the checkpoint has written those, in
 * the accept journal or the spool. Readers need not know which.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { IntegrityError } from '../../errors.ts';
import type { MailboxId, MessageId } from '../../ids.ts';
import { KIB, OPEN_PACKS, READ_RUN_OCTETS } from '../../limits.ts';
import type { BodySource } from '../../seal/body.ts';
import type { Segment } from './accept-journal.ts';
import { bodyFile, spoolFile } from './layout.ts';
import { decodeRecordHead, type PackPlace, packFile, type RecordHead, recordHeadOctets } from './pack.ts';

/** As the index knows it. */
export interface BodyPlace {
  readonly mailbox: MailboxId;
  readonly id: MessageId;
  /** Sealed octets. */
  readonly bodyOctets: number;
  /** null until the checkpoint. */
  readonly pack: number | null;
  /** 0: the body is a file of its own. */
  readonly bodyOffset: number;
}

/** Between neighbours lie the header and the digest of the next. */
const NEIGHBOUR_GAP_OCTETS = 16 * KIB;

/** A body that may not be in its place yet. */
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
  /** Packs that are open, by path, the least recently used first. */
  readonly #packs = new Map<string, Promise<FileHandle>>();
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
   * Starts to read whole bodies, neighbours together.
   * @returns one promise for each place, in order; see `read`. Await or catch each.
   */
  readAll(places: readonly BodyPlace[]): Promise<Buffer>[] {
    const bodies: Promise<Buffer>[] = [];
    for (const run of runsOf(places, (id) => this.#pending.has(id))) {
      if (run.length === 1) bodies.push(this.read(run[0]!));
      else bodies.push(...this.#readRun(run));
    }
    return bodies;
  }

  /**
   * The whole sealed body in one buffer; for bodies known to be small.
   * @throws IntegrityError 'missing-body', 'seal-broken' when its length is not what the index says.
   */
  async read(place: BodyPlace): Promise<Buffer> {
    const pending = this.#pending.get(place.id);
    if (pending?.kind === 'journal') {
      const body = await readJournal(pending, place.bodyOctets);
      if (body !== null) return body;
    }
    if (isPacked(place)) return this.#readPack(place, place.bodyOffset, place.bodyOctets);
    const file = await this.#openFile(place);
    try {
      const { size } = await file.stat();
      if (size !== place.bodyOctets) throw wrongLength();
      return await readExactly(file, 0, size);
    } finally {
      await file.close();
    }
  }

  /** Header and digest as the pack has them. @throws IntegrityError 'missing-body', 'seal-broken'. */
  async readHead(mailbox: MailboxId, id: MessageId, place: PackPlace): Promise<RecordHead> {
    const head = await this.#readPack(
      { mailbox, pack: place.pack },
      place.recordOffset,
      recordHeadOctets(place),
    );
    return decodeRecordHead(head, id);
  }

  #readRun(run: readonly BodyPlace[]): Promise<Buffer>[] {
    const [first] = run;
    const last = run.at(-1)!;
    const start = first!.bodyOffset;
    const whole = this.#readPack(first!, start, last.bodyOffset + last.bodyOctets - start);
    return run.map(async ({ bodyOffset, bodyOctets }) => {
      const octets = await whole;
      return octets.subarray(bodyOffset - start, bodyOffset - start + bodyOctets);
    });
  }

  async #readPack(
    place: Pick<BodyPlace, 'mailbox' | 'pack'>,
    offset: number,
    length: number,
  ): Promise<Buffer> {
    const path = packFile(this.#data, place.mailbox, place.pack!);
    try {
      return await readExactly(await this.#openPack(path), offset, length);
    } catch (error) {
      // Closed for another in the moment between.
      if ((error as NodeJS.ErrnoException).code !== 'EBADF') throw error;
      return readExactly(await this.#openPack(path), offset, length);
    }
  }

  #openPack(path: string): Promise<FileHandle> {
    const known = this.#packs.get(path);
    if (known !== undefined) {
      this.#packs.delete(path);
      this.#packs.set(path, known);
      return known;
    }
    const opening = open(path, 'r').catch((error: unknown) => {
      this.#packs.delete(path);
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing() : error;
    });
    this.#packs.set(path, opening);
    if (this.#packs.size > OPEN_PACKS) this.#closePack(this.#packs.keys().next().value!);
    return opening;
  }

  #closePack(path: string): void {
    // A failed open was reported to whoever asked for it.
    this.#packs.get(path)?.then(
      (file) => file.close(),
      () => undefined,
    );
    this.#packs.delete(path);
  }

  /** Closes what is open of a mailbox that is gone. */
  forget(mailbox: MailboxId): void {
    for (const path of [...this.#packs.keys()]) if (path.includes(mailbox)) this.#closePack(path);
  }

  async close(): Promise<void> {
    const files = [...this.#packs.values()];
    this.#packs.clear();
    for (const file of files) await (await file.catch(() => null))?.close();
  }

  /** @throws IntegrityError 'missing-body'. */
  async open(place: BodyPlace): Promise<OpenBody> {
    if (this.#pending.get(place.id)?.kind === 'journal' || isPacked(place))
      return inMemory(await this.read(place));
    const file = await this.#openFile(place);
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

  async #openFile({ mailbox, id }: BodyPlace): Promise<FileHandle> {
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
    throw missing();
  }
}

const isPacked = ({ pack, bodyOffset }: BodyPlace): boolean => pack !== null && bodyOffset > 0;
const missing = (): IntegrityError =>
  new IntegrityError('missing-body', 'The message is in the index but its body is not in the store');
const wrongLength = (): IntegrityError =>
  new IntegrityError('seal-broken', 'A stored message has the wrong length');

/** Splits places into runs of neighbours in one pack, each to be read at once. */
function runsOf(places: readonly BodyPlace[], isPending: (id: MessageId) => boolean): BodyPlace[][] {
  const runs: BodyPlace[][] = [];
  for (const place of places) {
    const run = runs.at(-1);
    if (run !== undefined && continues(run, place) && !isPending(place.id) && !isPending(run[0]!.id))
      run.push(place);
    else runs.push([place]);
  }
  return runs;
}

function continues(run: readonly BodyPlace[], place: BodyPlace): boolean {
  const first = run[0]!;
  const last = run.at(-1)!;
  return (
    isPacked(place) &&
    isPacked(first) &&
    place.pack === first.pack &&
    place.bodyOffset >= last.bodyOffset + last.bodyOctets &&
    place.bodyOffset - (last.bodyOffset + last.bodyOctets) <= NEIGHBOUR_GAP_OCTETS &&
    place.bodyOffset + place.bodyOctets - first.bodyOffset <= READ_RUN_OCTETS
  );
}

async function readExactly(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  if (bytesRead !== length) throw wrongLength();
  return buffer;
}

/** @returns null when the segment was reused meanwhile: the body is in its place then. */
async function readJournal(
  pending: Extract<PendingBody, { kind: 'journal' }>,
  length: number,
): Promise<Buffer | null> {
  const { segment, number } = pending;
  if (segment.number !== number) return null;
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await segment.file.read(buffer, 0, length, pending.offset);
  return segment.number === number && bytesRead === length ? buffer : null;
}

function inMemory(body: Buffer): OpenBody {
  return {
    sizeOctets: body.length,
    read: async (offset, length) => body.subarray(offset, offset + length),
    close: async () => undefined,
  };
}
