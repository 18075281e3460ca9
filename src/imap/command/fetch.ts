/** FETCH, RFC 9051 §6.4.5; CHANGEDSINCE, RFC 7162 §3.1.4.1. */
import { IntegrityError, ProtocolError, UnavailableError } from '../../errors.ts';
import type { Uid } from '../../ids.ts';
import { IMAP_SEEN_BATCH } from '../../limits.ts';
import { Flag, type Wanted } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import type { FetchCommand } from '../wire/ast.ts';
import { type CommandContext, type CommandSpec, no, ok, SELECTED } from './context.ts';
import { type FetchPlan, planFetch } from './fetch-plan.ts';
import { indexResponse, knownResponse, writeResponse } from './fetch-response.ts';

export const fetch: CommandSpec<FetchCommand> = {
  states: SELECTED,
  mayExpunge: (command) => command.isUid,
  async run(command, context) {
    if (command.isVanished) throw new ProtocolError('QRESYNC is not offered.');
    const { numbers, view } = context.selected;
    const plan = planFetch(command.items, command.isUid, command.changedSince !== null);
    if (plan.withModSeq) context.isCondstore = true;
    let uids = numbers.resolve(command.set, command.isUid);
    const { changedSince } = command;
    if (changedSince !== null) {
      uids = uids.filter((uid) => (view.flags(uid as Uid)?.modSeq ?? 0) > changedSince);
    }
    context.tellKeywords();
    if (plan.needs === 'view' || plan.needs === 'index') await fetchIndex(plan, uids, context);
    else await fetchContent(plan, plan.needs, uids, context);

    // RFC 2180 §4.1.2: numbers that the client still has and others expunged. By UID it is as if they never were.
    if (!command.isUid && uids.some((uid) => view.flags(uid as Uid) === undefined)) {
      return no('Some messages were expunged meanwhile.', 'EXPUNGEISSUED');
    }
    return ok('Fetch completed.');
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
    for await (const batch of context.mailbox.messageBatches(selected.id, wanted, want)) {
      for (const message of batch) {
        const tellFlags = seen.has(message.uid) ? { withModSeq: context.isCondstore } : null;
        try {
          const known = tellFlags === null ? knownResponse(plan, message, selected) : null;
          if (known === null) await writeResponse(plan, message, selected, out, tellFlags);
          else out.text(known);
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
  if (broken !== null) throw broken;
}

/** Sets \Seen where it is not set. @returns the messages that it was set on. */
async function setSeen(uids: readonly Uid[], context: CommandContext): Promise<ReadonlySet<Uid>> {
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
