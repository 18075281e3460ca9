/** Every command that is served, by the name that the parser gives it. */
import type { Command, CommandName } from '../wire/ast.ts';
import { append } from './append.ts';
import { authenticate } from './authenticate.ts';
import { capability } from './capability.ts';
import { close, unselect } from './close.ts';
import { compress } from './compress.ts';
import type { CommandSpec } from './context.ts';
import { copy } from './copy.ts';
import { create } from './create.ts';
import { deleteFolder } from './delete.ts';
import { enable } from './enable.ts';
import { expunge } from './expunge.ts';
import { fetch } from './fetch.ts';
import { id } from './id.ts';
import { idle } from './idle.ts';
import { list } from './list.ts';
import { login } from './login.ts';
import { logout } from './logout.ts';
import { lsub } from './lsub.ts';
import { namespace } from './namespace.ts';
import { check, noop } from './noop.ts';
import { getquota, getquotaroot, setquota } from './quota.ts';
import { rename } from './rename.ts';
import { search } from './search.ts';
import { select } from './select.ts';
import { sort } from './sort.ts';
import { starttls } from './starttls.ts';
import { status } from './status.ts';
import { store } from './store.ts';
import { subscribe, unsubscribe } from './subscribe.ts';
import { uidBatches } from './uid-batches.ts';

/** The member of Command that has the name; several names may share one. */
type CommandNamed<N extends CommandName> = Command extends infer C
  ? C extends { readonly name: infer M }
    ? N extends M
      ? C
      : never
    : never
  : never;

type CommandTable = { readonly [N in CommandName]: CommandSpec<CommandNamed<N>> | null };

/** Null: the grammar knows it, and it is not offered. */
const TABLE: CommandTable = {
  APPEND: append,
  AUTHENTICATE: authenticate,
  CAPABILITY: capability,
  CHECK: check,
  CLOSE: close,
  COMPRESS: compress,
  COPY: copy,
  CREATE: create,
  DELETE: deleteFolder,
  ENABLE: enable,
  EXAMINE: select,
  EXPUNGE: expunge,
  FETCH: fetch,
  GETQUOTA: getquota,
  GETQUOTAROOT: getquotaroot,
  ID: id,
  IDLE: idle,
  LIST: list,
  LOGIN: login,
  LOGOUT: logout,
  LSUB: lsub,
  MOVE: copy,
  NAMESPACE: namespace,
  NOOP: noop,
  RENAME: rename,
  SEARCH: search,
  SELECT: select,
  SETQUOTA: setquota,
  SORT: sort,
  STARTTLS: starttls,
  STATUS: status,
  STORE: store,
  SUBSCRIBE: subscribe,
  UIDBATCHES: uidBatches,
  UNSELECT: unselect,
  UNSUBSCRIBE: unsubscribe,
  XLIST: lsub,
};

/** The one place where a command and its own type part: the table's type has made sure that they belong together. */
export function commandSpec(command: Command): CommandSpec<Command> | null {
  return TABLE[command.name] as CommandSpec<Command> | null;
}
