/**
 * A mailbox's pages as one lease has opened them: the root, and the columns that were asked for lately. Gone with the
 * lease, whose memo it is: take it from the lease where it is used, and hold nothing of it over an await.
 *
 * What does not open is passed over: the message still opens through its pack, and the absorber folds it in anew.
 */
import { IntegrityError } from '../../errors.ts';
import type { MessageId } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { PAGE_CACHE_OCTETS } from '../../limits.ts';
import type { Digest } from '../../message/digest.ts';
import type { SearchText } from '../../message/search-text.ts';
import type { KnownContent } from '../types.ts';
import {
  type ColumnName,
  Directory,
  FileKeys,
  fieldsOf,
  joinDigest,
  type ListedPage,
  openColumn,
  openRoot,
  type PagePlace,
  type TextColumnName,
  Texts,
} from './page.ts';
import type { PageTable } from './page-table.ts';
import { candidatesIn, hasSignature, TextPlaces, textIn } from './page-text.ts';

const OPENED_PAGES = Symbol('opened pages');

/** What the owner knows of its mailbox's pages without a key. */
export interface PageSource {
  /** Grows whenever other pages are live than before. */
  readonly pagesVersion: number;
  /** The index's pages; use them at once. */
  readonly pages: PageTable;
  /** The root, or a page that it lists, does not open. */
  pageIsBroken(): void;
  /** The root is of an earlier epoch: what its pages hold is to be folded in anew. */
  pagesAreOld(): void;
}

/** Where a message is in the pages. */
export interface PageSlot {
  readonly page: OpenedPage;
  readonly slot: number;
}

interface Column {
  readonly octets: number;
  readonly value: Directory | FileKeys | Texts | TextPlaces | Buffer;
}

interface OpenedPage {
  readonly listed: ListedPage;
  readonly place: PagePlace;
  readonly columns: Map<ColumnName, Column>;
  isBroken: boolean;
}

/** The pages as this lease opens them. @throws UnavailableError 'timeout' when the lease has ended. */
export function openedPages(lease: Lease, source: PageSource): OpenedPages {
  const opened = lease.memo(OPENED_PAGES, () => ({ pages: new OpenedPages(lease, source) }));
  // Another source is another store, or a check of this one: never at the same time, but under the same lease.
  if (opened.pages.source !== source) opened.pages = new OpenedPages(lease, source);
  return opened.pages;
}

export class OpenedPages {
  readonly #lease: Lease;
  readonly source: PageSource;
  #version = -1;
  #pages: OpenedPage[] = [];
  /** Columns in the order in which they were opened. */
  readonly #cached: [OpenedPage, ColumnName, number][] = [];
  #cachedOctets = 0;
  /** What a term was last found to rule out, by page. */
  #ruled: { readonly needle: string; readonly pages: Map<OpenedPage, Uint8Array | null> } | null = null;
  /** Where the last message was found: clients go through a folder in order. */
  #hint: PageSlot | null = null;

  constructor(lease: Lease, source: PageSource) {
    this.#lease = lease;
    this.source = source;
  }

  /** The live pages in the order of their first keys. */
  get listed(): readonly ListedPage[] {
    return this.#current()
      .filter(({ isBroken }) => !isBroken)
      .map(({ listed }) => listed);
  }

  /** Whether the root lists pages that were found not to open. */
  get hasBroken(): boolean {
    return this.#current().some(({ isBroken }) => isBroken);
  }

  /** @returns null when no page has the message. */
  find(key: number, id: MessageId): PageSlot | null {
    return this.#find(key, id);
  }

  /** @returns null when no page has the message. */
  known(key: number, id: MessageId): KnownContent | null {
    const at = this.find(key, id);
    return at === null ? null : new KnownAt(this, at);
  }

  /** @returns null when the column does not open. */
  text(at: PageSlot, column: 'envelope' | 'body-structure'): string | null {
    return this.#texts(at.page, column)?.textAt(at.slot) ?? null;
  }

