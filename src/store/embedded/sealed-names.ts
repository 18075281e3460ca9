/**
 * Names of folders, subscriptions and keywords: sealed in the index, opened once a lease. docs/format.md, "Associated
 * data and sealed objects".
 */
import type { Lease } from '../../keys/lease.ts';
import { openObject, sealObject } from '../../seal/object.ts';

export type NamePurpose = 'folder-name' | 'subscription-name' | 'keyword-name';

const OPENED_NAMES = Symbol('opened names');
const SEPARATOR = '\0';

/** @param id The folder, subscription or keyword number that the name is bound to. */
export function sealName(lease: Lease, purpose: NamePurpose, id: number, name: string): Buffer {
  return sealObject(lease.indexKey, purpose, [lease.mailbox, lease.epoch, id], Buffer.from(name, 'utf8'));
}

/** @throws IntegrityError 'seal-broken'. */
export function openName(lease: Lease, purpose: NamePurpose, id: number, sealed: Buffer): string {
  const opened = lease.memo(OPENED_NAMES, () => new Map<Buffer, string>());
  const known = opened.get(sealed);
  if (known !== undefined) return known;
  const name = openObject(lease.indexKey, purpose, [lease.mailbox, lease.epoch, id], sealed).toString('utf8');
  opened.set(sealed, name);
  return name;
}

export const joinPath = (path: readonly string[]): string => path.join(SEPARATOR);
export const splitPath = (name: string): string[] => name.split(SEPARATOR);
