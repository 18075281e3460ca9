/** SEARCH, RFC 3501 §6.4.4; SAVE, RFC 5182; MODSEQ, RFC 7162 §3.1.5 and §3.1.6. */
import { IntegrityError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import { SEARCH_LOOKUPS } from '../../limits.ts';
import type { UidSet } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import type { SearchCommand, SortCommand } from '../wire/ast.ts';
import { someKey } from '../wire/search-keys.ts';
import { type CommandContext, type CommandSpec, type Completion, ok, SELECTED } from './context.ts';
import { limited, searchScope } from './message-limit.ts';
import { type Candidate, compileSearch, type LookUp, type SearchTest } from './search-key.ts';
import { chosenOf, searchResponse } from './search-response.ts';
import { SearchedMessage } from './searched-message.ts';

export const search: CommandSpec<SearchCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  run: (command, context) => answerSearch(command, context, async (found) => ({ found, broken: null })),
};

/**
 * Answers a SEARCH, or a SORT.
 * @param order Brings what was found into the order of the answer; leaves out what is gone, or does not open.
 */
export async function answerSearch(
  command: SearchCommand | SortCommand,
  context: CommandContext,
  order: (found: readonly number[]) => Promise<Found>,
): Promise<Completion> {
  const withModSeq = someKey(command.key, ({ key }) => key === 'MODSEQ');
  if (withModSeq) context.isCondstore = true;
  const { numbers, view } = context.selected;
  const isSaving = command.returns?.includes('SAVE') === true;
  const test = compileSearch(command.key, numbers, Date.now());
  const { uids, code } = limited(searchScope(command.key, numbers), context);
  // RFC 5182 §2.1: a search that fails leaves nothing saved; until here, `$` was what the one before had found.
  if (isSaving) numbers.save(new Uint32Array());
  const passed = await findMessages(test, uids, context);
  const { found, broken: unsorted } = await order(passed.found);
  const broken = passed.broken ?? unsorted;
  const chosen = chosenOf(command, found);
  const highest = withModSeq
    ? chosen.reduce((max, uid) => Math.max(max, view.flags(uid as Uid)?.modSeq ?? 0), 0)
    : 0;
  const results = command.isUid ? found : found.map((uid) => numbers.sequenceOf(uid));
  context.out.text(searchResponse(command, results, highest));
  if (broken !== null) throw broken;
  if (isSaving) numbers.save(Uint32Array.from(chosen).sort());
  return ok(`${command.name === 'SORT' ? 'Sort' : 'Search'} completed.`, code);
}

export interface Found {
  /** UIDs of the messages that pass. */
  readonly found: readonly number[];
  /** The first message that did not open, which is passed over so that it does not hide the others. */
  readonly broken: IntegrityError | null;
}

async function findMessages(test: SearchTest, scope: Uint32Array, context: CommandContext): Promise<Found> {
  const { selected, mailbox, out } = context;
  const found: number[] = [];
  const possible = await test.narrow(lookUps(context));
  const doubtful = new Map<number, Candidate>();
  const slice = yieldingTo();
  const within = possible === null ? scope : scope.filter((uid) => possible.has(uid));
  for (const candidate of candidates(test.needsIndex, within, context)) {
    const answer = test.quick(candidate);
    if (answer === true) found.push(candidate.uid);
    else if (answer === null) doubtful.set(candidate.uid, candidate);
    const wait = slice.pause();
    if (wait !== undefined) await wait;
  }
  if (doubtful.size === 0) return { found, broken: null };
  const uids = Array.from(doubtful.keys()) as Uid[];
  let broken: IntegrityError | null = null;
  for await (const batch of mailbox.messageBatches(selected.id, uids, 'kept')) {
    for (const message of batch) {
      const candidate = doubtful.get(message.uid)!;
      try {
        if (await test.full(candidate, new SearchedMessage(message, slice))) found.push(message.uid);
      } catch (error) {
        if (!(error instanceof IntegrityError)) throw error;
        // Of a message that was expunged while it was read, nothing is left, and rightly so.
        if (selected.view.flags(message.uid) !== undefined) broken ??= error;
      }
      const wait = out.settle() ?? slice.pause();
      if (wait !== undefined) await wait;
    }
  }
  return { found: found.sort((a, b) => a - b), broken };
}

/** Each term once, and no more of them than SEARCH_LOOKUPS. */
function lookUps({ mailbox, selected }: CommandContext): LookUp {
  const known = new Map<string, Promise<UidSet>>();
  return async (term) => {
    if (!known.has(term) && known.size < SEARCH_LOOKUPS)
      known.set(term, mailbox.mayHaveTerm(selected.id, term));
    return (await known.get(term)) ?? null;
  };
}

/** The messages of those that are there still. */
function* candidates(needsIndex: boolean, known: Uint32Array, context: CommandContext): Iterable<Candidate> {
  const { numbers, view, id } = context.selected;
  if (!needsIndex) {
    for (const uid of known) {
      const flags = view.flags(uid as Uid);
      if (flags !== undefined) yield { uid, number: numbers.sequenceOf(uid), flags, summary: null };
    }
    return;
  }
  for (const summary of context.mailbox.summaries(id, known)) {
    const flags = view.flags(summary.uid);
    if (flags === undefined) continue;
    yield { uid: summary.uid, number: numbers.sequenceOf(summary.uid), flags, summary };
  }
}
