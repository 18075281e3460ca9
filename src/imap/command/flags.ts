/** Flags between the wire's names and the store's bits. RFC 9051 §2.3.2. */
import { ProtocolError } from '../../errors.ts';
import { Flag, type MessageFlags } from '../../store/types.ts';
import type { SelectedFolder } from './context.ts';
import { fetchHead } from './uid-only.ts';

const NAMES: readonly (readonly [string, number])[] = [
  ['\\Answered', Flag.Answered],
  ['\\Flagged', Flag.Flagged],
  ['\\Deleted', Flag.Deleted],
  ['\\Seen', Flag.Seen],
  ['\\Draft', Flag.Draft],
];
const BITS: ReadonlyMap<string, number> = new Map(NAMES);
const RECENT_BIT = 32;

export const SYSTEM_FLAGS: readonly string[] = NAMES.map(([name]) => name);

/** Every set of system flags and \Recent, as text: a FETCH of 100,000 flags prints nothing else. */
const SYSTEM_TEXT: readonly string[] = Array.from({ length: 64 }, (_, bits) => {
  const names = NAMES.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
  if ((bits & RECENT_BIT) !== 0) names.push('\\Recent');
  return names.join(' ');
});

/** The bit of a system flag, or undefined for a keyword. */
export const systemFlagBit = (name: string): number | undefined => BITS.get(name);

/**
 * Flags that a client sets, as the parser gives them.
 * @throws ProtocolError for \Recent, which no client can set, and for system flags that do not exist.
 */
export function parseFlags(names: readonly string[]): MessageFlags {
  let system = 0;
  const keywords: string[] = [];
  for (const name of names) {
    const bit = BITS.get(name);
    if (bit !== undefined) system |= bit;
    else if (name.startsWith('\\')) throw new ProtocolError('That system flag cannot be set.');
    else keywords.push(name);
  }
  return { system, keywords };
}

/** `FLAGS (\Seen $Junk)` */
export function printFlags(system: number, keywords: readonly string[], isRecent: boolean): string {
  const fixed = SYSTEM_TEXT[isRecent ? system | RECENT_BIT : system]!;
  if (keywords.length === 0) return `FLAGS (${fixed})`;
  return fixed === '' ? `FLAGS (${keywords.join(' ')})` : `FLAGS (${fixed} ${keywords.join(' ')})`;
}

export interface FlagsResponseOptions {
  readonly withUid: boolean;
  readonly withModSeq: boolean;
  /** False to tell only the modseq (RFC 7162 §3.1.3: a silent conditional STORE). True when absent. */
  readonly withFlags?: boolean;
}

/** `* 3 FETCH (FLAGS (\Seen))`, or '' when the message is gone. Afterwards its flags count as told. */
export function flagsResponse(selected: SelectedFolder, uid: number, options: FlagsResponseOptions): string {
  const number = selected.numbers.sequenceOf(uid);
  const flags = selected.view.flags(uid as Parameters<typeof selected.view.flags>[0]);
  if (number === 0 || flags === undefined) return '';
  const items: string[] = [];
  if (options.withUid && !selected.isUidOnly) items.push(`UID ${uid}`);
  if (options.withFlags !== false) {
    items.push(printFlags(flags.system, flags.keywords, selected.numbers.isRecent(uid)));
    selected.numbers.flagsTold(uid);
  }
  if (options.withModSeq) items.push(`MODSEQ (${flags.modSeq})`);
  return `${fetchHead(selected, number, uid)}${items.join(' ')})\r\n`;
}