  /** The kept header fields; null when they were not kept, or the column does not open. */
  fields(at: PageSlot): string | null {
    const text = this.#texts(at.page, 'fields')?.textAt(at.slot);
    return text === undefined ? null : fieldsOf(text);
  }

  /** Kept to be searched; null when it was not kept, or does not open. */
  search({ page, slot }: PageSlot): SearchText | null {
    const places = this.#column(page, 'text-places') as TextPlaces | null;
    const place = places?.at(slot) ?? null;
    const chunk = place === null ? null : (this.#column(page, `text-${place.chunk}`) as Buffer | null);
    return chunk === null ? null : textIn(chunk, place!);
  }

  /**
   * Whether a message may have the term: false only where a page's signature rules it out.
   * @param needle Case-mapped, of TRIGRAM code units at least.
   */
  mayHave(key: number, needle: string): boolean {
    const at = this.#find(key, null);
    if (at === null || !hasSignature(at.page.listed.count)) return true;
    const found = this.#candidates(at.page, needle);
    return found === null || (found[at.slot >>> 3]! & (1 << (at.slot & 7))) !== 0;
  }

  /** A view, good until the lease ends; null when the column does not open. */
  fileKey(at: PageSlot): Buffer | null {
    const keys = this.#column(at.page, 'file-keys') as FileKeys | null;
    return keys?.at(at.slot) ?? null;
  }

  /** @returns null when a column does not open. */
  digest(at: PageSlot): Digest | null {
    const rest = this.#texts(at.page, 'rest')?.octetsAt(at.slot);
    const envelope = this.text(at, 'envelope');
    const bodyStructure = this.text(at, 'body-structure');
    if (rest === undefined || envelope === null || bodyStructure === null) return null;
    return joinDigest(rest, envelope, bodyStructure);
  }

  /** A whole column, for merging; remembered by nobody. @throws IntegrityError when it does not open. */
  open(listed: ListedPage, column: ColumnName): Buffer {
    const page = this.#current().find((opened) => opened.listed.page === listed.page);
    if (page === undefined || page.isBroken) throw lacking();
    try {
      return this.#clear(page, column);
    } catch (error) {
      if (error instanceof IntegrityError) this.#break(page);
      throw error;
    }
  }

  #current(): OpenedPage[] {
    if (this.#version !== this.source.pagesVersion) this.#openRoot();
    return this.#pages;
  }

  #openRoot(): void {
    const { mailbox, epoch } = this.#lease;
    this.#version = this.source.pagesVersion;
    this.#hint = null;
    const root = this.source.pages.root();
    const known = new Map(this.#pages.map((page) => [page.listed.page, page]));
    let listed: ListedPage[] = [];
    try {
      // Of another epoch: under a key that this lease does not have.
      if (root?.epoch === epoch) {
        listed = openRoot(this.#lease.indexKey, { mailbox, epoch, generation: root.generation }, root.sealed);
      } else if (root !== null && root.epoch < epoch) this.source.pagesAreOld();
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      this.source.pageIsBroken();
    }
    this.#pages = listed.map(
      (page) =>
        known.get(page.page) ?? {
          listed: page,
          place: { mailbox, epoch, page: page.page, generation: page.generation },
          columns: new Map(),
          isBroken: false,
        },
    );
  }

  /** @param id null: whichever message has the key. */
  #find(key: number, id: MessageId | null): PageSlot | null {
    const pages = this.#current();
    const hint = this.#hint;
    if (hint !== null && hint.page.listed.first <= key && key <= hint.page.listed.last) {
      const found = this.#findIn(hint.page, key, id, hint.slot + 1);
      if (found !== null) return found;
    }
    // Pages mostly follow each other; what came into its pack late may lie in a page behind.
    for (let at = lastNotBehind(pages, key); at >= 0; at--) {
      const found = key <= pages[at]!.listed.last ? this.#findIn(pages[at]!, key, id, 0) : null;
      if (found !== null) return found;
    }
    return null;
  }

