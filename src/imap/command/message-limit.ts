/**
 * How many messages one command may take, RFC 9738. Only for clients that enabled UIDONLY: others would take the OK of a
 * command that was cut short for the whole of what they asked.
 */
import type { SearchKey } from '../wire/ast.ts';
import { commonNumbers } from '../wire/sequence-set.ts';
import type { CommandContext, MessageNumbers } from './context.ts';

export interface Limited {
  /** Those with the largest UIDs, as many as may be taken, ascending. */
  readonly uids: Uint32Array;
  /** What the tagged OK says when that is not all: the limit, and the lowest UID that was taken (§3.1). */
  readonly code: string | undefined;
}

export function limited(uids: Uint32Array, { messageLimit }: CommandContext): Limited {
  if (messageLimit === null || uids.length <= messageLimit) return { uids, code: undefined };
  const taken = uids.subarray(uids.length - messageLimit);
  return { uids: taken, code: `MESSAGELIMIT ${messageLimit} ${taken[0]}` };
}

/** The messages that a search has to look at: those of its UID sets, by which a client goes on below the last limit. */
export function searchScope(key: SearchKey, numbers: MessageNumbers): Uint32Array {
  if (key.key === 'UID') return numbers.resolve(key.set, true);
  if (key.key !== 'AND') return numbers.all();
  return key.keys
    .filter((operand) => operand.key === 'UID')
    .map((operand) => searchScope(operand, numbers))
    .reduce(commonNumbers, numbers.all());
}
