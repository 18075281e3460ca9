/**
 * Appends to the packs of one mailbox. docs/format.md, "Packs". For a thread that may wait for the disk; the one writer
 * of the mailbox's packs.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  unlinkSync,
  writevSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { MailboxId } from '../../ids.ts';
import { PACK_OCTETS } from '../../limits.ts';
import { encodePackRecord, listPacks, type PackPlace, type PackRecord, packFile, readPack } from './pack.ts';
import { syncPathSync } from './sync.ts';

export interface PackWriterOptions {
  readonly dataDirectory: string;
  readonly mailbox: MailboxId;
  /** Where the index's last record of a pack ends; 0 when it knows none, or there is no index to ask. */
  readonly knownEnd: (pack: number) => number;
}

export class PackWriter {
  readonly #options: PackWriterOptions;
  /** The pack that is appended to; 0 before the first. */
  #pack = 0;
  #end = 0;
  /** Open while there is something to sync. */
  readonly #unsynced = new Map<number, number>();
  #hasNewFile = false;

  constructor(options: PackWriterOptions) {
    this.#options = options;
    const last = listPacks(options.dataDirectory, options.mailbox).at(-1);
    if (last !== undefined) this.#continue(last);
  }

  /** Packs other than the one that is appended to, ascending. */
  get closedPacks(): readonly number[] {
    return listPacks(this.#options.dataDirectory, this.#options.mailbox).filter(
      (pack) => pack !== this.#pack,
    );
  }

  /** Not durable before `sync`. */
  append(records: readonly PackRecord[]): PackPlace[] {
    const places: PackPlace[] = [];
    let buffers: Buffer[] = [];
    let start = this.#end;
    for (const record of records) {
      const { buffers: encoded, octets, bodyAt } = encodePackRecord(record);
      if (this.#pack === 0 || (this.#end > 0 && this.#end + octets > PACK_OCTETS) || buffers.length > 1000) {
        this.#write(buffers, start);
        buffers = [];
        if (this.#pack === 0 || this.#end + octets > PACK_OCTETS) this.#begin(this.#pack + 1);
        start = this.#end;
      }
      const bodyOffset = record.body === null ? 0 : this.#end + bodyAt;
      places.push({ pack: this.#pack, recordOffset: this.#end, recordOctets: octets, bodyOffset });
      buffers.push(...encoded);
      this.#end += octets;
    }
    this.#write(buffers, start);
    return places;
  }

  sync(): void {
    for (const file of this.#unsynced.values()) {
      fsyncSync(file);
      closeSync(file);
    }
    this.#unsynced.clear();
    if (!this.#hasNewFile) return;
    const directory = dirname(this.#path(this.#pack));
    for (const path of [directory, dirname(directory)]) syncPathSync(path);
    this.#hasNewFile = false;
  }

  /** Nothing may need the pack any more. */
  remove(pack: number): void {
    unlinkSync(this.#path(pack));
  }

  #write(buffers: readonly Buffer[], offset: number): void {
    if (buffers.length === 0) return;
    const written = writevSync(this.#file(), buffers, offset);
    const expected = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (written !== expected) throw new Error('A write to a pack was cut short');
  }

  #file(): number {
    const known = this.#unsynced.get(this.#pack);
    if (known !== undefined) return known;
    const file = openSync(this.#path(this.#pack), 'r+');
    this.#unsynced.set(this.#pack, file);
    return file;
  }

  #begin(pack: number): void {
    mkdirSync(dirname(this.#path(pack)), { recursive: true, mode: 0o700 });
    this.#unsynced.set(pack, openSync(this.#path(pack), 'wx', 0o600));
    this.#pack = pack;
    this.#end = 0;
    this.#hasNewFile = true;
  }

  /**
   * Appends behind the last whole record. One that is whole but unknown to the index is kept: it is dead, or the index is
   * older than the pack and `fsck` will want it. A torn one comes again from the accept journal.
   */
  #continue(pack: number): void {
    this.#pack = pack;
    const file = openSync(this.#path(pack), 'r+');
    try {
      const { size } = fstatSync(file);
      this.#end = this.#options.knownEnd(pack);
      if (size === this.#end) return;
      // Behind what is missing nothing would be found again: the next record begins a new pack.
      if (size < this.#end) this.#end = PACK_OCTETS;
      if (size < this.#end) return;
      for (const { place } of readPack(this.#path(pack), pack, this.#end))
        this.#end = place.recordOffset + place.recordOctets;
      ftruncateSync(file, this.#end);
    } finally {
      closeSync(file);
    }
  }

  #path(pack: number): string {
    return packFile(this.#options.dataDirectory, this.#options.mailbox, pack);
  }
}
