/**
 * A mailbox as plain values: what the store must show. `observe` reads the same values from a store, so that the two can
 * be compared whole.
 */
import type { FolderId, MailboxId, Uid } from '../../src/ids.ts';
import { Flag, type FlagOperation, type Mailbox } from '../../src/store/types.ts';
import { octetsOf } from './support.ts';

export interface ModelMessage {
  readonly text: string;
  system: number;
  keywords: string[];
}

export interface ModelFolder {
  readonly uidValidity: number;
  uidNext: number;
  readonly messages: Map<number, ModelMessage>;
}

export class ModelMailbox {
  readonly folders = new Map<string, ModelFolder>();
  readonly subscriptions = new Set<string>();

  add(path: string, text: string, system = 0, keywords: readonly string[] = []): void {
    const folder = this.folders.get(path)!;
    folder.messages.set(folder.uidNext++, { text, system, keywords: [...keywords].sort() });
  }

  changeFlags(
    path: string,
    uids: readonly number[],
    operation: FlagOperation,
    system: number,
    keywords: readonly string[],
  ): void {
    for (const uid of uids) {
      const found = this.folders.get(path)!.messages.get(uid);
      if (found === undefined) continue;
      const before = operation === 'replace' ? { system: 0, keywords: [] } : found;
      const isRemoval = operation === 'remove';
      found.system = isRemoval ? before.system & ~system : before.system | system;
      found.keywords = isRemoval
        ? before.keywords.filter((name) => !keywords.includes(name))
        : [...new Set([...before.keywords, ...keywords])].sort();
    }
  }

  copy(from: string, uids: readonly number[], to: string, isMove: boolean): void {
    const source = this.folders.get(from)!.messages;
    for (const uid of [...new Set(uids)].sort((a, b) => a - b)) {
      const found = source.get(uid);
      if (found === undefined) continue;
      this.add(to, found.text, found.system, found.keywords);
      if (isMove) source.delete(uid);
    }
  }

  expunge(path: string): void {
    const { messages } = this.folders.get(path)!;
    for (const [uid, { system }] of messages) if ((system & Flag.Deleted) !== 0) messages.delete(uid);
  }

  rename(from: string, to: string): void {
    for (const [path, folder] of [...this.folders]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.folders.delete(path);
      this.folders.set(to + path.slice(from.length), folder);
    }
  }

  /** What `observe` yields of a mailbox that is like this one. */
  view(): object {
    const folders = [...this.folders].map(([path, { uidValidity, uidNext, messages }]) => {
      const all = [...messages.values()];
      const counts = {
        messages: all.length,
        unseen: all.filter(({ system }) => (system & Flag.Seen) === 0).length,
        deleted: all.filter(({ system }) => (system & Flag.Deleted) !== 0).length,
        sizeOctets: all.reduce((sum, { text }) => sum + text.length, 0),
      };
      const listed = [...messages].map(([uid, { text, system, keywords }]) => ({
        uid,
        text,
        system,
        keywords,
      }));
      return [path, { uidValidity, uidNext, ...counts, listed }];
    });
    return { folders: Object.fromEntries(folders.sort()), subscriptions: [...this.subscriptions].sort() };
  }
}

export async function observe(mailbox: Mailbox): Promise<object> {
  const folders: [string, object][] = [];
  for (const { id, path, isSelectable } of await mailbox.listFolders()) {
    if (!isSelectable) continue;
    const { messages, unseen, deleted, sizeOctets, uidNext, uidValidity } = await mailbox.status(id);
    const counts = { messages, unseen, deleted, sizeOctets };
    folders.push([path.join('/'), { uidValidity, uidNext, ...counts, listed: await listed(mailbox, id) }]);
  }
  const subscriptions = (await mailbox.listSubscriptions()).map((path) => path.join('/'));
  return { folders: Object.fromEntries(folders.sort()), subscriptions: subscriptions.sort() };
}

/** A mailbox as it is now, to go on from. */
export async function modelOf(mailbox: Mailbox): Promise<ModelMailbox> {
  const model = new ModelMailbox();
  for (const { id, path, isSelectable } of await mailbox.listFolders()) {
    if (!isSelectable) continue;
    const { uidNext, uidValidity } = await mailbox.status(id);
    model.folders.set(path.join('/'), { uidValidity, uidNext, messages: new Map() });
  }
  for (const path of await mailbox.listSubscriptions()) model.subscriptions.add(path.join('/'));
  return model;
}

async function listed(mailbox: Mailbox, folder: FolderId): Promise<object[]> {
  const view = await mailbox.openFolder(folder, () => undefined);
  const found: object[] = [];
  for await (const stored of mailbox.messages(folder, [...view.uids()] as Uid[], 'octets')) {
    const { uid } = stored;
    const { system, keywords } = view.flags(uid)!;
    found.push({ uid, text: await octetsOf(stored), system, keywords: [...keywords].sort() });
  }
  view.close();
  return found;
}

export type Models = Map<MailboxId, ModelMailbox>;
