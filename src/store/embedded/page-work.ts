/**
 * One step of absorbing in one mailbox: folds some messages into a page, or merges pages, or drops what is dead, and
 * commits it. docs/format.md, "Pages", with what a crash between two steps leaves.
 */
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { IntegrityError, LetterlockError, UnavailableError } from '../../errors.ts';
import type { Lease } from '../../keys/lease.ts';
import {
  ABSORB_FAILURES,
  ABSORB_MESSAGES,
  ABSORB_OCTETS,
  PAGE_FAN,
  PAGE_MESSAGES,
  PAGE_OCTETS,
  RAW_MESSAGE_OCTETS,
} from '../../limits.ts';
import { type Digest, decodeDigest } from '../../message/digest.ts';
import type { SearchText } from '../../message/search-text.ts';
import { openBodyRange, openSmallBody } from '../../seal/body.ts';
import { RAW_PREFIX_OCTETS } from '../../seal/frames.ts';
import { openHeader } from '../../seal/header.ts';
import { openObject } from '../../seal/object.ts';
import { FILE_KEY_OCTETS } from '../../seal/primitives.ts';
import type { Bodies } from './bodies.ts';
import { type KeptContent, keptContent } from './kept-content.ts';
import type { MailboxOwner } from './mailbox-owner.ts';
import { type OpenedPages, openedPages } from './opened-pages.ts';
import type { RecordHead } from './pack.ts';
import {
  type ColumnName,
  Directory,
  encodeDirectory,
  encodeTexts,
  FileKeys,
  isFull,
  type ListedPage,
  type PageEntry,
  type PagePlace,
  packColumn,
  packRawColumn,
  pageTexts,
  sealColumn,
  sealRoot,
  TEXT_COLUMNS,
  Texts,
} from './page.ts';
import type { AbsorbableRow } from './page-table.ts';
import { TextPlaces, textIn } from './page-text.ts';
import { PageTextWriter, type WriteColumn } from './page-text-writer.ts';

/** Lets others have their turn, and rests. */
export interface Pace {
  pause(): Promise<void> | undefined;
}

/** What work under a lease needs: the lease anew after each wait. */
export type TakeLease = () => Lease;

/** Clear octets of one message in its page, texts aside. */
const FIXED_OCTETS = 100;

export class PageWork {
  readonly #owner: MailboxOwner;
  readonly #bodies: Bodies;
  readonly #lease: TakeLease;
  readonly #hasSpace: () => boolean;
  readonly #pace: Pace;

  /** @param hasSpace Whether the disk has more room than is reserved for expunges and whatever else frees some. */
  constructor(owner: MailboxOwner, bodies: Bodies, lease: TakeLease, hasSpace: () => boolean, pace: Pace) {
    this.#owner = owner;
    this.#bodies = bodies;
    this.#lease = lease;
    this.#hasSpace = hasSpace;
    this.#pace = pace;
  }

  /** @returns whether something was done; when not, nothing was left to do that the disk has room for. */
  async step(): Promise<boolean> {
    const owner = this.#owner;
    // What comes from here on is news to the next step.
    owner.hasPageWork = false;
    try {
      const isDone = this.#hasSpace()
        ? (await this.#absorb()) || (await this.#merge()) || (await this.#compact()) || (await this.#sweep())
        : await this.#sweep();
      if (isDone || !this.#hasSpace()) owner.hasPageWork = true;
      return isDone;
    } catch (error) {
      owner.hasPageWork = true;
      // What was written of the page that there was no room for is to be swept.
      if (error instanceof UnavailableError && error.code === 'disk-full') return true;
      // A page that was to be read did not open: it is not listed from now on.
      if (!(error instanceof IntegrityError) || !this.#opened().hasBroken) throw error;
      this.#commit([], null, []);
      return true;
    }
  }

  // --- Absorbing ---

  /** Newly arrived messages first; then, when a page was lost, those that only their pack has. */
  async #absorb(): Promise<boolean> {
    const owner = this.#owner;
    // So many that do not open are a matter for fsck.
    if (owner.unabsorbable.size >= ABSORB_FAILURES) return false;
    const arrived = await this.#scan(
      0,
      (after) => owner.pages.unabsorbed(after, ABSORB_MESSAGES),
      () => true,
    );
    if (arrived.length > 0) await this.#absorbRows(arrived);
    if (arrived.length > 0 || owner.orphansFrom === null) return arrived.length > 0;
    const from = owner.orphansFrom;
    const orphans = await this.#scan(
      from,
      (after) => owner.pages.absorbed(after, ABSORB_MESSAGES),
      ({ key, id }) => this.#opened().find(key, id) === null,
    );
    const last = orphans.length === 0 ? null : await this.#absorbRows(orphans);
    // Unless another page was found broken meanwhile.
    if (owner.orphansFrom === from) owner.orphansFrom = last;
    return orphans.length > 0;
  }

