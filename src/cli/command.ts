/** What a command of the command line is: its operands, options, help and work. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import type { Terminal } from './terminal.ts';

/** Wrong use. One sentence that says what was wrong; the program ends with EXIT_USAGE. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A request that failed; LetterlockError's siblings for what only the command line can say. Ends with EXIT_FAILED. */
export class FailedError extends Error {
  override readonly name = 'FailedError';
}

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export type ExitCode = typeof EXIT_DONE | typeof EXIT_FAILED | typeof EXIT_USAGE;

export interface OptionSpec {
  /** What the help calls its value; a flag has none. */
  readonly value?: string;
  readonly isRepeatable?: boolean;
  readonly help: string;
}

export interface Command {
  /** One line of the list of commands, without a full stop. */
  readonly summary: string;
  /** As the usage line shows them: `ADDRESS`, `[FILE]`, `MEMBER...`. Only the last may be optional or repeated. */
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Paragraphs between the options and the examples. */
  readonly details?: string;
  /** Whole command lines, without the program's name. */
  readonly examples: readonly string[];
  /** @returns The exit code. @throws UsageError, FailedError, LetterlockError, ConfigError. */
  run(invocation: Invocation): Promise<ExitCode>;
}

export type CommandTable = Readonly<Record<string, Command>>;

/** One use of a command. */
export interface Invocation {
  readonly operands: readonly string[];
  readonly options: OptionValues;
  readonly terminal: Terminal;
}

/** The options that were given. Asking for one that the command does not have is a bug. */
export class OptionValues {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** @returns null when it was not given. */
  text(name: string): string | null {
    return (this.#values[name] as string | undefined) ?? null;
  }

  texts(name: string): readonly string[] {
    return (this.#values[name] as string[] | undefined) ?? [];
  }
}

/** @throws UsageError. */
export function parseInvocation(
  name: string,
  command: Command,
  args: readonly string[],
): Omit<Invocation, 'terminal'> {
  const { values, positionals } = parseOptions(name, command, args);
  checkOperands(name, command.operands, positionals);
  return { operands: positionals, options: new OptionValues(values) };
}

function parseOptions(name: string, command: Command, args: readonly string[]) {
  if (args.some((arg) => /^--password(=|$)/.test(arg)) && command.options['password'] === undefined) {
    throw new UsageError(
      'A password is not taken from the command line, where every user of this machine can read it: type it when asked, or pipe it in.',
    );
  }
  const options: ParseArgsOptionsConfig = {};
  for (const [option, { value, isRepeatable = false }] of Object.entries(command.options)) {
    options[option] = { type: value === undefined ? 'boolean' : 'string', multiple: isRepeatable };
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS_')) throw error;
    const [sentence] = (error as Error).message.split(/[.\n]/);
    throw new UsageError(`${sentence}; see letterlock help ${name}.`);
  }
}

function checkOperands(name: string, expected: readonly string[], given: readonly string[]): void {
  const isOpen = expected.at(-1)?.endsWith('...') ?? false;
  const required = expected.filter((operand) => !operand.startsWith('['));
  const missing = required[given.length];
  if (missing !== undefined) {
    throw new UsageError(`${name} needs ${missing.replace('...', '')}; see letterlock help ${name}.`);
  }
  if (!isOpen && given.length > expected.length) {
    const takes = expected.length === 0 ? 'nothing' : `only ${expected.join(' ')}`;
    throw new UsageError(`${name} takes ${takes} besides options; see letterlock help ${name}.`);
  }
}
