/**
 * Without message numbers, RFC 9586: after ENABLE UIDONLY a client neither sends nor is sent any. FETCH becomes UIDFETCH,
 * EXPUNGE becomes VANISHED, and UNSEEN is not told.
 */
import type { Command, SearchKey } from '../wire/ast.ts';
import { someKey } from '../wire/search-keys.ts';
import type { SelectedFolder } from './context.ts';

/** Whether a command, or the answer to it, has message numbers in it (§3.1 to §3.3). */
export function usesMessageNumbers(command: Command): boolean {
  switch (command.name) {
    case 'FETCH':
    case 'STORE':
    case 'COPY':
    case 'MOVE':
      return !command.isUid;
    case 'SEARCH':
    case 'SORT':
      return !command.isUid || someKey(command.key, namesNumbers);
    case 'SELECT':
    case 'EXAMINE':
      return command.qresync !== null && command.qresync.match !== null;
    default:
      return false;
  }
}

const namesNumbers = (key: SearchKey): boolean => key.key === 'SEQUENCE' && !key.set.isSaved;

/** `* 3 FETCH (`, or `* 117 UIDFETCH (` (RFC 9586 §3.3). */
export const fetchHead = (selected: SelectedFolder, number: number, uid: number): string =>
  selected.isUidOnly ? `* ${uid} UIDFETCH (` : `* ${number} FETCH (`;
