/** SEARCH, RFC 3501 §6.4.4; RETURN options (ESEARCH), RFC 4731; MODSEQ, RFC 7162 §3.1.5 and §3.1.6. */
import { IntegrityError, ProtocolError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import { SEARCH_LOOKUPS } from '../../limits.ts';
import { yieldingTo } from '../../yielding.ts';
import type { SearchCommand, SearchKey } from '../wire/ast.ts';
import { printString } from '../wire/printer.ts';
import { printSequenceSet, sequenceSetOf } from '../wire/sequence-set.ts';
import { type CommandContext, type CommandSpec, ok, SELECTED } from './context.ts';
import { type Candidate, compileSearch, type LookUp, type SearchTest } from './search-key.ts';
import { SearchedMessage } from './searched-message.ts';

export const search: CommandSpec<SearchCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  async run(command, context) {
    if (command.returns?.includes('SAVE')) throw new ProtocolError('SEARCHRES is not offered.');
    const withModSeq = mentionsModSeq(command.key);
    if (withModSeq) context.isCondstore = true;
    const { numbers, view } = context.selected;
    const { found, broken } = await findMessages(compileSearch(command.key, numbers), context);
    const results = command.isUid ? found : found.map((uid) => numbers.sequenceOf(uid));
    const highest = withModSeq
      ? told(found, command.returns).reduce(
          (max, uid) => Math.max(max, view.flags(uid as Uid)?.modSeq ?? 0),
          0,
        )
      : 0;
    context.out.text(
      command.returns === null
        ? searchResponse(results, highest)
        : esearchResponse(command, results, highest),
    );
    if (broken !== null) throw broken;
    return ok('Search completed.');
  },
};

/** The messages whose modseq counts: with MIN and MAX alone, only these (RFC 7162 §3.1.10). */
function told(found: readonly number[], returns: SearchCommand['returns']): readonly number[] {
  if (returns === null || returns.includes('ALL') || returns.includes('COUNT')) return found;
  return [
    ...(returns.includes('MIN') ? found.slice(0, 1) : []),
    ...(returns.includes('MAX') ? found.slice(-1) : []),
  ];
}

function searchResponse(results: readonly number[], highestModSeq: number): string {
  const numbers = results.length === 0 ? '' : ` ${results.join(' ')}`;
  return `* SEARCH${numbers}${highestModSeq > 0 ? ` (MODSEQ ${highestModSeq})` : ''}\r\n`;
}

/** RFC 4731 §3.1: without a match, MIN, MAX and ALL are left out. */
function esearchResponse(command: SearchCommand, results: readonly number[], highestModSeq: number): string {
  let text = `* ESEARCH (TAG ${printString(command.tag)})${command.isUid ? ' UID' : ''}`;
  for (const option of command.returns ?? []) {
    if (option === 'COUNT') text += ` COUNT ${results.length}`;
    else if (results.length === 0) continue;
    else if (option === 'MIN') text += ` MIN ${results[0]}`;
    else if (option === 'MAX') text += ` MAX ${results.at(-1)}`;
    else if (option === 'ALL') text += ` ALL ${printSequenceSet(sequenceSetOf(results))}`;
  }
  return `${text}${highestModSeq > 0 ? ` MODSEQ ${highestModSeq}` : ''}\r\n`;
}

interface Found {
  /** UIDs of the messages that pass, ascending. */
  readonly found: number[];
  /** The first message that did not open, which is passed over so that it does not hide the others. */
  readonly broken: IntegrityError | null;
}

async function findMessages(test: SearchTest, context: CommandContext): Promise<Found> {
  const { selected, mailbox, out } = context;
  const found: number[] = [];
  const possible = await test.narrow(lookUps(context));
  const doubtful = new Map<number, Candidate>();
  const slice = yieldingTo();
  for (const candidate of candidates(test.needsIndex, possible, context)) {
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
  const known = new Map<string, Promise<ReadonlySet<number>>>();
  return async (term) => {
    if (!known.has(term) && known.size < SEARCH_LOOKUPS)
      known.set(term, mailbox.mayHaveTerm(selected.id, term));
    return (await known.get(term)) ?? null;
  };
}

/** The messages that the client knows and that are there still; of `possible` only, when it is given. */
function* candidates(
  needsIndex: boolean,
  possible: ReadonlySet<number> | null,
  context: CommandContext,
): Iterable<Candidate> {
  const { numbers, view, id } = context.selected;
  const known =
    possible === null
      ? numbers.all()
      : Uint32Array.from(possible).filter((uid) => numbers.sequenceOf(uid) > 0);
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

function mentionsModSeq(key: SearchKey): boolean {
  switch (key.key) {
    case 'MODSEQ':
      return true;
    case 'AND':
      return key.keys.some(mentionsModSeq);
    case 'OR':
      return mentionsModSeq(key.left) || mentionsModSeq(key.right);
    case 'NOT':
      return mentionsModSeq(key.operand);
    default:
      return false;
  }
}
