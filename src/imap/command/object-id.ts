/**
 * Object ids, RFC 8474: what a client knows a folder or a message by, whatever it is called or wherever it is. They tell
 * nothing but numbers and random ids of the store. There are no threads, so that THREADID is NIL (§5.2 allows it).
 */
import type { FolderId, UidValidity } from '../../ids.ts';
import type { MessageSummary } from '../../store/types.ts';

/** Renaming keeps it. A folder whose UIDs no longer mean what they did is another one (§4). */
export const mailboxIdOf = (folder: FolderId, uidValidity: UidValidity): string =>
  `F${folder}-${uidValidity}`;

/** Copies share it, as they share the octets. */
export const emailIdOf = ({ emailId }: MessageSummary): string => `M${emailId}`;
