/** Folder roles as LIST attributes. RFC 6154 §2. */
import type { FolderRole } from '../../store/types.ts';

const ATTRIBUTES: readonly (readonly [FolderRole, string])[] = [
  ['drafts', '\\Drafts'],
  ['sent', '\\Sent'],
  ['junk', '\\Junk'],
  ['trash', '\\Trash'],
  ['archive', '\\Archive'],
];
const BY_ROLE: ReadonlyMap<FolderRole, string> = new Map(ATTRIBUTES);
const BY_ATTRIBUTE: ReadonlyMap<string, FolderRole> = new Map(
  ATTRIBUTES.map(([role, attribute]) => [attribute.toLowerCase(), role]),
);

/** The attribute of a role; null for INBOX, which needs none. */
export const attributeOfRole = (role: FolderRole | null): string | null =>
  role === null ? null : (BY_ROLE.get(role) ?? null);

/** The role of an attribute in any case, or null for those that have no folder here (\All, \Flagged). */
export const roleOfAttribute = (attribute: string): FolderRole | null =>
  BY_ATTRIBUTE.get(attribute.toLowerCase()) ?? null;
