/**
 * Checks all key-use journals of a keys directory, against each other, against the checkpoints beside them, and against
 * checkpoints that were kept elsewhere. Reads files only, and those may be written meanwhile.
 *
 * What vouches is the newest checkpoint that is given: by the hashes of those before it, it says where every journal
 * ended then. Without one, the newest beside the journals does, as far as those who can write there are trusted.
 */
import { join } from 'node:path';
import { AUDIT_FINDINGS, AUDIT_SLACK_MS, CHECKPOINT_OCTETS } from '../limits.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { checkpointFile, journalDirectory, journalName, LineFile, listJournals } from './journal-files.ts';
import { lineHash, NO_PREVIOUS } from './journal-record.ts';
import { type Claim, type JournalProblem, type JournalReport, verifyUseJournal } from './journal-verify.ts';

export interface AuditOptions {
  /** The keys directory. */
  readonly directory: string;
  /** A file of checkpoints that was kept elsewhere: lines as they are, or log lines that carry them. Null: none. */
  readonly given: string | null;
  /** The public key that must have signed them, in hex; null: the key that signed the first one. */
  readonly key: string | null;
  /** Journals that had ended by then may have been removed; milliseconds since 1970, null: none may. */
  readonly since: number | null;
}

export type AuditProblemKind =
  | Exclude<JournalProblem['kind'], 'torn'>
  /** Of a checkpoint: not signed by the key that it names; signed by another key than expected. */
  | 'signature'
  | 'key'
  /** A checkpoint, or a file of them, says that there was a file that is not there. */
  | 'removed'
  /** A journal that a checkpoint should name, and none does. */
  | 'unlisted';

export interface AuditProblem {
  /** Under the keys directory; or the file that was given. */
  readonly file: string;
  readonly line: number | null;
  readonly kind: AuditProblemKind;
  readonly detail: string;
}

/** What may be innocent: a use without an outcome, an end that a crash tore. */
export interface AuditNote {
  readonly file: string;
  readonly line: number;
  readonly kind: 'unfinished' | 'torn';
  readonly at: string | null;
}

export interface AuditReport {
  /** The first AUDIT_FINDINGS for each file. */
  readonly problems: readonly AuditProblem[];
  readonly problemCount: number;
  readonly notes: readonly AuditNote[];
  readonly noteCount: number;
  readonly checked: { readonly journals: number; readonly records: number; readonly checkpoints: number };
  /** The checkpoint that vouches, and for how many of the records; null without one. */
  readonly vouching: {
    readonly seq: number;
    readonly at: string;
    readonly isGiven: boolean;
    readonly records: number;
  } | null;
  /** That signed the checkpoints; null without one. */
  readonly key: string | null;
}

/** @throws the file system's error; not for what is missing and should be there. */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const findings = new AuditFindings();
  const given =
    options.given === null
      ? null
      : await readCheckpoints(options.given, options.given, options.key, findings);
  // The checkpoints first, the journals after: those grow, and may not seem to be behind.
  const key = options.key ?? given?.list[0]?.key ?? null;
  const own = await readCheckpoints(checkpointFile(options.directory), CHECKPOINTS, key, findings);
  if (given !== null) compare(given, own, findings);

  const newest = given === null ? (own.list.at(-1) ?? null) : (given.list.at(-1) ?? null);
  const claims = claimsOf([...own.list, ...(given?.list ?? [])]);
  const latest = [...own.list, ...(given?.list ?? [])].reduce(
    (most, { at }) => Math.max(most, Date.parse(at)),
    0,
  );
  const isVouched = vouchedBy(newest, given, own);
  const boots = await listJournals(options.directory);
  let records = 0;
  let vouchedRecords = 0;
  for (const boot of boots) {
    const known = claims.get(boot) ?? [];
    const file = `journal/${journalName(boot)}`;
    const report = await verifyUseJournal(
      join(journalDirectory(options.directory), journalName(boot)),
      known,
    );
    findings.addJournal(file, report);
    records += report.lines;
    vouchedRecords += report.confirmed.findLast(isVouched)?.lines ?? 0;
    if (
      known.length === 0 &&
      report.firstAt !== null &&
      Date.parse(report.firstAt) + AUDIT_SLACK_MS < latest
    ) {
      findings.add(file, null, 'unlisted', 'it began before the last checkpoint, and none names it');
    }
  }
  const present = new Set(boots);
  for (const [boot, known] of claims) {
    const last = known.at(-1)!;
    const isExpired = last.isEnded && options.since !== null && Date.parse(last.at) < options.since;
    if (present.has(boot) || last.lines === 0 || isExpired) continue;
    const detail = `checkpoint ${last.checkpoint} of ${last.at} names it with ${last.lines} lines`;
    findings.add(`journal/${journalName(boot)}`, null, 'removed', detail);
  }
  return {
    ...findings.report(),
    checked: { journals: boots.length, records, checkpoints: own.list.length + (given?.list.length ?? 0) },
    vouching:
      newest === null
        ? null
        : { seq: newest.seq, at: newest.at, isGiven: given !== null, records: vouchedRecords },
    key: key ?? own.list[0]?.key ?? null,
  };
}

