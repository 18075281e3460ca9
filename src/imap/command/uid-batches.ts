/**
 * UIDBATCHES, RFC 10022: UID ranges of so many messages each, from the largest UID down, by which a client without message
 * numbers works through a folder. The ranges touch, and the last reaches UID 1, so that each message is in one of them.
 */
import { IMAP_LEAST_BATCH } from '../../limits.ts';
import type { UidBatchesCommand } from '../wire/ast.ts';
import { printString } from '../wire/printer.ts';
import { type CommandSpec, no, ok, SELECTED } from './context.ts';

export const uidBatches: CommandSpec<UidBatchesCommand> = {
  states: SELECTED,
  run({ tag, size, batches }, context) {
    if (batches !== null && batches.from > batches.to) {
      return { condition: 'BAD', text: 'The batches are in the wrong order.', code: 'CLIENTBUG' };
    }
    if (size < IMAP_LEAST_BATCH) return no(`A batch has at least ${IMAP_LEAST_BATCH} messages.`, 'TOOFEW');
    const { messageLimit, selected } = context;
    if (messageLimit !== null && size > messageLimit) {
      return no('A batch is larger than MESSAGELIMIT.', `MESSAGELIMIT ${messageLimit}`);
    }
    const { numbers } = selected;
    const count = Math.ceil(numbers.count / size);
    const ranges: string[] = [];
    for (let batch = batches?.from ?? 1; batch <= Math.min(batches?.to ?? count, count); batch += 1) {
      const last = numbers.count - (batch - 1) * size;
      const first = last - size;
      const high = batch === 1 ? numbers.uidAt(last) : numbers.uidAt(last + 1) - 1;
      const low = first < 1 ? 1 : numbers.uidAt(first + 1);
      ranges.push(high === low ? `${high}` : `${high}:${low}`);
    }
    const list = ranges.length === 0 ? '' : ` ${ranges.join(',')}`;
    context.out.text(`* UIDBATCHES (TAG ${printString(tag)})${list}\r\n`);
    return ok('Batches completed.');
  },
};
