/**
 * Checks a store that no server has open: indexes against packs and bodies, counters against rows; with keys also
 * that every message opens to the octets whose digest was sealed. Changes nothing, but for `rebuild`.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import { LetterlockError } from '../../errors.ts';
import { isMailboxId, type MailboxId, type MessageId } from '../../ids.ts';
import type { Lease } from '../../keys/lease.ts';
import { type Digest, decodeDigest, encodeDigest } from '../../message/digest.ts';
import { openBodyRange, openBodySequential } from '../../seal/body.ts';
import { openHeader } from '../../seal/header.ts';
import { openObject } from '../../seal/object.ts';
import type { OwnerHandle } from '../handles.ts';
import { Flag } from '../types.ts';
import { Bodies } from './bodies.ts';
import { dropPages } from './drop-pages.ts';
import { type KeptContent, keptContent } from './kept-content.ts';
import { indexFile, mailboxDirectory, mailboxesDirectory } from './layout.ts';
import { type OpenedPages, openedPages, type PageSource } from './opened-pages.ts';
import { listPacks, type PackPlace, packFile, readPack } from './pack.ts';
import { PageTable } from './page-table.ts';
import { listBodies, type RebuildReport, rebuildIndex } from './rebuild.ts';
import { openIndexDatabase } from './schema.ts';
import { openName } from './sealed-names.ts';

export type StoreProblemKind =
  | 'index-missing'
  | 'index-damaged'
  | 'counter'
  | 'body-missing'
  | 'body-length'
  | 'body-orphaned'
  | 'record-missing'
  | 'does-not-open'
  | 'page-broken';

export interface StoreProblem {
  readonly mailbox: MailboxId;
  readonly kind: StoreProblemKind;
  /** Ids and numbers only. */
  readonly detail: string;
}

export interface FsckOptions {
  /** Opens messages too; null: only what needs no key is checked. */
  readonly owner: ((mailbox: MailboxId) => OwnerHandle) | null;
  /** Only this mailbox. */
  readonly mailbox?: MailboxId;
  /** Makes new indexes for mailboxes whose index is missing or damaged, and takes back broken pages. Needs `owner`. */
  readonly rebuild?: boolean;
}

export interface FsckReport {
  readonly problems: readonly StoreProblem[];
  readonly rebuilt: readonly RebuildReport[];
  readonly checked: { readonly mailboxes: number; readonly messages: number; readonly opened: number };
}

/** The data directory's lock must be held, and the accept journal be empty: a server was started and stopped cleanly. */
export async function fsck(data: string, options: FsckOptions): Promise<FsckReport> {
  const problems: StoreProblem[] = [];
  const rebuilt: RebuildReport[] = [];
  const checked = { mailboxes: 0, messages: 0, opened: 0 };
  for (const mailbox of options.mailbox === undefined ? listMailboxes(data) : [options.mailbox]) {
    checked.mailboxes++;
    let check = new MailboxCheck(data, mailbox, options.owner?.(mailbox) ?? null);
    await check.run();
    if (options.rebuild === true && options.owner !== null && check.needsRebuild) {
      rebuilt.push(await rebuildIndex(data, options.owner(mailbox)));
      check = new MailboxCheck(data, mailbox, options.owner(mailbox));
      await check.run();
    } else if (options.rebuild === true && check.hasBrokenPages) {
      check.dropPages();
      check = new MailboxCheck(data, mailbox, options.owner?.(mailbox) ?? null);
      await check.run();
    }
    problems.push(...check.problems);
    checked.messages += check.messages;
    checked.opened += check.opened;
  }
  return { problems, rebuilt, checked };
}

export function listMailboxes(data: string): MailboxId[] {
  const directory = mailboxesDirectory(data);
  if (!existsSync(directory)) return [];
  const parts = readdirSync(directory).filter((name) => /^[0-9a-f]{2}$/.test(name));
  return parts.flatMap((part) => readdirSync(join(directory, part)).filter(isMailboxId));
}

class MailboxCheck {
  readonly problems: StoreProblem[] = [];
  messages = 0;
  opened = 0;
  readonly #data: string;
  readonly #mailbox: MailboxId;
  readonly #owner: OwnerHandle | null;
  readonly #bodies: Bodies;

  constructor(data: string, mailbox: MailboxId, owner: OwnerHandle | null) {
    this.#data = data;
    this.#mailbox = mailbox;
    this.#owner = owner;
    this.#bodies = new Bodies(data);
  }

  get needsRebuild(): boolean {
    return this.problems.some(({ kind }) => kind === 'index-missing' || kind === 'index-damaged');
  }

  get hasBrokenPages(): boolean {
    return this.problems.some(({ kind }) => kind === 'page-broken');
  }

