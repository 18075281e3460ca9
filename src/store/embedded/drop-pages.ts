/**
 * Takes back the pages of a mailbox: its messages get header and digest from their packs again, and are absorbed anew when
 * somebody's lease is there to do it. docs/format.md, "Pages". Needs no key; nothing else may use the mailbox meanwhile.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { MailboxId } from '../../ids.ts';
import { listPacks, packFile, readPack } from './pack.ts';

const WITHOUT_PARTS =
  'SELECT count(*) AS messages FROM message LEFT JOIN message_parts USING (message_key) WHERE header IS NULL';

/** @returns the messages whose records are not there: they keep no header, and cannot be opened. */
export function dropPages(database: DatabaseSync, data: string, mailbox: MailboxId): number {
  const fill = database.prepare(
    `INSERT OR IGNORE INTO message_parts SELECT message_key, ?, ? FROM message
    WHERE message_id = ? AND pack = ? AND record_offset = ?`,
  );
  database.exec('BEGIN');
  for (const pack of listPacks(data, mailbox)) {
    for (const { id, header, digest, place } of readPack(packFile(data, mailbox, pack), pack)) {
      fill.run(header, digest, Buffer.from(id, 'hex'), pack, place.recordOffset);
    }
  }
  database.exec('DELETE FROM page_column; DELETE FROM page_root; COMMIT');
  const left = database.prepare(WITHOUT_PARTS).get();
  return (left as { messages: number }).messages;
}
