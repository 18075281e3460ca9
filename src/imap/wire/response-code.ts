/** Response codes with arguments, as text for printStatusResponse. RFC 9051 §7.1, RFC 4315 §3, RFC 7162 §3.1, RFC 8474 §4. */
import { printFlagList } from './printer.ts';
import { printSequenceSet, sequenceSetOf } from './sequence-set.ts';

export const uidNextCode = (uid: number): string => `UIDNEXT ${uid}`;
export const uidValidityCode = (value: number): string => `UIDVALIDITY ${value}`;
export const unseenCode = (sequenceNumber: number): string => `UNSEEN ${sequenceNumber}`;
export const highestModSeqCode = (modSeq: number): string => `HIGHESTMODSEQ ${modSeq}`;
export const mailboxIdCode = (id: string): string => `MAILBOXID (${id})`;
export const permanentFlagsCode = (flags: readonly string[]): string =>
  `PERMANENTFLAGS ${printFlagList(flags)}`;
export const capabilityCode = (capabilities: readonly string[]): string =>
  `CAPABILITY ${capabilities.join(' ')}`;
export const badCharsetCode = (charsets: readonly string[]): string => `BADCHARSET (${charsets.join(' ')})`;

/** RFC 4315 §3: APPENDUID. */
export const appendUidCode = (uidValidity: number, uids: readonly number[]): string =>
  `APPENDUID ${uidValidity} ${printSequenceSet(sequenceSetOf(uids))}`;

/** RFC 4315 §3: COPYUID. Both lists have the same length, in the same order. */
export const copyUidCode = (
  uidValidity: number,
  source: readonly number[],
  target: readonly number[],
): string =>
  `COPYUID ${uidValidity} ${printSequenceSet(sequenceSetOf(source))} ${printSequenceSet(sequenceSetOf(target))}`;

/** RFC 7162 §3.1.3: messages that a conditional STORE left alone. */
export const modifiedCode = (numbers: readonly number[]): string =>
  `MODIFIED ${printSequenceSet(sequenceSetOf(numbers))}`;
