/** Help, made from what the commands say of themselves. */
import type { Command, CommandTable } from './command.ts';

const PROGRAM = 'letterlock';

/** Every command of the table, with its summary. */
export function overview(commands: CommandTable): string {
  const names = Object.keys(commands);
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map((name) => `  ${name.padEnd(width)}  ${commands[name]!.summary}`);
  return [
    `Usage: ${PROGRAM} COMMAND [OPTIONS]`,
    '',
    ...lines,
    '',
    `${PROGRAM} help COMMAND shows its options and examples.`,
    '',
  ].join('\n');
}

export function helpOnCommand(
  name: string,
  { summary, operands, options, details, examples }: Command,
): string {
  const usage = [PROGRAM, name, '[OPTIONS]', ...operands].join(' ');
  const sections = [
    `Usage: ${usage}`,
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    optionLines(options),
    details,
    ['Examples:', ...examples.map((example) => `  ${commandLine(example)}`)].join('\n'),
  ];
  return `${sections.filter((section) => section !== undefined && section !== '').join('\n\n')}\n`;
}

function optionLines(options: Command['options']): string {
  const rows = Object.entries(options).map(([name, { value, isRepeatable = false, help }]) => ({
    name: value === undefined ? `--${name}` : `--${name} ${value}`,
    help: isRepeatable ? `${help} (may be repeated)` : help,
  }));
  const width = Math.max(0, ...rows.map(({ name }) => name.length));
  return rows.map(({ name, help }) => `  ${name.padEnd(width)}  ${help}`).join('\n');
}

/** An example may begin with another program, whose output it pipes in; it names ours itself then. */
const commandLine = (example: string): string =>
  example.includes(`| ${PROGRAM}`) ? example : `${PROGRAM} ${example}`;
