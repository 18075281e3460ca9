/**
 * LIST patterns: `*` matches anything, `%` anything but the hierarchy delimiter. RFC 3501 §6.3.8, RFC 9051 §6.3.9.
 *
 * Matching keeps the set of positions in the pattern that the name may have reached, so that it takes at most
 * name x pattern steps; backtracking over `*a*a*a*b` would take a power of that.
 */
import { DELIMITER } from './folder-name.ts';

export interface ListPattern {
  matches(name: string): boolean;
}

/**
 * @param pattern Reference and pattern joined, decoded. INBOX and the first component of what is under it compare
 *   without case (RFC 3501 §5.1).
 */
export function listPattern(pattern: string): ListPattern {
  const exact = simplify(pattern);
  // A pattern of which INBOX may be a match in another spelling: 'inbox', 'In%', 'inbox/*'.
  const upper = simplify(upperFirstComponent(pattern));
  const isSame = upper === exact;
  return {
    matches: (name) =>
      match(exact, name) ||
      (!isSame && (name === 'INBOX' || name.startsWith('INBOX/')) && match(upper, name)),
  };
}

/** Runs of wildcards say no more than one of them: `*` when it is among them, else `%`. */
function simplify(pattern: string): string {
  return pattern.replace(/[*%]{2,}/g, (run) => (run.includes('*') ? '*' : '%'));
}

function upperFirstComponent(pattern: string): string {
  const end = pattern.indexOf(DELIMITER);
  return end === -1 ? pattern.toUpperCase() : pattern.slice(0, end).toUpperCase() + pattern.slice(end);
}

function match(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  if (pattern === '%') return !name.includes(DELIMITER);
  if (!/[*%]/.test(pattern)) return pattern === name;
  if (pattern.replace(/[*%]/g, '').length > name.length) return false;
  let reached = new Uint8Array(pattern.length + 1);
  let next = new Uint8Array(pattern.length + 1);
  reached[0] = 1;
  passWildcards(pattern, reached);
  for (let at = 0; at < name.length; at += 1) {
    const c = name[at]!;
    next.fill(0);
    let any = false;
    for (let state = 0; state < pattern.length; state += 1) {
      if (reached[state] === 0) continue;
      const p = pattern[state];
      if (p === '*' || (p === '%' && c !== DELIMITER)) {
        next[state] = 1;
        any = true;
      } else if (p === c && p !== '%') {
        next[state + 1] = 1;
        any = true;
      }
    }
    if (!any) return false;
    passWildcards(pattern, next);
    [reached, next] = [next, reached];
  }
  return reached[pattern.length] === 1;
}

/** A wildcard may match nothing: who stands before it also stands behind it. */
function passWildcards(pattern: string, states: Uint8Array): void {
  for (let state = 0; state < pattern.length; state += 1) {
    if (states[state] === 1 && (pattern[state] === '*' || pattern[state] === '%')) states[state + 1] = 1;
  }
}
