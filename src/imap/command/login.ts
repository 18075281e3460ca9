/** LOGIN, RFC 9051 §6.2.3. */
import type { LoginCommand } from '../wire/ast.ts';
import { type CommandSpec, NOT_AUTHENTICATED } from './context.ts';
import { refusalInClear, signIn } from './sign-in.ts';

export const login: CommandSpec<LoginCommand> = {
  states: NOT_AUTHENTICATED,
  run: (command, context) => refusalInClear(context) ?? signIn(context, command.username, command.password),
};
