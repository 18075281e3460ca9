/** The common shape of the commands that administer the directory: a request, and how its answer is shown. */
import type { AdminRecord } from './admin-socket.ts';
import type { OperationName } from './administer.ts';
import { type Command, EXIT_DONE, type Invocation, type OptionSpec } from './command.ts';
import { CONFIG_OPTIONS, JSON_OPTION, loadOfflineConfig } from './common-options.ts';
import { type Columns, printFields, printJsonList, printTable } from './output.ts';
import { carryOut } from './reach.ts';

type Description = Pick<Command, 'summary' | 'operands' | 'examples' | 'details'> & {
  readonly options?: Readonly<Record<string, OptionSpec>>;
};

interface Request<T> extends Description {
  readonly operation: OperationName;
  /** The operation's arguments. May ask for a password. */
  args(invocation: Invocation): object | Promise<object>;
  /** After success. Without it nothing is said. */
  print?(invocation: Invocation, records: readonly T[]): void;
}

function request<T extends AdminRecord>({
  operation,
  args,
  print,
  options = {},
  ...description
}: Request<T>): Command {
  return {
    ...description,
    options: { ...options, ...CONFIG_OPTIONS },
    async run(invocation) {
      const config = await loadOfflineConfig(invocation.options);
      const records = await carryOut(config, operation, await args(invocation));
      print?.(invocation, records as readonly T[]);
      return EXIT_DONE;
    },
  };
}

/** Changes something and says so in one sentence. */
export const changing = <T extends AdminRecord>({
  say,
  ...rest
}: Omit<Request<T>, 'print'> & { say(invocation: Invocation, records: readonly T[]): string }): Command =>
  request<T>({
    ...rest,
    print: (invocation, records) => void invocation.terminal.stdout.write(`${say(invocation, records)}\n`),
  });

/** Prints all records as a table, or as one JSON array. */
export const listing = <T extends AdminRecord>({
  columns,
  options = {},
  ...rest
}: Omit<Request<T>, 'print'> & { readonly columns: Columns<T> }): Command =>
  request<T>({
    ...rest,
    options: { ...options, ...JSON_OPTION },
    print({ options: given, terminal: { stdout } }, records) {
      if (given.flag('json')) printJsonList(stdout, records);
      else printTable(stdout, records, columns);
    },
  });

/** Prints the one record, a line for each field, or as a JSON object. */
export const showing = <T extends AdminRecord>({
  columns,
  options = {},
  ...rest
}: Omit<Request<T>, 'print'> & { readonly columns: Columns<T> }): Command =>
  request<T>({
    ...rest,
    options: { ...options, ...JSON_OPTION },
    print({ options: given, terminal: { stdout } }, [record]) {
      if (given.flag('json')) stdout.write(`${JSON.stringify(record)}\n`);
      else printFields(stdout, record!, columns);
    },
  });