  /** @returns the key of the last row that was looked at. */
  async #absorbRows(rows: readonly AbsorbableRow[]): Promise<number> {
    const entries: PageEntry[] = [];
    try {
      const { last, stripped } = await this.#openRows(rows, entries);
      if (entries.length > 0) await this.#writePage(entries, stripped);
      return last;
    } finally {
      for (const { fileKey } of entries) fileKey.fill(0);
    }
  }

  async #openRows(
    rows: readonly AbsorbableRow[],
    entries: PageEntry[],
  ): Promise<{ readonly last: number; readonly stripped: readonly number[] }> {
    const stripped: number[] = [];
    const wanted = rows.filter(({ octets }) => octets <= RAW_MESSAGE_OCTETS);
    const mailbox = this.#owner.id;
    const reading = this.#bodies.readAll(wanted.map((row) => ({ mailbox, ...row, ...row.place })));
    const bodies = new Map<AbsorbableRow, Promise<Buffer>>();
    for (const [at, row] of wanted.entries()) {
      // Awaited later, or never: a failure must not count as unhandled meanwhile.
      reading[at]!.catch(() => undefined);
      bodies.set(row, reading[at]!);
    }
    let octets = 0;
    let last = 0;
    for (const row of rows) {
      last = row.key;
      const entry = await this.#openOnce(row, bodies.get(row) ?? null);
      if (entry === null) {
        this.#owner.unabsorbable.add(row.key);
        continue;
      }
      entries.push(entry);
      if (row.sealed !== null) stripped.push(row.key);
      octets += octetsOf(entry) + (entry.search?.text.length ?? 0);
      if (octets > ABSORB_OCTETS) break;
      await this.#pace.pause();
    }
    return { last, stripped };
  }

  /** As #open. What else fails than the lease fails once: a row that no step gets past would stop all absorbing behind it. */
  async #openOnce(row: AbsorbableRow, body: Promise<Buffer> | null): Promise<PageEntry | null> {
    try {
      return await this.#open(row, body);
    } catch (error) {
      if (error instanceof LetterlockError) throw error;
      // Throws if the lease has ended, or the work is being stopped.
      this.#lease();
      this.#owner.unabsorbable.add(row.key);
      throw error;
    }
  }

  /** The first rows that are wanted and can be absorbed. */
  async #scan(
    from: number,
    next: (after: number) => AbsorbableRow[],
    isWanted: (row: AbsorbableRow) => boolean,
  ): Promise<AbsorbableRow[]> {
    const found: AbsorbableRow[] = [];
    for (let after = from; ; ) {
      const rows = next(after);
      for (const row of rows) {
        if (!this.#owner.unabsorbable.has(row.key) && isWanted(row)) found.push(row);
        if (found.length === ABSORB_MESSAGES) return found;
      }
      if (rows.length < ABSORB_MESSAGES) return found;
      after = rows.at(-1)!.key;
      await this.#pace.pause();
    }
  }

  /** @returns null when header or digest do not open, which the message's readers are told. */
  async #open(row: AbsorbableRow, body: Promise<Buffer> | null): Promise<PageEntry | null> {
    const { key, id, epoch, octets } = row;
    const mailbox = this.#owner.id;
    try {
      const { header, digest: sealed } = row.sealed ?? (await this.#readHead(row));
      const { identity } = this.#lease();
      const fileKey = openHeader(header, identity);
      const digest = decodeDigest(openObject(fileKey, 'digest', [mailbox, id, epoch], sealed));
      if (digest.sizeOctets !== octets) return null;
      const { fields, search } = await this.#content(row, fileKey, digest, body);
      return { key, id, sizeOctets: octets, fileKey, texts: pageTexts(digest, fields), search };
    } catch (error) {
      if (error instanceof IntegrityError) return null;
      throw error;
    }
  }

  async #readHead({ key, id, place }: AbsorbableRow): Promise<RecordHead> {
    const mailbox = this.#owner.id;
    try {
      return await this.#bodies.readHead(mailbox, id, place);
    } catch (error) {
      // A compaction may have moved the record since the row was read.
      const now = error instanceof IntegrityError ? this.#owner.pages.place(key) : null;
      if (now === null) throw error;
      return this.#bodies.readHead(mailbox, id, now.place);
    }
  }

  /** What is kept of the message's own octets; nothing when they do not open, which its readers are told. */
  async #content(
    row: AbsorbableRow,
    fileKey: Buffer,
    { parts, frames }: Pick<Digest, 'parts' | 'frames'>,
    body: Promise<Buffer> | null,
  ): Promise<KeptContent> {
    const pause = (): Promise<void> | undefined => this.#pace.pause();
    try {
      if (body !== null) {
        const message = openSmallBody(fileKey, await body, [RAW_PREFIX_OCTETS + row.octets], row.octets);
        return await keptContent(parts, async (start, end) => message.subarray(start, end), pause);
      }
      const source = await this.#bodies.open({ mailbox: this.#owner.id, ...row, ...row.place });
      try {
        const read = async (start: number, end: number): Promise<Buffer> => {
          const octets: Buffer[] = [];
          for await (const part of openBodyRange(fileKey, frames, row.octets, source, start, end)) {
            octets.push(part);
            await pause();
          }
          return Buffer.concat(octets);
        };
        return await keptContent(parts, read, pause);
      } finally {
        await source.close();
      }
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      // A compaction may have moved the body since it was read ahead, or since the row was read.
      const now = error.code === 'missing-body' ? this.#owner.pages.place(row.key) : null;
      if (now === null || isDeepStrictEqual(now.place, row.place)) return { fields: null, search: null };
      return this.#content({ ...row, place: now.place }, fileKey, { parts, frames }, null);
    }
  }

  // --- Merging ---

  async #merge(): Promise<boolean> {
    const run = mergeable(this.#opened().listed);
    if (run.length === 0) return false;
    await this.#rewrite(run);
    return true;
  }

  /** A page of which most is expunged is written anew without that; one of which all is, is dropped. */
  async #compact(): Promise<boolean> {
    const owner = this.#owner;
    const { expunges } = owner;
    if (owner.compactedTo === expunges) return false;
    for (const page of this.#opened().listed) {
      // Keys between the first and the last of a page may be another's, so that this is too much at most.
      const live = owner.pages.countKeys(page.first, page.last);
      await this.#pace.pause();
      if (live * 2 >= page.count) continue;
      await this.#rewrite([page]);
      return true;
    }
    owner.compactedTo = expunges;
    return false;
  }

  async #rewrite(run: readonly ListedPage[]): Promise<void> {
    const sources = run.map((page) => {
      const directory = new Directory(this.#opened().open(page, 'directory'));
      const live = this.#owner.pages.keys(page.first, page.last);
      const slots: number[] = [];
      for (let slot = 0; slot < directory.count; slot++)
        if (live.has(directory.keyAt(slot))) slots.push(slot);
      return { page, directory, slots };
    });
    const order: { readonly source: number; readonly slot: number; readonly key: number }[] = [];
    for (const [source, { directory, slots }] of sources.entries()) {
      for (const slot of slots) order.push({ source, slot, key: directory.keyAt(slot) });
    }
    order.sort((a, b) => a.key - b.key);
    if (order.length === 0) return this.#commit(run, null, []);

    const place = this.#newPlace();
    let octets = order.length * FIXED_OCTETS;
    const directory = order.map(({ source, slot, key }) => {
      const from = sources[source]!.directory;
      return { key, id: from.idAt(slot), sizeOctets: from.sizeAt(slot) };
    });
    await this.#writeColumn(place, 'directory', encodeDirectory(directory));
    for (const column of ['file-keys', ...TEXT_COLUMNS] as const) {
      const opened: (Texts | FileKeys)[] = [];
      const buffers: Buffer[] = [];
      for (const { page } of sources) {
        const source = this.#opened().open(page, column);
        buffers.push(source);
        opened.push(
          column === 'file-keys' ? new FileKeys(source, page.count) : new Texts(source, page.count),
        );
        await this.#pace.pause();
      }
      const values = order.map(({ source, slot }) => {
        const from = opened[source]!;
        return from instanceof FileKeys ? from.at(slot) : from.octetsAt(slot);
      });
      const clear = column === 'file-keys' ? Buffer.concat(values) : encodeTexts(values);
      for (const buffer of buffers) buffer.fill(0);
      if (column !== 'file-keys') octets += clear.length - 4 * values.length;
      await this.#writeColumn(place, column, clear);
    }
    const texts = sources.map(
      ({ page }) => new SourceTexts(page, (column) => this.#opened().open(page, column)),
    );
    const writer = this.#textWriter(place, order.length);
    for (const { source, slot } of order) {
      await writer.add(texts[source]!.at(slot));
      await this.#pace.pause();
    }
    await writer.end();
    const [first, last] = [order[0]!.key, order.at(-1)!.key];
    this.#commit(run, { ...listedAs(place), count: order.length, first, last, octets }, []);
  }

  // --- Writing ---

  /** Columns first, unlisted and so of no meaning; then, in one step, the root that lists them. */
  async #writePage(entries: readonly PageEntry[], stripped: readonly number[]): Promise<void> {
    const place = this.#newPlace();
    const keys = Buffer.alloc(entries.length * FILE_KEY_OCTETS);
    for (const [slot, { fileKey }] of entries.entries()) fileKey.copy(keys, slot * FILE_KEY_OCTETS);
    await this.#writeColumn(place, 'directory', encodeDirectory(entries));
    await this.#writeColumn(place, 'file-keys', keys);
    for (const column of TEXT_COLUMNS) {
      await this.#writeColumn(place, column, encodeTexts(entries.map(({ texts }) => texts[column])));
    }
    const writer = this.#textWriter(place, entries.length);
    for (const { search } of entries) {
      await writer.add(search);
      await this.#pace.pause();
    }
    await writer.end();
    const octets = entries.reduce((sum, entry) => sum + octetsOf(entry), 0);
    const [first, last] = [entries[0]!.key, entries.at(-1)!.key];
    this.#commit([], { ...listedAs(place), count: entries.length, first, last, octets }, stripped);
  }

  #textWriter(place: PagePlace, count: number): PageTextWriter {
    const write: WriteColumn = (column, clear, isRaw) => this.#writeColumn(place, column, clear, isRaw);
    return new PageTextWriter(count, write, () => this.#pace.pause());
  }

  /** Zeroes `clear`. @throws UnavailableError 'disk-full': the texts of one page alone may have gigabytes. */
  async #writeColumn(place: PagePlace, column: ColumnName, clear: Buffer, isRaw = false): Promise<void> {
    if (!this.#hasSpace()) throw new UnavailableError('disk-full', 'The server is out of disk space');
    const packed = isRaw ? packRawColumn(clear) : await packColumn(clear);
    clear.fill(0);
    const sealed = sealColumn(this.#lease().indexKey, place, column, packed);
    packed.fill(0);
    // The largest columns, which nobody's mail has, take 28 ms to seal, and 34 to insert.
    await this.#pace.pause();
    this.#lease();
    this.#owner.pages.insertColumn(place.page, column, sealed);
    await this.#pace.pause();
  }

  #newPlace(): PagePlace {
    const { mailbox, epoch } = this.#lease();
    return { mailbox, epoch, page: randomBytes(16).toString('hex'), generation: this.#generation() + 1 };
  }

  #generation(): number {
    return this.#owner.pages.root()?.generation ?? 0;
  }

  /** Broken pages are not listed again: their messages become orphans, and are folded in anew. */
  #commit(replaced: readonly ListedPage[], added: ListedPage | null, stripped: readonly number[]): void {
    const { mailbox, epoch, indexKey } = this.#lease();
    const { pages } = this.#owner;
    const gone = new Set(replaced.map(({ page }) => page));
    const listed = this.#opened().listed.filter(({ page }) => !gone.has(page));
    if (added !== null) listed.push(added);
    listed.sort((a, b) => a.first - b.first);
    const generation = this.#generation() + 1;
    const sealed = sealRoot(indexKey, { mailbox, epoch, generation }, listed);
    pages.commit({ epoch, generation, sealed }, stripped);
    this.#owner.pagesChanged();
  }

  /** Removes some of a page that no root lists: one that was replaced, or that a crash or the lease's end left half written. */
  async #sweep(): Promise<boolean> {
    const { pages } = this.#owner;
    const listed = new Set(this.#opened().listed.map(({ page }) => page));
    for (const page of pages.pages()) {
      if (listed.has(page)) continue;
      pages.deleteColumns(page);
      return true;
    }
    return false;
  }

  #opened(): OpenedPages {
    return openedPages(this.#lease(), this.#owner);
  }
}

