/** The benchmark's table: a row for each measure, a column for each target, and ratios against the first target. */
import type { Target } from './target.ts';
import type { Measure } from './workloads.ts';

export interface Row {
  readonly measure: Measure;
  /** For each target, one number a round. */
  readonly samples: readonly (readonly number[])[];
  /** For each target. */
  readonly medians: readonly number[];
}

/** Ratios say how many times better the first target is: above 1 it wins, whatever the unit. */
export function printTable(rows: readonly Row[], targets: readonly Target[]): void {
  const [first, ...others] = targets;
  if (first === undefined) return;
  const head = [
    'workload',
    'unit',
    ...targets.map(({ name }) => name),
    ...others.map(({ name }) => `${first.name} : ${name}`),
  ];
  const body = rows.map(({ measure, medians }) => [
    measure.name,
    measure.unit,
    ...medians.map(number),
    ...medians.slice(1).map((other) => ratio(measure, medians[0]!, other)),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  console.log(line(head));
  console.log(
    `|${widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`,
  );
  for (const cells of body) console.log(line(cells));
}

const ratio = ({ better }: Measure, ours: number, theirs: number): string =>
  `${number(better === 'more' ? ours / theirs : theirs / ours)} x`;

/** Three digits that count. */
const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
