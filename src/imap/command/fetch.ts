/** FETCH, RFC 9051 §6.4.5; CHANGEDSINCE and VANISHED, RFC 7162 §3.1.4.1 and §3.2.6; PARTIAL, RFC 9394 §3.3. */
import { IntegrityError, ProtocolError, UnavailableError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import { IMAP_SEEN_BATCH } from '../../limits.ts';
import { Flag, type Wanted } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import type { FetchCommand } from '../wire/ast.ts';
import { pageOf } from '../wire/partial-range.ts';
import { commonNumbers, resolveSequenceSet } from '../wire/sequence-set.ts';
import { type CommandContext, type CommandSpec, no, ok, SELECTED } from './context.ts';
import { type FetchPlan, planFetch } from './fetch-plan.ts';
import { indexResponse, knownResponse, writeResponse } from './fetch-response.ts';
import { limited } from './message-limit.ts';
import { writeVanished } from './resync.ts';

export const fetch: CommandSpec<FetchCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  async run(command, context) {
    const { numbers, view, uidNext } = context.selected;
    const { changedSince, set } = command;
    if (command.isVanished && !(context.isQresync && command.isUid && changedSince !== null)) {
      throw new ProtocolError('VANISHED goes with UID FETCH, CHANGEDSINCE, and QRESYNC enabled.');
    }
    const withUid = command.isUid && !context.isUidOnly;
    const plan = planFetch(command.items, withUid, command.changedSince !== null);
    if (plan.withModSeq) context.isCondstore = true;
    let found = numbers.resolve(set, command.isUid);
    if (changedSince !== null) found = commonNumbers(found, view.changedSince(changedSince));
    if (command.partial !== null) {
      const { start, end } = pageOf(command.partial, found.length);
      found = found.subarray(start, end);
    }
    const { uids, code } = limited(found, context);
    context.tellKeywords();
    // What vanished stands behind the last message too, so that `*` is the last UID that the client can know of. `$` holds
    // nothing that is gone.
    if (command.isVanished && !set.isSaved) {
      const last = Math.max(uidNext - 1, numbers.count === 0 ? 0 : numbers.uidAt(numbers.count));
      await writeVanished(changedSince!, resolveSequenceSet(set, last), 0, context);
    }
    if (plan.needs === 'view' || plan.needs === 'index') await fetchIndex(plan, uids, context);
    else await fetchContent(plan, plan.needs, uids, context);

    // RFC 2180 §4.1.2: numbers that the client still has and others expunged. By UID it is as if they never were.
    if (!command.isUid && uids.some((uid) => view.flags(uid as Uid) === undefined)) {
      return no('Some messages were expunged meanwhile.', 'EXPUNGEISSUED');
    }
    return ok('Fetch completed.', code);
  },
};

/** Flags, dates and sizes: no key is needed, and nothing is opened. */
async function fetchIndex(plan: FetchPlan, uids: Uint32Array, context: CommandContext): Promise<void> {
  const { out, selected } = context;
  const slice = yieldingTo();
  if (plan.needs === 'view') {
    for (const uid of uids) {
      out.text(indexResponse(plan, uid, selected, null));
      const wait = out.settle() ?? slice.pause();
      if (wait !== undefined) await wait;
    }
    return;
  }
  for (const summary of context.mailbox.summaries(selected.id, uids)) {
    out.text(indexResponse(plan, summary.uid, selected, summary));
    const wait = out.settle() ?? slice.pause();
    if (wait !== undefined) await wait;
  }
}

/**
 * Opens the messages one after the other. Those that do not open are passed over, so that one of them does not hide the
 * others from the client.
 * @throws IntegrityError at the end, when there was one.
 */
async function fetchContent(
  plan: FetchPlan,
  want: Wanted,
  uids: Uint32Array,
  context: CommandContext,
): Promise<void> {
  const { selected, out } = context;
  const setsSeen = plan.setsSeen && !selected.isReadOnly;
  const step = setsSeen ? IMAP_SEEN_BATCH : Math.max(uids.length, 1);
  const slice = yieldingTo();
  let broken: IntegrityError | null = null;
  for (let from = 0; from < uids.length; from += step) {
    const wanted = Array.from(uids.subarray(from, from + step)) as Uid[];
    const seen = setsSeen ? await setSeen(wanted, context) : new Set<Uid>();
    try {
      for await (const batch of context.mailbox.messageBatches(selected.id, wanted, want)) {
        for (const message of batch) {
          const tellFlags = seen.has(message.uid) ? { withModSeq: context.isCondstore } : null;
          try {
            const known = tellFlags === null ? knownResponse(plan, message, selected) : null;
            if (known === null) await writeResponse(plan, message, selected, out, tellFlags);
            else out.text(known);
            seen.delete(message.uid);
          } catch (error) {
            if (!(error instanceof IntegrityError)) throw error;
            // Of a message that was expunged while it was read, nothing is left, and rightly so.
            if (selected.view.flags(message.uid) !== undefined) broken ??= error;
          }
          const wait = out.settle() ?? slice.pause();
          if (wait !== undefined) await wait;
        }
      }
    } finally {
      // Of messages that did not open \Seen is set all the same, and the client is to know.
      for (const uid of seen) selected.numbers.flagsDue(uid);
    }
  }
  if (broken !== null) throw broken;
}

/** Sets \Seen where it is not set. @returns the messages that it was set on. */
async function setSeen(uids: readonly Uid[], context: CommandContext): Promise<Set<Uid>> {
  const { id, view } = context.selected;
  const unseen = uids.filter((uid) => ((view.flags(uid)?.system ?? Flag.Seen) & Flag.Seen) === 0);
  if (unseen.length === 0) return new Set();
  try {
    const { changed } = await context.mailbox.storeFlags(id, unseen, {
      operation: 'add',
      flags: { system: Flag.Seen, keywords: [] },
      origin: context.origin,
    });
    return new Set(changed);
  } catch (error) {
    // A full disk must not keep anyone from reading; the flag is set by a later FETCH.
    if (error instanceof UnavailableError && error.code === 'disk-full') return new Set();
    throw error;
  }
}