/** The texts of a page that is merged, chunk by chunk. */
class SourceTexts {
  readonly #open: (column: ColumnName) => Buffer;
  readonly #places: TextPlaces;
  #chunk: { readonly number: number; readonly octets: Buffer } | null = null;

  constructor({ count }: ListedPage, open: (column: ColumnName) => Buffer) {
    this.#open = open;
    this.#places = new TextPlaces(open('text-places'), count);
  }

  at(slot: number): SearchText | null {
    const place = this.#places.at(slot);
    if (place === null) return null;
    if (this.#chunk?.number !== place.chunk) {
      this.#chunk?.octets.fill(0);
      this.#chunk = { number: place.chunk, octets: this.#open(`text-${place.chunk}`) };
    }
    return textIn(this.#chunk.octets, place);
  }
}

const listedAs = ({ page, generation }: PagePlace): Pick<ListedPage, 'page' | 'generation'> => ({
  page,
  generation,
});

const octetsOf = ({ texts }: PageEntry): number =>
  FIXED_OCTETS + TEXT_COLUMNS.reduce((sum, column) => sum + texts[column].length, 0);

/** 0 below 16 messages, 1 below 256, 2 below 4,096; a page of many octets counts as full. */
function levelOf(page: ListedPage): number {
  if (isFull(page)) return 3;
  let level = 0;
  for (let count = page.count; count >= PAGE_FAN; count /= PAGE_FAN) level++;
  return level;
}

/**
 * Which neighbours are to be merged: the last pages, back to the first of PAGE_FAN of one level that no larger page
 * separates. So each message is written once for each level.
 */
export function mergeable(pages: readonly ListedPage[]): readonly ListedPage[] {
  for (let level = 0; level < 3; level++) {
    let from = pages.length;
    while (from > 0 && levelOf(pages[from - 1]!) <= level) from--;
    const run = pages.slice(from);
    const first = run.findIndex((page) => levelOf(page) === level);
    if (run.filter((page) => levelOf(page) === level).length < PAGE_FAN) continue;
    const merged: ListedPage[] = [];
    let [count, octets] = [0, 0];
    for (const page of run.slice(first)) {
      count += page.count;
      octets += page.octets;
      if (count > PAGE_MESSAGES || octets > PAGE_OCTETS) break;
      merged.push(page);
    }
    return merged;
  }
  return [];
}
