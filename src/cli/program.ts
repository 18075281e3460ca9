/** The command line: finds the command, runs it, and turns what it throws into one sentence and an exit code. */
import { ConfigError } from '../config/config-error.ts';
import { LetterlockError } from '../errors.ts';
import { aliasCommands } from './alias.ts';
import { auditCommands } from './audit.ts';
import {
  type Command,
  type CommandTable,
  EXIT_DONE,
  EXIT_FAILED,
  EXIT_USAGE,
  type ExitCode,
  FailedError,
  parseInvocation,
  UsageError,
} from './command.ts';
import { configCommands } from './config-check.ts';
import { demoCommands } from './demo.ts';
import { dkimCommands } from './dkim.ts';
import { domainCommands } from './domain.ts';
import { fsckCommands } from './fsck.ts';
import { groupCommands } from './group.ts';
import { healthCommands } from './health.ts';
import { helpOnCommand, overview } from './help.ts';
import { mailboxCommands } from './mailbox.ts';
import { orgCommands } from './org.ts';
import { printable } from './output.ts';
import { queueCommands } from './queue.ts';
import { serveCommands } from './serve-command.ts';
import type { Terminal } from './terminal.ts';
import { userCommands } from './user.ts';

const COMMANDS: CommandTable = {
  ...serveCommands,
  ...demoCommands,
  ...orgCommands,
  ...domainCommands,
  ...dkimCommands,
  ...userCommands,
  ...mailboxCommands,
  ...groupCommands,
  ...aliasCommands,
  ...queueCommands,
  ...configCommands,
  ...fsckCommands,
  ...auditCommands,
  ...healthCommands,
};

/** @param args What stands behind the program's name. @returns The exit code; never throws. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const isHelp = args.length === 0 || args[0] === 'help' || isAskingForHelp(args);
    return isHelp ? help(args, terminal) : await run(args, terminal);
  } catch (error) {
    terminal.stderr.write(`${complaint(error)}\n`);
    return error instanceof UsageError || error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED;
  }
}

/** Behind `--` nothing is an option. */
const isAskingForHelp = (args: readonly string[]): boolean => {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
};

/** `help`, `help user`, `help user create`, `user create --help`. */
function help(args: readonly string[], { stdout }: Terminal): ExitCode {
  const words = args.filter((arg) => arg !== 'help' && !arg.startsWith('-'));
  const found = find(words);
  const [area] = words;
  if (found !== null) stdout.write(helpOnCommand(found.name, found.command));
  else if (area === undefined) stdout.write(overview(COMMANDS));
  else if (namesBelow(area).length > 0) stdout.write(overview(only(area)));
  else throw unknownCommand(area);
  return EXIT_DONE;
}

async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const found = find(args);
  if (found === null) throw unknownCommand(args[0]!, args[1]);
  const { name, command } = found;
  const invocation = parseInvocation(name, command, args.slice(name.split(' ').length));
  return await command.run({ ...invocation, terminal });
}

function find(words: readonly string[]): { readonly name: string; readonly command: Command } | null {
  for (const name of [words.slice(0, 2).join(' '), words[0] ?? '']) {
    if (Object.hasOwn(COMMANDS, name)) return { name, command: COMMANDS[name]! };
  }
  return null;
}

function unknownCommand(word: string, next?: string): UsageError {
  if (word.startsWith('-')) return new UsageError('Options stand behind the command; see letterlock help.');
  const names = namesBelow(word);
  if (names.length === 0) {
    return new UsageError(`There is no command ${printable(word)}; see letterlock help.`);
  }
  const choices = names.map((name) => name.slice(word.length + 1)).join(', ');
  return new UsageError(
    next === undefined || next.startsWith('-')
      ? `${word} needs one of ${choices}; see letterlock help ${word}.`
      : `There is no command ${word} ${printable(next)}, but ${choices}; see letterlock help ${word}.`,
  );
}

const namesBelow = (area: string): string[] =>
  Object.keys(COMMANDS).filter((name) => name.startsWith(`${area} `));

const only = (area: string): CommandTable =>
  Object.fromEntries(namesBelow(area).map((name) => [name, COMMANDS[name]!]));

/** One sentence; for a wrong configuration one for each thing that is wrong; for a bug its stack too. */
function complaint(error: unknown): string {
  if (error instanceof ConfigError) {
    return error.problems.length === 1
      ? `letterlock: ${ended(error.message)}`
      : `letterlock: The configuration is wrong in ${error.problems.length} places.\n${error.message}`;
  }
  const isOurs =
    error instanceof UsageError || error instanceof FailedError || error instanceof LetterlockError;
  if (isOurs) return `letterlock: ${ended(error.message)}`;
  const system = systemComplaint(error as NodeJS.ErrnoException & { address?: string; port?: number });
  if (system !== null) return `letterlock: ${system}`;
  return `letterlock: This is a bug: ${error instanceof Error ? error.stack : String(error)}`;
}

/** @returns null for what no system call said. */
function systemComplaint({
  code,
  syscall,
  path,
  address,
  port,
}: NodeJS.ErrnoException & {
  address?: string;
  port?: number;
}): string | null {
  if (syscall === undefined || code === undefined) return null;
  if (syscall === 'listen' || syscall === 'bind') {
    if (code === 'EADDRINUSE') return `Port ${port} of ${address} is in use by another program.`;
    if (code === 'EACCES') return `Port ${port} of ${address} may not be opened by this user.`;
    return `Port ${port} of ${address} cannot be opened (${code}).`;
  }
  const what = path === undefined ? syscall : path;
  if (code === 'ENOENT') return `${what} does not exist.`;
  if (code === 'EACCES' || code === 'EPERM') return `${what} may not be used by this user.`;
  return `${what} cannot be used (${code}).`;
}

const ended = (sentence: string): string => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`);
