/**
 * SORT, RFC 5256 §3; SORT=DISPLAY, RFC 5957; RETURN options, RFC 5267 §3. Texts compare as SEARCH compares them, dates are
 * in UTC, and where all criteria leave two messages equal, the one that came first is first.
 */
import { IntegrityError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import { baseSubject } from '../../message/base-subject.ts';
import { sentMoment } from '../../message/date.ts';
import { type EnvelopeAddress, type EnvelopeSummary, readEnvelope } from '../../message/envelope-reader.ts';
import { casemap } from '../../message/text.ts';
import type { MessageSummary } from '../../store/types.ts';
import { sortYielding, yieldingTo } from '../../yielding.ts';
import type { SortCommand, SortCriterion, SortKey } from '../wire/ast.ts';
import { type CommandContext, type CommandSpec, SELECTED } from './context.ts';
import { answerSearch, type Found } from './search.ts';

/** A message with what it is sorted by, one value a criterion. */
interface Sortable {
  readonly uid: number;
  readonly values: readonly (string | number)[];
}

const IN_INDEX: readonly SortKey[] = ['ARRIVAL', 'SIZE'];

export const sort: CommandSpec<SortCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  run: (command, context) =>
    answerSearch(command, context, (found) => sorted(found, command.criteria, context)),
};

async function sorted(
  found: readonly number[],
  criteria: readonly SortCriterion[],
  context: CommandContext,
): Promise<Found> {
  const slice = yieldingTo();
  const sortables: Sortable[] = [];
  let broken: IntegrityError | null = null;
  const { selected, mailbox, out } = context;
  if (criteria.every(({ key }) => IN_INDEX.includes(key))) {
    for (const summary of mailbox.summaries(selected.id, found)) {
      sortables.push({ uid: summary.uid, values: criteria.map(({ key }) => sortValue(key, summary, null)) });
      await slice.pause();
    }
  } else {
    for await (const batch of mailbox.messageBatches(selected.id, found as Uid[], 'digest')) {
      for (const message of batch) {
        try {
          const envelope = readEnvelope(message.known()?.envelope ?? (await message.digest()).envelope);
          sortables.push({
            uid: message.uid,
            values: criteria.map(({ key }) => sortValue(key, message, envelope)),
          });
        } catch (error) {
          if (!(error instanceof IntegrityError)) throw error;
          // Of a message that was expunged while it was read, nothing is left, and rightly so.
          if (selected.view.flags(message.uid) !== undefined) broken ??= error;
        }
        const wait = out.settle() ?? slice.pause();
        if (wait !== undefined) await wait;
      }
    }
  }
  const order = await sortYielding(sortables, (a, b) => compare(a, b, criteria), slice);
  return { found: order.map(({ uid }) => uid), broken };
}

function compare(a: Sortable, b: Sortable, criteria: readonly SortCriterion[]): number {
  for (const [at, { isReverse }] of criteria.entries()) {
    const [left, right] = [a.values[at]!, b.values[at]!];
    if (left !== right) return left < right === isReverse ? 1 : -1;
  }
  return a.uid - b.uid;
}

/** @param envelope Null where the keys of the index are all that is asked for. */
function sortValue(key: SortKey, summary: MessageSummary, envelope: EnvelopeSummary | null): string | number {
  switch (key) {
    case 'ARRIVAL':
      return summary.internalDate.getTime();
    case 'SIZE':
      return summary.sizeOctets;
    case 'DATE':
      // RFC 5256 §2.2: what has no date that can be read was sent when it arrived.
      return sentMoment(envelope!.date) ?? summary.internalDate.getTime();
    case 'SUBJECT':
      return casemap(baseSubject(envelope!.subject));
    case 'CC':
      return casemap(envelope!.cc?.mailbox ?? '');
    case 'FROM':
      return casemap(envelope!.from?.mailbox ?? '');
    case 'TO':
      return casemap(envelope!.to?.mailbox ?? '');
    case 'DISPLAYFROM':
      return casemap(displayOf(envelope!.from));
    case 'DISPLAYTO':
      return casemap(displayOf(envelope!.to));
    default:
      return key satisfies never;
  }
}

/** RFC 5957 §3: the name that a client shows, else the address; of a group, its name. */
function displayOf(address: EnvelopeAddress | null): string {
  if (address === null) return '';
  const { name, mailbox, host } = address;
  if (name !== '') return name;
  return host === '' ? mailbox : `${mailbox}@${host}`;
}