  #findIn(page: OpenedPage, key: number, id: MessageId | null, hint: number): PageSlot | null {
    if (page.isBroken) return null;
    const directory = this.#column(page, 'directory') as Directory | null;
    const slot = directory?.find(key, hint) ?? -1;
    // The index's row is not authenticated; what the page says is.
    if (directory === null || slot < 0 || (id !== null && directory.idAt(slot) !== id)) return null;
    this.#hint = { page, slot };
    return this.#hint;
  }

  /** null when a block does not open. */
  #candidates(page: OpenedPage, needle: string): Uint8Array | null {
    if (this.#ruled?.needle !== needle) this.#ruled = { needle, pages: new Map() };
    const { pages } = this.#ruled;
    const known = pages.get(page);
    if (known !== undefined) return known;
    const found = candidatesIn(
      page.listed.count,
      needle,
      (number) => this.#column(page, `signature-${number}`) as Buffer | null,
    );
    pages.set(page, found);
    return found;
  }

  #texts(page: OpenedPage, column: TextColumnName): Texts | null {
    return this.#column(page, column) as Texts | null;
  }

  #column(page: OpenedPage, column: ColumnName): Column['value'] | null {
    return (page.columns.get(column) ?? this.#openColumn(page, column))?.value ?? null;
  }

  #openColumn(page: OpenedPage, name: ColumnName): Column | null {
    if (page.isBroken) return null;
    try {
      const clear = this.#clear(page, name);
      const column = { octets: clear.length, value: parsedColumn(name, clear, page.listed.count) };
      page.columns.set(name, column);
      this.#remember(page, name, clear.length);
      return column;
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      this.#break(page);
      return null;
    }
  }

  /** @throws IntegrityError. */
  #clear({ listed, place }: OpenedPage, name: ColumnName): Buffer {
    const sealed = this.source.pages.column(listed.page, name);
    if (sealed === null) throw lacking();
    return openColumn(this.#lease.indexKey, place, name, sealed);
  }

  #break(page: OpenedPage): void {
    page.isBroken = true;
    page.columns.clear();
    this.source.pageIsBroken();
  }

  /** The newest is kept whatever its size: it is being used. */
  #remember(page: OpenedPage, name: ColumnName, octets: number): void {
    this.#cached.push([page, name, octets]);
    this.#cachedOctets += octets;
    while (this.#cachedOctets > PAGE_CACHE_OCTETS && this.#cached.length > 1) {
      const [oldest, column, size] = this.#cached.shift()!;
      oldest.columns.delete(column);
      this.#cachedOctets -= size;
    }
  }
}

/** Opens a column only when it is asked for. */
class KnownAt implements KnownContent {
  readonly #pages: OpenedPages;
  readonly #at: PageSlot;

  constructor(pages: OpenedPages, at: PageSlot) {
    this.#pages = pages;
    this.#at = at;
  }

  get envelope(): string | null {
    return this.#pages.text(this.#at, 'envelope');
  }

  get bodyStructure(): string | null {
    return this.#pages.text(this.#at, 'body-structure');
  }

  get fields(): string | null {
    return this.#pages.fields(this.#at);
  }

  get search(): SearchText | null {
    return this.#pages.search(this.#at);
  }
}

/** @throws IntegrityError 'format' when it does not have `count` entries. */
function parsedColumn(name: ColumnName, clear: Buffer, count: number): Column['value'] {
  if (name === 'text-places') return new TextPlaces(clear, count);
  if (name.startsWith('text-') || name.startsWith('signature-')) return clear;
  if (name === 'file-keys') return new FileKeys(clear, count);
  if (name !== 'directory') return new Texts(clear, count);
  const directory = new Directory(clear);
  if (directory.count !== count) throw new IntegrityError('format', 'A page cannot be read.');
  return directory;
}

const lacking = (): IntegrityError => new IntegrityError('seal-broken', 'A page lacks a column.');

/** The last page whose first key is not above `key`, or -1. */
function lastNotBehind(pages: readonly OpenedPage[], key: number): number {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pages[middle]!.listed.first <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
