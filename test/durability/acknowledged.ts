/**
 * The rule "acknowledged means durable" (docs/format.md, "Order of writes"), held against a trace of system calls: before
 * a reply is written, every journal record of its mailboxes has been written, and then synced by a call that began
 * after that write had ended.
 */
import type { Syscall } from './syscalls.ts';

/** A request that was answered. Each marker is seen once on the connection; mailboxes are used by nobody else then. */
export interface Acknowledgement {
  readonly name: string;
  /** In what the server reads: the command's tag and name, or a token in the message. */
  readonly request: string;
  /** In the first write after it that acknowledges. */
  readonly reply: string;
  /** Ids of the mailboxes that the journal's records must name. */
  readonly mailboxes: readonly string[];
}

/** The \\Recent mark, which no reply promises: it may be written behind one. */
const RECENT_RECORD = /\\"op\\":\\"recent\\",\\"mailbox\\":\\"\w+/g;
const JOURNAL = /\/journal\/accept-[0-9a-f]+\.log$/;
const SPOOLED = /^(.*\/spool)\/([0-9a-f]{32})$/;
const WRITES = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'sendto', 'sendmsg']);
const SYNCS = new Set(['fsync', 'fdatasync']);

const isWrite = ({ name }: Syscall): boolean => WRITES.has(name);
const isJournalWrite = (call: Syscall): boolean => isWrite(call) && JOURNAL.test(call.target);

/** @returns What breaks the rule, in words; empty when nothing does. */
export const brokenPromises = (
  calls: readonly Syscall[],
  acknowledgements: readonly Acknowledgement[],
): string[] =>
  acknowledgements.flatMap((acknowledgement) => {
    const broken = brokenPromise(calls, acknowledgement);
    return broken === null ? [] : [`${acknowledgement.name}: ${broken}`];
  });

function brokenPromise(
  calls: readonly Syscall[],
  { request, reply, mailboxes }: Acknowledgement,
): string | null {
  const asked = calls.find(({ name, text }) => name === 'read' && text.includes(request));
  if (asked === undefined) return 'the request was not seen';
  const answered = calls.find(
    (call) =>
      isWrite(call) && call.target === asked.target && call.start > asked.end && call.text.includes(reply),
  );
  if (answered === undefined) return 'the reply was not seen';

  const between = calls.filter(({ start }) => start > asked.end && start < answered.start);
  for (const mailbox of mailboxes) {
    const records = between.filter((call) => isJournalWrite(call) && names(call, mailbox));
    if (records.length === 0) return `no journal record of mailbox ${mailbox} was written before the reply`;
    for (const record of records) {
      if (!isSyncedBefore(calls, record, answered.start)) {
        return 'the reply was written before the journal record was synced';
      }
    }
  }
  return null;
}

const names = ({ text }: Syscall, mailbox: string): boolean =>
  text.replaceAll(RECENT_RECORD, '').includes(mailbox);

/** Whether a sync of the written file began after the write had ended, and succeeded before `deadline`. */
const isSyncedBefore = (calls: readonly Syscall[], written: Syscall, deadline: number): boolean =>
  written.result !== null &&
  written.result > 0 &&
  calls.some(
    ({ name, target, result, start, end }) =>
      SYNCS.has(name) && target === written.target && result === 0 && start > written.end && end < deadline,
  );

/**
 * Bodies in spool/ that a journal record names before their file, and then its directory, were synced.
 * @returns What breaks the rule, and how many bodies were looked at.
 */
export function bodiesBehindTheirRecord(calls: readonly Syscall[]): { bodies: number; broken: string[] } {
  const lastWrites = new Map<string, Syscall>();
  for (const call of calls) if (isWrite(call) && SPOOLED.test(call.target)) lastWrites.set(call.target, call);

  const broken: string[] = [];
  for (const [path, lastWrite] of lastWrites) {
    const [, directory, id] = SPOOLED.exec(path)!;
    const record = calls.find((call) => isJournalWrite(call) && call.text.includes(id!));
    if (record === undefined) broken.push(`no journal record names the body ${id}`);
    else if (!isSyncedBefore(calls, lastWrite, record.start)) {
      broken.push(`the journal record was written before the body ${id} was synced`);
    } else if (!isSyncedBefore(calls, { ...lastWrite, target: directory! }, record.start)) {
      broken.push(`the journal record was written before the directory of body ${id} was synced`);
    }
  }
  return { bodies: lastWrites.size, broken };
}
