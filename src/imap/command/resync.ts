/**
 * What changed while a client was away: VANISHED (EARLIER) and FETCH, for SELECT (QRESYNC ...) and UID FETCH (... VANISHED).
 * RFC 7162 §3.2.5 and §3.2.6.
 *
 * Messages that the client still counts are never told here, though they may be gone by now: EARLIER changes no message
 * number, so that they must be told by VANISHED alone, when it is their time.
 */
import { IMAP_QRESYNC_MATCHES } from '../../limits.ts';
import { yieldingTo } from '../../yielding.ts';
import type { QresyncParameter } from '../wire/ast.ts';
import {
  commonRanges,
  type NumberRanges,
  numbersInOrder,
  rangesContain,
  rangesWithout,
  resolveSequenceSet,
} from '../wire/sequence-set.ts';
import { vanishedResponses } from '../wire/vanished.ts';
import type { CommandContext, SelectedFolder } from './context.ts';
import { flagsResponse } from './flags.ts';

/** What SELECT adds for a client that has been here before. */
export async function writeResync(parameter: QresyncParameter, context: CommandContext): Promise<void> {
  const { selected, out } = context;
  const { modSeq, knownUids } = parameter;
  const known =
    knownUids === null ? [1, Math.max(1, selected.uidNext - 1)] : resolveSequenceSet(knownUids, 0);
  await writeVanished(modSeq, known, matchedUid(parameter, selected), context);
  const slice = yieldingTo();
  for (const uid of selected.view.changedSince(modSeq)) {
    if (rangesContain(known, uid)) {
      out.text(flagsResponse(selected, uid, { withUid: true, withModSeq: true }));
    }
    const wait = out.settle() ?? slice.pause();
    if (wait !== undefined) await wait;
  }
}

/**
 * @param within The UIDs that the client asks about.
 * @param matched Up to this UID nothing has vanished that the client knows of; 0 when that is not known.
 */
export async function writeVanished(
  modSeq: number,
  within: NumberRanges,
  matched: number,
  context: CommandContext,
): Promise<void> {
  const { out, selected } = context;
  const { view, numbers, uidNext } = selected;
  const slice = yieldingTo();
  // What is forgotten is answered by all that is not there, which is more than was asked for and never wrong (§3.2.5.2).
  const vanished = view.vanishedSince(modSeq) ?? (matched + 1 < uidNext ? [matched + 1, uidNext - 1] : []);
  const untold = rangesWithout(commonRanges(vanished, within), numbers.all());
  await slice.pause();
  for (const response of vanishedResponses(untold, true)) {
    out.text(response);
    const wait = out.settle() ?? slice.pause();
    if (wait !== undefined) await wait;
  }
}

/**
 * The largest UID that still stands where the client has it: a message number falls when any message before it goes, so
 * that up to there none did (RFC 7162 §3.2.5.2).
 */
function matchedUid({ match }: QresyncParameter, { numbers }: SelectedFolder): number {
  if (match === null) return 0;
  const uids = numbersInOrder(match.uids);
  let matched = 0;
  let count = 0;
  for (const number of numbersInOrder(match.sequenceNumbers)) {
    const uid: number = uids.next().value ?? 0;
    count += 1;
    if (count > IMAP_QRESYNC_MATCHES) break;
    if (number <= numbers.count && numbers.uidAt(number) === uid) matched = Math.max(matched, uid);
  }
  return matched;
}
