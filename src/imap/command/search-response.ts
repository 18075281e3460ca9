/** What a SEARCH answers and saves: RFC 3501 §7.2.5, RFC 4731, RFC 5182 §2.4, RFC 7162 §3.1.6 and §3.1.10. */
import type { SearchCommand } from '../wire/ast.ts';
import { printString } from '../wire/printer.ts';
import { printSequenceSet, sequenceSetOf } from '../wire/sequence-set.ts';

/**
 * The messages that the RETURN options speak of: what SAVE keeps (RFC 5182 §2.4), and whose modseq counts (RFC 7162
 * §3.1.10). All of them, unless MIN and MAX are asked for alone.
 */
export function chosenOf({ returns }: SearchCommand, found: readonly number[]): readonly number[] {
  if (returns === null || returns.includes('ALL') || returns.includes('COUNT')) return found;
  const isMin = returns.includes('MIN');
  const isMax = returns.includes('MAX');
  if (!isMin && !isMax) return found;
  return found.filter((_, at) => (isMin && at === 0) || (isMax && at === found.length - 1));
}

/** @param results UIDs or message numbers, ascending. @param highestModSeq 0 when none is to be told. */
export function searchResponse(
  command: SearchCommand,
  results: readonly number[],
  highestModSeq: number,
): string {
  const { returns } = command;
  if (returns === null) {
    const numbers = results.length === 0 ? '' : ` ${results.join(' ')}`;
    return `* SEARCH${numbers}${highestModSeq > 0 ? ` (MODSEQ ${highestModSeq})` : ''}\r\n`;
  }
  // RFC 5182 §2.1: SAVE alone asks for no response.
  if (returns.every((option) => option === 'SAVE')) return '';
  let text = `* ESEARCH (TAG ${printString(command.tag)})${command.isUid ? ' UID' : ''}`;
  for (const option of returns) {
    if (option === 'COUNT') text += ` COUNT ${results.length}`;
    // RFC 4731 §3.1: without a match, MIN, MAX and ALL are left out.
    else if (results.length === 0) continue;
    else if (option === 'MIN') text += ` MIN ${results[0]}`;
    else if (option === 'MAX') text += ` MAX ${results.at(-1)}`;
    else if (option === 'ALL') text += ` ALL ${printSequenceSet(sequenceSetOf(results))}`;
  }
  return `${text}${highestModSeq > 0 ? ` MODSEQ ${highestModSeq}` : ''}\r\n`;
}
