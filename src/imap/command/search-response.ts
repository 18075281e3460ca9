/** What a SEARCH answers and saves: RFC 3501 §7.2.5, RFC 4731, RFC 5182 §2.4, RFC 7162 §3.1.6 and §3.1.10, RFC 9394. */
import type { SearchCommand, SortCommand } from '../wire/ast.ts';
import { type PartialRange, pageOf, printPartialRange } from '../wire/partial-range.ts';
import { printString } from '../wire/printer.ts';
import { printSequenceSet, sequenceSetOf } from '../wire/sequence-set.ts';

/**
 * The messages that the RETURN options speak of: what SAVE keeps (RFC 5182 §2.4, RFC 9394 §3.2), and whose modseq counts
 * (RFC 7162 §3.1.10). All of them, unless MIN, MAX and PARTIAL are asked for alone.
 */
export function chosenOf(command: SearchCommand | SortCommand, found: readonly number[]): readonly number[] {
  const { returns, partial } = command;
  if (returns === null || returns.includes('ALL') || returns.includes('COUNT')) return found;
  const isMin = returns.includes('MIN');
  const isMax = returns.includes('MAX');
  if (!isMin && !isMax && partial === null) return found;
  const { start, end } = partial === null ? { start: 0, end: 0 } : pageOf(partial, found.length);
  return found.filter(
    (_, at) => (isMin && at === 0) || (isMax && at === found.length - 1) || (at >= start && at < end),
  );
}

/** @param results UIDs or message numbers, in the order of the answer. @param highestModSeq 0 when none is to be told. */
export function searchResponse(
  command: SearchCommand | SortCommand,
  results: readonly number[],
  highestModSeq: number,
): string {
  const { returns } = command;
  if (returns === null) {
    const numbers = results.length === 0 ? '' : ` ${results.join(' ')}`;
    return `* ${command.name}${numbers}${highestModSeq > 0 ? ` (MODSEQ ${highestModSeq})` : ''}\r\n`;
  }
  // RFC 5182 §2.1: SAVE alone asks for no response.
  if (returns.every((option) => option === 'SAVE')) return '';
  let text = `* ESEARCH (TAG ${printString(command.tag)})${command.isUid ? ' UID' : ''}`;
  for (const option of returns) {
    if (option === 'COUNT') text += ` COUNT ${results.length}`;
    else if (option === 'PARTIAL') text += partialResult(command.partial!, results);
    // RFC 4731 §3.1: without a match, MIN, MAX and ALL are left out.
    else if (results.length === 0) continue;
    else if (option === 'MIN') text += ` MIN ${results[0]}`;
    else if (option === 'MAX') text += ` MAX ${results.at(-1)}`;
    else if (option === 'ALL') text += ` ALL ${printSequenceSet(sequenceSetOf(results))}`;
  }
  return `${text}${highestModSeq > 0 ? ` MODSEQ ${highestModSeq}` : ''}\r\n`;
}

/** RFC 9394 §3.1: ` PARTIAL (-1:-100 NIL)` when nothing is on the page. */
function partialResult(range: PartialRange, results: readonly number[]): string {
  const { start, end } = pageOf(range, results.length);
  const page = start < end ? printSequenceSet(sequenceSetOf(results.slice(start, end))) : 'NIL';
  return ` PARTIAL (${printPartialRange(range)} ${page})`;
}