const CHECKPOINTS = 'journal/checkpoints.log';
/** A checkpoint within a log line, quoted and with what else the line says. */
const LINE_OCTETS = 2 * CHECKPOINT_OCTETS;

/** A checkpoint that is what it should be, and where it stands. */
interface ReadCheckpoint extends Checkpoint {
  readonly hash: string;
  readonly line: number;
}

interface Checkpoints {
  readonly list: readonly ReadCheckpoint[];
  readonly file: string;
  /** `seq` of each that does not continue the one before it. */
  readonly breaks: readonly number[];
}

interface DatedClaim extends Claim {
  readonly at: string;
}

/** @param shown What problems call the file. */
async function readCheckpoints(
  path: string,
  shown: string,
  expectedKey: string | null,
  findings: AuditFindings,
): Promise<Checkpoints> {
  let list: ReadCheckpoint[] = [];
  const isOwn = shown === CHECKPOINTS;
  let number = 0;
  let key = expectedKey;
  const file = await LineFile.open(path).catch((error: NodeJS.ErrnoException) => {
    if (isOwn && error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return { list, file: shown, breaks: [] };
  const read = (octets: Buffer | null): void => {
    number += 1;
    const text = isOwn ? octets?.toString() : carried(octets);
    if (text === '' && !isOwn) return; // parts what was appended
    const checkpoint = text === undefined ? null : readCheckpoint(text);
    if (checkpoint === null) {
      findings.add(shown, number, 'signature', 'it is no checkpoint, or was changed after it was signed');
      return;
    }
    key ??= checkpoint.key;
    if (checkpoint.key === key) list.push({ ...checkpoint, hash: lineHash(text!), line: number });
    else findings.add(shown, number, 'key', `it is signed by ${checkpoint.key}`);
  };
  try {
    for await (const batch of file.batches(LINE_OCTETS)) for (const octets of batch) read(octets);
    if (isOwn && file.isTorn) findings.note({ file: shown, line: number + 1, kind: 'torn', at: null });
    if (!isOwn) read(await file.rest(LINE_OCTETS));
  } finally {
    await file.close();
  }
  if (!isOwn && list.length === 0) findings.add(shown, null, 'removed', 'no checkpoint is in it that counts');
  // Copies may have been put together in any order, and hold some twice.
  if (!isOwn) {
    const distinct = new Map(list.map((checkpoint) => [checkpoint.hash, checkpoint]));
    list = [...distinct.values()].sort((a, b) => a.seq - b.seq);
  }
  return { list, file: shown, breaks: breaksIn(list, shown, isOwn, findings) };
}

/** @returns `seq` of each that does not continue the one before it. Copies may leave some out. */
function breaksIn(
  list: readonly ReadCheckpoint[],
  file: string,
  isWhole: boolean,
  findings: AuditFindings,
): number[] {
  const breaks: number[] = [];
  let last: ReadCheckpoint | null = null;
  for (const checkpoint of list) {
    const isNext: boolean = checkpoint.seq === (last?.seq ?? 0) + 1;
    const isChained: boolean = isNext && checkpoint.prev === (last?.hash ?? NO_PREVIOUS);
    if (!isChained) breaks.push(checkpoint.seq);
    if (!isChained && (isWhole || isNext || checkpoint.seq === last?.seq)) {
      const detail = `checkpoint ${checkpoint.seq} does not continue the one before it`;
      findings.add(file, checkpoint.line, 'chain', detail);
    }
    last = checkpoint;
  }
  return breaks;
}

/** A checkpoint as it is, or in the field `checkpoint` of a log line. */
function carried(octets: Buffer | null): string | undefined {
  const text = octets?.toString().trim();
  if (text === undefined || text === '' || !text.includes('"checkpoint"')) return text;
  try {
    const { checkpoint } = JSON.parse(text) as { checkpoint?: unknown };
    return typeof checkpoint === 'string' ? checkpoint : text;
  } catch {
    return text;
  }
}

/** The checkpoints beside the journals must have those that were given. */
function compare(given: Checkpoints, own: Checkpoints, findings: AuditFindings): void {
  const bySeq = new Map(own.list.map((checkpoint) => [checkpoint.seq, checkpoint]));
  const last = own.list.at(-1);
  const missing: number[] = [];
  let cut = 0;
  for (const { seq, hash } of given.list) {
    const found = bySeq.get(seq);
    if (found === undefined && seq > (last?.seq ?? 0)) cut += 1;
    else if (found === undefined) missing.push(seq);
    else if (found.hash !== hash) {
      findings.add(own.file, found.line, 'rewritten', `checkpoint ${seq} is not the one that was given`);
    }
  }
  for (const seq of missing) findings.add(own.file, null, 'removed', `checkpoint ${seq}, which was given`);
  if (cut === 0) return;
  const detail = `checkpoints that were given and are not there: ${cut}`;
  if (last === undefined) findings.add(own.file, null, 'removed', detail);
  else findings.add(own.file, last.line + 1, 'truncated', detail);
}

function claimsOf(checkpoints: readonly ReadCheckpoint[]): ReadonlyMap<string, readonly DatedClaim[]> {
  const claims = new Map<string, DatedClaim[]>();
  const seen = new Set<string>();
  for (const { seq, at, hash, journals } of checkpoints) {
    if (seen.has(hash)) continue;
    seen.add(hash);
    for (const end of journals) {
      const known = claims.get(end.boot);
      const claim = { ...end, checkpoint: seq, at };
      if (known === undefined) claims.set(end.boot, [claim]);
      else known.push(claim);
    }
  }
  return claims;
}

/** Which claims the newest checkpoint stands behind: its own, those of others that were given, and what it chains to. */
function vouchedBy(
  newest: ReadCheckpoint | null,
  given: Checkpoints | null,
  own: Checkpoints,
): (claim: Claim) => boolean {
  if (newest === null) return () => false;
  const others = new Set(given?.list.map(({ seq }) => seq));
  const isThere = own.list.some(({ hash }) => hash === newest.hash);
  const chainedFrom = own.breaks.reduce((last, seq) => (seq <= newest.seq ? Math.max(last, seq) : last), 0);
  return ({ checkpoint }) =>
    checkpoint === newest.seq ||
    others.has(checkpoint) ||
    (isThere && checkpoint <= newest.seq && checkpoint >= chainedFrom);
}

class AuditFindings {
  readonly #problems: AuditProblem[] = [];
  #problemCount = 0;
  readonly #notes: AuditNote[] = [];
  #noteCount = 0;
  readonly #perFile = new Map<string, number>();

  add(file: string, line: number | null, kind: AuditProblemKind, detail: string): void {
    this.#problemCount += 1;
    const count = (this.#perFile.get(file) ?? 0) + 1;
    this.#perFile.set(file, count);
    if (count <= AUDIT_FINDINGS) this.#problems.push({ file, line, kind, detail });
  }

  addJournal(file: string, report: JournalReport): void {
    for (const problem of report.problems) {
      if (problem.kind === 'torn') this.note({ file, line: problem.line, kind: 'torn', at: null });
      else this.add(file, problem.line, problem.kind, describe(problem));
    }
    for (const { line, at } of report.unfinished) this.note({ file, line, kind: 'unfinished', at });
    this.#problemCount += report.problemCount - report.problems.length;
    this.#noteCount += report.unfinishedCount - report.unfinished.length;
  }

  report(): Pick<AuditReport, 'problems' | 'problemCount' | 'notes' | 'noteCount'> {
    return {
      problems: this.#problems,
      problemCount: this.#problemCount,
      notes: this.#notes,
      noteCount: this.#noteCount,
    };
  }

  note(note: AuditNote): void {
    this.#notes.push(note);
    this.#noteCount += 1;
  }
}

function describe({ kind, line, from, checkpoint }: JournalProblem): string {
  switch (kind) {
    case 'unreadable':
      return 'it is no record';
    case 'chain':
      return 'it does not continue the line before it: one of the two was changed';
    case 'gap':
      return 'records are missing before it';
    case 'order':
      return 'it stands behind a later one';
    case 'boot':
      return 'it is of another journal';
    case 'unpaired':
      return 'it is the outcome of a use that has no intent';
    case 'rewritten':
      return from === line
        ? `it was another at checkpoint ${checkpoint}`
        : `lines ${from} to ${line} were others at checkpoint ${checkpoint}`;
    case 'truncated':
      return `it is missing, with all behind it: checkpoint ${checkpoint} has more lines`;
    case 'appended':
      return `it was written after checkpoint ${checkpoint} had seen the journal's end`;
    case 'torn':
      return 'the end of the file is no whole line';
    default:
      return kind satisfies never;
  }
}
