/**
 * Folder names on the wire and as paths. RFC 3501 §5.1: one hierarchy delimiter, INBOX without case.
 */
import { RefusedError } from '../../errors.ts';

export const DELIMITER = '/';

/** The path of a name whose components may be anything; for look-ups. A leading INBOX compares without case. */
export function pathOf(name: string): string[] {
  const path = name.split(DELIMITER);
  if (path[0]!.toUpperCase() === 'INBOX') path[0] = 'INBOX';
  return path;
}

/**
 * The path of a name that is to be made. One trailing delimiter only says that there will be names below it
 * (RFC 3501 §6.3.3).
 * @throws RefusedError 'invalid' for empty components and control characters (RFC 9051 §5.1: they break clients).
 */
export function newPathOf(name: string): string[] {
  const path = pathOf(name.endsWith(DELIMITER) ? name.slice(0, -1) : name);
  if (path.some((component) => component === '')) {
    throw new RefusedError('invalid', 'A folder name has an empty component.');
  }
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) {
    throw new RefusedError('invalid', 'A folder name has control characters.');
  }
  return path;
}

export const nameOf = (path: readonly string[]): string => path.join(DELIMITER);
