/**
 * A queue, for the one who works on it: messages by id, each with its sealed envelope and its sealed note. docs/format.md,
 * "Outbound queue". What it knows without a key is what the index tells of any mailbox.
 */
import { IntegrityError, RefusedError } from '../../errors.ts';
import type { FolderId, MailboxId, MessageId, Uid } from '../../ids.ts';
import { QUEUE_LIST_ROWS } from '../../limits.ts';
import { openHeader } from '../../seal/header.ts';
import { openObject, sealObject } from '../../seal/object.ts';
import { yieldingTo } from '../../yielding.ts';
import type { OwnerHandle } from '../handles.ts';
import type { FolderChange, OpenQueued, QueuedMessage, QueueMailbox } from '../types.ts';
import type { MailboxServices } from './embedded-mailbox.ts';
import { EmbeddedMessage } from './embedded-message.ts';
import type { EntryRow, FolderRow, QueuedParts, QueuedRow } from './mailbox-index.ts';
import type { MailboxOwner } from './mailbox-owner.ts';

interface Place {
  readonly folder: FolderId;
  readonly uid: number;
}

export class EmbeddedQueue implements QueueMailbox {
  readonly #handle: OwnerHandle;
  readonly #owner: MailboxOwner;
  readonly #services: MailboxServices;
  readonly #mailbox: MailboxId;
  readonly #inbox: FolderRow;
  readonly #listener: (change: FolderChange) => void;
  /** Of messages that were listed or arrived. */
  readonly #places = new Map<MessageId, Place>();
  readonly #slice = yieldingTo();
  #isClosed = false;

  constructor(
    handle: OwnerHandle,
    owner: MailboxOwner,
    services: MailboxServices,
    onAdded: (messages: readonly QueuedMessage[]) => void,
  ) {
    this.#handle = handle;
    this.#owner = owner;
    this.#services = services;
    this.#mailbox = handle.mailbox;
    this.#inbox = owner.folderWithRole('inbox')!;
    this.#listener = (change) => {
      if (change.kind === 'added') onAdded(this.#added(change.uids));
    };
    owner.open(this.#inbox.id, this.#listener);
  }

  async *messages(): AsyncGenerator<QueuedMessage> {
    const slice = yieldingTo();
    let [folder, uid] = [0, 0];
    for (;;) {
      const rows = this.#owner.index.queuedAfter(folder, uid, QUEUE_LIST_ROWS);
      const last = rows.at(-1);
      if (last === undefined) return;
      [folder, uid] = [last.folder, last.uid];
      for (const row of rows) yield this.#queued(row);
      await slice.pause();
    }
  }

  async open(id: MessageId): Promise<OpenQueued> {
    // Many wait for one lease, and would go on together when it is there.
    await this.#handle.lease();
    for (let wait = this.#slice.pause(); wait !== undefined; wait = this.#slice.pause()) await wait;
    const lease = await this.#handle.lease();
    const { place, row, parts } = this.#found(id);
    const { index } = this.#owner;
    const sealed = index.sealedParts(row.messageKey);
    if (sealed === null) throw nonexistent();
    // Only mail that a session shows is absorbed.
    if (sealed === 'absorbed') throw new Error('a message of a queue was absorbed');
    const fileKey = openHeader(sealed.header, lease.identity);
    const envelope = openObject(fileKey, 'queue-envelope', [this.#mailbox, id, sealed.epoch], parts.envelope);
    const { generation } = parts;
    const state = [this.#mailbox, lease.epoch, id, generation] as const;
    const note = parts.note === null ? null : openObject(lease.indexKey, 'queue-state', state, parts.note);
    const context = {
      mailbox: this.#mailbox,
      bodies: this.#services.bodies,
      owner: this.#owner,
      folder: place.folder,
      lease: () => this.#handle.lease(),
      heldLease: () => this.#handle.heldLease(),
    };
    return { envelope, note, message: new EmbeddedMessage(row, [], context, null) };
  }

  setNote(id: MessageId, note: Uint8Array): Promise<void> {
    // Not refused by a full disk: it keeps mail from being sent twice.
    this.#services.assertOpen();
    return this.#owner.exclusively(async () => {
      const lease = await this.#handle.lease();
      const generation = this.#found(id).parts.generation + 1;
      const fields = [this.#mailbox, lease.epoch, id, generation] as const;
      const sealed = sealObject(lease.indexKey, 'queue-state', fields, note);
      this.#services.assertFits(sealed.length, 1);
      const modSeq = this.#owner.takeModSeq();
      const mailbox = this.#mailbox;
      await this.#services.commit({ op: 'note', mailbox, modSeq, message: id, generation, note: 0 }, [
        sealed,
      ]);
    });
  }

  release(id: MessageId): Promise<void> {
    this.#services.assertOpen();
    return this.#owner.exclusively(async () => {
      const { place, row } = this.#found(id);
      const target = this.#inbox;
      if (place.folder === target.id) return;
      this.#owner.takeOctets(row.octets);
      const operation = {
        op: 'move',
        mailbox: this.#mailbox,
        modSeq: this.#owner.takeModSeq(),
        folder: place.folder,
        uids: String(place.uid),
        target: target.id,
        firstUid: this.#owner.takeUids(target, 1),
        saved: Date.now(),
      } as const;
      await this.#services.commit(operation, []);
    });
  }

  remove(id: MessageId): Promise<void> {
    this.#services.assertOpen();
    return this.#owner.exclusively(async () => {
      const place = this.#places.get(id);
      this.#places.delete(id);
      if (place === undefined || this.#owner.index.entry(place.folder, place.uid) === null) return;
      const modSeq = this.#owner.takeModSeq();
      const { folder, uid } = place;
      const mailbox = this.#mailbox;
      await this.#services.commit({ op: 'expunge', mailbox, modSeq, folder, uids: String(uid) }, []);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#owner.closeFolder(this.#inbox.id, this.#listener);
    this.#services.release(this.#owner);
  }

  #added(uids: readonly Uid[]): QueuedMessage[] {
    const { id: folder } = this.#inbox;
    const messages: QueuedMessage[] = [];
    for (const uid of uids) {
      const row = this.#owner.index.entry(folder, uid);
      // Without an envelope nobody knows where it would go.
      if (row === null || this.#owner.index.queued(row.id) === null) continue;
      messages.push(this.#queued({ ...row, folder }));
    }
    return messages;
  }

  #queued({ folder, uid, id, octets, internalDate }: QueuedRow): QueuedMessage {
    this.#places.set(id, { folder, uid });
    const isReleased = folder === this.#inbox.id;
    return { id, sizeOctets: octets, arrivedAt: new Date(internalDate), isReleased };
  }

  /** @throws RefusedError 'nonexistent'. */
  #found(id: MessageId): { place: Place; row: EntryRow; parts: QueuedParts } {
    const place = this.#places.get(id);
    if (place === undefined) throw nonexistent();
    const row = this.#owner.index.entry(place.folder, place.uid);
    const parts = this.#owner.index.queued(id);
    if (row === null || parts === null) throw nonexistent();
    if (row.id !== id)
      throw new IntegrityError('format', 'A queue does not have its messages where it knew them');
    return { place, row, parts };
  }
}

const nonexistent = (): RefusedError =>
  new RefusedError('nonexistent', 'There is no such message in the queue');
