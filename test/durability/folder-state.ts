/**
 * What a folder must hold after a crash, and what it does hold: the model that the server is held against. Messages are
 * known by a token in their header, which no two sent messages share.
 */

export interface Entry {
  readonly token: string;
  /** Sorted, lower-case, without \Recent, joined by a space. */
  readonly flags: string;
}

/** Entries by UID. A negative UID stands for one that the server has chosen and nobody was told. */
export type FolderState = ReadonlyMap<number, Entry>;
/** Folders by name. */
export type MailState = ReadonlyMap<string, FolderState>;
/** A change that the server makes whole or not at all. */
export type Change = (before: MailState) => MailState;

export const flagText = (flags: Iterable<string>): string =>
  [...new Set([...flags].map((flag) => flag.toLowerCase()))]
    .filter((flag) => flag !== '\\recent')
    .sort()
    .join(' ');

const withFolder = (
  before: MailState,
  folder: string,
  change: (entries: Map<number, Entry>) => void,
): MailState => {
  const entries = new Map(before.get(folder));
  change(entries);
  return new Map(before).set(folder, entries);
};

export const adding =
  (folder: string, added: readonly (readonly [uid: number, entry: Entry])[]): Change =>
  (before) =>
    withFolder(before, folder, (entries) => {
      for (const [uid, entry] of added) entries.set(uid, entry);
    });

export const removing =
  (folder: string, uids: readonly number[]): Change =>
  (before) =>
    withFolder(before, folder, (entries) => {
      for (const uid of uids) entries.delete(uid);
    });

export const flagging =
  (
    folder: string,
    uids: readonly number[],
    change: (flags: readonly string[]) => readonly string[],
  ): Change =>
  (before) =>
    withFolder(before, folder, (entries) => {
      for (const uid of uids) {
        const { token, flags } = entries.get(uid)!;
        entries.set(uid, { token, flags: flagText(change(flags.split(' ').filter(Boolean))) });
      }
    });

/** @param targets For each UID its new one. */
export const copying =
  (folder: string, uids: readonly number[], target: string, targets: readonly number[]): Change =>
  (before) =>
    adding(
      target,
      uids.map((uid, index) => [targets[index]!, before.get(folder)!.get(uid)!] as const),
    )(before);

export const moving =
  (folder: string, uids: readonly number[], target: string, targets: readonly number[]): Change =>
  (before) =>
    removing(folder, uids)(copying(folder, uids, target, targets)(before));

/** As many stand-ins for UIDs that are not known. */
export const unknownUids = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => -1 - index);

/**
 * Takes what is expected out of what is there.
 * @param isNew Whether this UID was never given to a message before.
 * @returns What is there besides, by folder; or in words what is missing.
 */
export function subtract(
  actual: MailState,
  expected: MailState,
  isNew: (folder: string, uid: number) => boolean,
): Map<string, Map<number, Entry>> | string {
  const rest = new Map<string, Map<number, Entry>>();
  for (const [folder, entries] of expected) {
    const left = new Map(actual.get(folder));
    for (const [uid, entry] of entries) {
      const at = uid > 0 ? uid : uidOf(left, entry, (candidate) => isNew(folder, candidate));
      const found = left.get(at);
      if (found === undefined) return `${folder} has lost ${describe(uid, entry)}`;
      if (found.token !== entry.token || found.flags !== entry.flags) {
        return `${folder} has ${describe(at, found)} instead of ${describe(uid, entry)}`;
      }
      left.delete(at);
    }
    rest.set(folder, left);
  }
  return rest;
}

const uidOf = (entries: FolderState, { token, flags }: Entry, isNew: (uid: number) => boolean): number =>
  [...entries].find(([uid, entry]) => entry.token === token && entry.flags === flags && isNew(uid))?.[0] ?? 0;

export const describe = (uid: number, { token, flags }: Entry): string =>
  `${token} (UID ${uid < 0 ? 'unknown' : uid}, flags ${flags || 'none'})`;
