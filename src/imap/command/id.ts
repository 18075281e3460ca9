/** ID, RFC 2971. What the client says of itself is not kept: it is no fact, and it may name a person's device. */
import type { IdCommand } from '../wire/ast.ts';
import { ANY_STATE, type CommandSpec, ok } from './context.ts';

export const id: CommandSpec<IdCommand> = {
  states: ANY_STATE,
  run(_command, context) {
    // The version would tell an attacker what to try, and no client needs it.
    context.out.text('* ID ("name" "Letterlock")\r\n');
    return ok('ID completed.');
  },
};
