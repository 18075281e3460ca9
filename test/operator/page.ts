/** The commands of a page: blocks of a section that a comment before them, which no reader sees, says how to run. */
import { readFileSync } from 'node:fs';

/**
 * `walk`: commands of a shell. `walk: shows TEXT`: the same, which print TEXT. `walk: refused with TEXT`: commands that
 * fail, and print TEXT. `walk: NAME`: no commands, but something that a test of its own looks at.
 */
export interface Block {
  readonly mark: string;
  readonly text: string;
  /** Of the page, from 1. */
  readonly line: number;
}

const MARK = /^<!-- walk(?:: (.+))? -->$/;
const INDENT = '    ';

/**
 * @throws Error for an indented block of the section that has no mark, a mark without a block, and a fence: what a reader
 * would take for a command and no test would run.
 */
export function blocksOf(file: string, section: string): Block[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  const start = lines.indexOf(`## ${section}`);
  if (start === -1) throw new Error(`${file} has no section ${section}.`);
  const blocks: Block[] = [];
  let mark: string | null = null;
  for (let at = start + 1; at < lines.length && !lines[at]!.startsWith('## '); at++) {
    const line = lines[at]!;
    const where = `${file}:${at + 1}`;
    const marked = MARK.exec(line);
    if (/^\s*(```|~~~)/.test(line)) throw new Error(`${where}: blocks are indented here, not fenced.`);
    if (marked !== null) {
      if (mark !== null) throw new Error(`${where}: the mark before has no block.`);
      mark = marked[1] ?? '';
    } else if (line.startsWith(INDENT)) {
      if (mark === null) throw new Error(`${where}: no test runs this block: it has no mark.`);
      const end = endOfBlock(lines, at);
      const text = lines.slice(at, end).map((inner) => inner.slice(INDENT.length));
      blocks.push({ mark, text: text.join('\n'), line: at + 1 });
      mark = null;
      at = end - 1;
    } else if (line !== '' && mark !== null) throw new Error(`${where}: the mark before has no block.`);
  }
  return blocks;
}

/** Empty lines belong to a block that goes on after them. */
function endOfBlock(lines: readonly string[], start: number): number {
  let end = start;
  for (let at = start; at < lines.length; at++) {
    if (lines[at]!.startsWith(INDENT)) end = at + 1;
    else if (lines[at] !== '') break;
  }
  return end;
}
