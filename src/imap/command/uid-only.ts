/**
 * Without message numbers, RFC 9586: after ENABLE UIDONLY a client neither sends nor is sent any. FETCH becomes UIDFETCH,
 * EXPUNGE becomes VANISHED, and UNSEEN is not told.
 */
import type { Command, SearchKey } from '../wire/ast.ts';
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
      return !command.isUid || namesNumbers(command.key);
    case 'SELECT':
    case 'EXAMINE':
      return command.qresync !== null && command.qresync.match !== null;
    default:
      return false;
  }
}

function namesNumbers(key: SearchKey): boolean {
  switch (key.key) {
    case 'SEQUENCE':
      return !key.set.isSaved;
    case 'AND':
      return key.keys.some(namesNumbers);
    case 'OR':
      return namesNumbers(key.left) || namesNumbers(key.right);
    case 'NOT':
      return namesNumbers(key.operand);
    default:
      return false;
  }
}

/** `* 3 FETCH (`, or `* 117 UIDFETCH (` (RFC 9586 §3.3). */
export const fetchHead = (selected: SelectedFolder, number: number, uid: number): string =>
  selected.isUidOnly ? `* ${uid} UIDFETCH (` : `* ${number} FETCH (`;
