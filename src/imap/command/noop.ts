/** NOOP and CHECK, RFC 3501 §6.1.2 and §6.4.1: the session tells what changed with every reply, these included. */
import type { BareCommand } from '../wire/ast.ts';
import { ANY_STATE, type CommandSpec, ok, SELECTED } from './context.ts';

export const noop: CommandSpec<BareCommand> = {
  states: ANY_STATE,
  run: () => ok('Nothing done.'),
};

/** Everything acknowledged is durable already, so that a checkpoint has nothing to do. */
export const check: CommandSpec<BareCommand> = {
  states: SELECTED,
  run: () => ok('Check completed.'),
};
