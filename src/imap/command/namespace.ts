/** NAMESPACE, RFC 2342: one personal namespace, no other users', no shared ones. */
import type { BareCommand } from '../wire/ast.ts';
import { AUTHENTICATED, type CommandSpec, ok } from './context.ts';
import { DELIMITER } from './folder-name.ts';

export const namespace: CommandSpec<BareCommand> = {
  states: AUTHENTICATED,
  run(_command, context) {
    context.out.text(`* NAMESPACE (("" "${DELIMITER}")) NIL NIL\r\n`);
    return ok('Namespace completed.');
  },
};
