/** VANISHED responses. RFC 7162 §3.2.10. */
import { VANISHED_RANGES_PER_RESPONSE } from '../../limits.ts';
import type { NumberRanges } from './sequence-set.ts';

/**
 * As many responses as it takes for lines of a bounded length; none for no UIDs.
 * @param isEarlier They were gone before the folder was selected, so that no message number changes.
 */
export function* vanishedResponses(uids: NumberRanges, isEarlier: boolean): Generator<string> {
  const head = isEarlier ? '* VANISHED (EARLIER) ' : '* VANISHED ';
  for (let from = 0; from < uids.length; from += 2 * VANISHED_RANGES_PER_RESPONSE) {
    const end = Math.min(from + 2 * VANISHED_RANGES_PER_RESPONSE, uids.length);
    let text = head;
    for (let at = from; at < end; at += 2) {
      const [first, last] = [uids[at]!, uids[at + 1]!];
      text += `${at === from ? '' : ','}${first === last ? first : `${first}:${last}`}`;
    }
    yield `${text}\r\n`;
  }
}
