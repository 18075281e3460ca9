/**
 * The open indexes of a process, at most `capacity`: opening one takes 0.4 ms and three descriptors, so the least
 * recently used is closed for another.
 */
import type { MailboxId } from '../../ids.ts';
import { indexFile } from './layout.ts';
import { MailboxIndex } from './mailbox-index.ts';

export class IndexPool {
  readonly #data: string;
  readonly #capacity: number;
  /** In order of use, the least recent first. */
  readonly #open = new Map<MailboxId, MailboxIndex>();

  constructor(data: string, capacity: number) {
    this.#data = data;
    this.#capacity = capacity;
  }

  /** The index, opened when it was not. Use it at once: the next `get` of another mailbox may close it. */
  get(mailbox: MailboxId): MailboxIndex {
    const known = this.#open.get(mailbox);
    if (known !== undefined) {
      this.#open.delete(mailbox);
      this.#open.set(mailbox, known);
      return known;
    }
    if (this.#open.size >= this.#capacity) this.close(this.#open.keys().next().value!);
    const index = new MailboxIndex(indexFile(this.#data, mailbox));
    this.#open.set(mailbox, index);
    return index;
  }

  close(mailbox: MailboxId): void {
    this.#open.get(mailbox)?.close();
    this.#open.delete(mailbox);
  }

  closeAll(): void {
    for (const mailbox of [...this.#open.keys()]) this.close(mailbox);
  }
}
