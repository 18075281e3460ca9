/** How records are shown: aligned columns or name and value for people, JSON for programs. */
import type { Writable } from 'node:stream';
import type { AdminRecord } from './admin-socket.ts';

/** Header and value of each column. */
export type Columns<T> = Readonly<Record<string, (record: T) => string | number | null>>;

/** One array; every record is a line of it, so that line-based tools find their way too. */
export function printJsonList(stdout: Writable, records: readonly AdminRecord[]): void {
  if (records.length === 0) stdout.write('[]\n');
  else stdout.write(`[\n${records.map((record) => JSON.stringify(record)).join(',\n')}\n]\n`);
}

/** Nothing at all when there are no records. */
export function printTable<T>(stdout: Writable, records: readonly T[], columns: Columns<T>): void {
  if (records.length === 0) return;
  const names = Object.keys(columns);
  const rows = [names, ...records.map((record) => names.map((name) => shown(columns[name]!(record))))];
  const widths = names.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  stdout.write(`${rows.map(line).join('\n')}\n`);
}

/** A line for each field: `display name: Alice`. */
export function printFields<T>(stdout: Writable, record: T, columns: Columns<T>): void {
  for (const [name, value] of Object.entries(columns)) stdout.write(`${name}: ${shown(value(record))}\n`);
}

const shown = (value: string | number | null): string =>
  value === null || value === '' ? '-' : printable(String(value));

/** Names come from others: none may steer the terminal. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, '\ufffd');