  dropPages(): void {
    const database = openIndexDatabase(indexFile(this.#data, this.#mailbox));
    try {
      dropPages(database, this.#data, this.#mailbox);
    } finally {
      database.close();
    }
  }

  async run(): Promise<void> {
    const path = indexFile(this.#data, this.#mailbox);
    if (!existsSync(path)) return this.#report('index-missing', 'there is no index.db');
    let database: DatabaseSync | null = null;
    try {
      database = openIndexDatabase(path);
      const [verdict] = column(database, 'PRAGMA integrity_check(1)');
      if (verdict !== 'ok') return this.#report('index-damaged', String(verdict));
      this.#checkCounters(database);
      this.#checkFiles(database);
      this.#checkRoot(database);
      if (this.#owner !== null) await this.#openAll(database, this.#owner);
    } catch (error) {
      if (error instanceof LetterlockError) throw error;
      this.#report('index-damaged', error instanceof Error ? error.message : String(error));
    } finally {
      database?.close();
      await this.#bodies.close();
    }
  }

  #checkCounters(database: DatabaseSync): void {
    const folders = `SELECT folder_id FROM folder LEFT JOIN
      (SELECT folder_id AS id, count(*) AS n, total(flags & ${Flag.Seen} = 0) AS unseen,
        total(flags & ${Flag.Deleted} <> 0) AS deleted, total(octets) AS octets, max(uid) AS last
        FROM entry JOIN message USING (message_key) GROUP BY folder_id) AS seen ON seen.id = folder_id
      WHERE messages <> coalesce(n, 0) OR folder.unseen <> coalesce(seen.unseen, 0)
        OR folder.deleted <> coalesce(seen.deleted, 0) OR folder.octets <> coalesce(seen.octets, 0)
        OR uid_next <= coalesce(last, 0)`;
    for (const folder of column(database, folders)) this.#report('counter', `folder ${folder}`);
    const references = `SELECT message_key FROM message LEFT JOIN
      (SELECT message_key AS key, count(*) AS n FROM entry GROUP BY message_key) ON key = message_key
      WHERE refs <> coalesce(n, 0)`;
    for (const key of column(database, references)) this.#report('counter', `references of message ${key}`);
    const dangling = 'SELECT uid FROM entry LEFT JOIN message USING (message_key) WHERE message_id IS NULL';
    for (const uid of column(database, dangling))
      this.#report('index-damaged', `UID ${uid} names no message`);
    const queued = `SELECT lower(hex(message_id)) FROM queued LEFT JOIN message USING (message_id)
      WHERE message_key IS NULL`;
    for (const id of column(database, queued)) this.#report('index-damaged', `${id} is queued, and gone`);
  }

  #checkFiles(database: DatabaseSync): void {
    const bodies = listBodies(join(mailboxDirectory(this.#data, this.#mailbox), 'cur'));
    const records = new Map<string, number>();
    for (const pack of listPacks(this.#data, this.#mailbox)) {
      for (const { id, body, place } of readPack(packFile(this.#data, this.#mailbox, pack), pack)) {
        records.set(`${pack}:${place.recordOffset}:${id}`, body?.length ?? 0);
      }
    }
    const sql = `SELECT lower(hex(message_id)) AS id, body_octets AS octets, pack, record_offset AS offset,
      body_offset AS bodyOffset FROM message`;
    for (const row of database.prepare(sql).all() as unknown as PlacedRow[]) {
      this.messages++;
      const { id, octets, pack, offset, bodyOffset } = row;
      const packed = records.get(`${pack}:${offset}:${id}`);
      if (packed === undefined) this.#report('record-missing', id);
      else if (bodyOffset > 0 && packed !== octets) this.#report('body-length', id);
      if (bodyOffset > 0) continue;
      const found = bodies.get(id);
      if (found === undefined) this.#report('body-missing', id);
      else if (found !== octets) this.#report('body-length', id);
      bodies.delete(id);
    }
    for (const id of column(database, 'SELECT lower(hex(message_id)) FROM garbage'))
      bodies.delete(id as MessageId);
    for (const id of bodies.keys()) this.#report('body-orphaned', id);
  }

  async #openAll(database: DatabaseSync, owner: OwnerHandle): Promise<void> {
    this.#openNames(database, await owner.lease());
    const source: PageSource = {
      pagesVersion: 0,
      pages: new PageTable(database),
      pageIsBroken: () => this.#report('page-broken', 'a page, or the root, does not open'),
      // Each message that only they have is reported.
      pagesAreOld: () => undefined,
    };
    const rows = database.prepare(
      `SELECT message_key AS key, lower(hex(message_id)) AS id, epoch, octets, header, digest,
      body_octets AS bodyOctets, pack, record_offset AS recordOffset, record_octets AS recordOctets,
      body_offset AS bodyOffset, envelope, generation, note
      FROM message LEFT JOIN message_parts USING (message_key) LEFT JOIN queued USING (message_id)`,
    );
    for (const row of rows.iterate() as unknown as Iterable<MessageRow>) {
      try {
        await this.#openMessage(row, owner, source);
        this.opened++;
      } catch (error) {
        if (!(error instanceof LetterlockError) || error.kind !== 'integrity') throw error;
        this.#report('does-not-open', row.id);
      }
    }
  }

  /** A message without header and digest needs a page. */
  #checkRoot(database: DatabaseSync): void {
    const absorbed = `SELECT count(*) FROM message LEFT JOIN message_parts USING (message_key)
      WHERE header IS NULL AND NOT EXISTS (SELECT 1 FROM page_root)`;
    const [messages] = column(database, absorbed);
    if (messages !== 0) this.#report('page-broken', `there is no root, and ${messages} messages need one`);
  }

  #openNames(database: DatabaseSync, lease: Lease): void {
    const tables = [
      ['folder-name', 'SELECT folder_id AS id, sealed_name AS name FROM folder'],
      ['subscription-name', 'SELECT subscription_id AS id, sealed_name AS name FROM subscription'],
      ['keyword-name', 'SELECT number AS id, sealed_name AS name FROM keyword'],
    ] as const;
    for (const [purpose, sql] of tables) {
      for (const { id, name } of database.prepare(sql).all() as unknown as {
        id: number;
        name: Uint8Array;
      }[]) {
        try {
          openName(lease, purpose, id, Buffer.from(name));
        } catch {
          this.#report('does-not-open', `${purpose} ${id}`);
        }
      }
    }
  }

  /** @throws IntegrityError when anything of it is not what was sealed. */
  async #openMessage(row: MessageRow, owner: OwnerHandle, source: PageSource): Promise<void> {
    const { id, epoch, octets, envelope, generation, note, ...place } = row;
    const mailbox = this.#mailbox;
    const { header, digest } =
      row.header !== null && row.digest !== null
        ? { header: row.header, digest: row.digest }
        : await this.#bodies.readHead(mailbox, id, row);
    const lease = await owner.lease();
    const fileKey = openHeader(header, lease.identity);
    const fields = [mailbox, id, epoch] as const;
    if (envelope !== null) openObject(fileKey, 'queue-envelope', fields, envelope);
    if (note !== null)
      openObject(lease.indexKey, 'queue-state', [mailbox, lease.epoch, id, generation!], note);
    const opened = decodeDigest(openObject(fileKey, 'digest', fields, digest));
    const hash = createHash('sha256');
    let found = 0;
    const body = await this.#bodies.open({ mailbox, id, ...place });
    try {
      for await (const { clear } of openBodySequential(fileKey, body)) {
        hash.update(clear);
        found += clear.length;
      }
      if (found !== octets || found !== opened.sizeOctets || hash.digest('hex') !== opened.sha256) {
        return this.#report('does-not-open', id);
      }
      const read = async (start: number, end: number): Promise<Buffer> => {
        const parts: Buffer[] = [];
        for await (const part of openBodyRange(fileKey, opened.frames, octets, body, start, end))
          parts.push(part);
        return Buffer.concat(parts);
      };
      const message = { fileKey, digest: opened, content: await keptContent(opened.parts, read) };
      if (!isPageLike(openedPages(await owner.lease(), source), row, message)) {
        this.#report('page-broken', `message ${id}`);
      }
    } finally {
      await body.close();
    }
  }

  #report(kind: StoreProblemKind, detail: string): void {
    this.problems.push({ mailbox: this.#mailbox, kind, detail });
  }
}

/** Whether the pages say of a message what its header, digest and octets do, or, where they need not, nothing. */
function isPageLike(
  pages: OpenedPages,
  { key, id, header }: MessageRow,
  message: { readonly fileKey: Buffer; readonly digest: Digest; readonly content: KeptContent },
): boolean {
  const at = pages.find(key, id);
  if (at === null) return header !== null;
  const digest = pages.digest(at);
  return (
    digest !== null &&
    encodeDigest(digest).equals(encodeDigest(message.digest)) &&
    pages.fileKey(at)?.equals(message.fileKey) === true &&
    pages.fields(at) === message.content.fields &&
    isDeepStrictEqual(pages.search(at), message.content.search)
  );
}

interface MessageRow extends PackPlace {
  readonly key: number;
  readonly id: MessageId;
  readonly epoch: number;
  readonly octets: number;
  readonly header: Uint8Array | null;
  readonly digest: Uint8Array | null;
  readonly bodyOctets: number;
  /** Of a message of a queue; the note is null before the first. */
  readonly envelope: Uint8Array | null;
  readonly generation: number | null;
  readonly note: Uint8Array | null;
}

interface PlacedRow {
  readonly id: MessageId;
  readonly octets: number;
  readonly pack: number | null;
  readonly offset: number | null;
  readonly bodyOffset: number;
}

function column(database: DatabaseSync, sql: string): unknown[] {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return (statement.all() as unknown as unknown[][]).map(([value]) => value);
}
