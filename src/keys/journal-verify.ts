/**
 * Checks one key-use journal: its hash chain, that every outcome has its intent, and that it still says what checkpoints
 * say of it. docs/format.md, "Key-use journal".
 *
 * The chain shows lines that were changed, removed or exchanged within it. That its end was cut off, or that it was
 * written anew from some line on, only a checkpoint shows.
 */
import { AUDIT_FINDINGS, AUDIT_OPEN_USES } from '../limits.ts';
import type { JournalEnd } from './checkpoint.ts';
import { bootOf, LineFile } from './journal-files.ts';
import { lineHash, NO_PREVIOUS } from './journal-record.ts';

export interface JournalProblem {
  /** Of the line, from 1. */
  readonly line: number;
  /**
   * `unreadable`: no record. `chain`: it does not continue the line before it, so one of the two was changed.
   * `gap`, `order`: its sequence number is too high, or not ascending. `boot`: of another start of the process.
   * `torn`: the end of the file is no whole line, as a crash may leave it. `unpaired`: an outcome without its intent.
   *
   * Against checkpoints, `checkpoint` the one concerned: `rewritten`: this line, or one since `from`, was another then.
   * `truncated`: the file had more lines then. `appended`: the journal had ended before this line.
   */
  readonly kind:
    | 'unreadable'
    | 'chain'
    | 'gap'
    | 'order'
    | 'boot'
    | 'torn'
    | 'unpaired'
    | 'rewritten'
    | 'truncated'
    | 'appended';
  readonly from?: number;
  readonly checkpoint?: number;
}

/** What a checkpoint says of this journal. */
export interface Claim extends JournalEnd {
  /** Its `seq`. */
  readonly checkpoint: number;
}

/** A use whose outcome is not on record: it is under way, the process crashed, or the record was cut off. */
export interface UnfinishedUse {
  readonly line: number;
  readonly at: string;
}

export interface JournalReport {
  readonly lines: number;
  /** SHA-256 of the last line, in hex: what a checkpoint vouches for. */
  readonly head: string;
  /** Of the first record; null when there is none. */
  readonly firstAt: string | null;
  /** The first AUDIT_FINDINGS of them. */
  readonly problems: readonly JournalProblem[];
  readonly problemCount: number;
  /** The first AUDIT_FINDINGS of them. */
  readonly unfinished: readonly UnfinishedUse[];
  readonly unfinishedCount: number;
  /** The claims that hold. */
  readonly confirmed: readonly Claim[];
}

/**
 * The file may be written meanwhile: what it holds now is checked.
 * @param claims In any order.
 * @throws the file system's error when the file cannot be read.
 */
export async function verifyUseJournal(path: string, claims: readonly Claim[] = []): Promise<JournalReport> {
  const check = new JournalCheck(bootOf(path), claims);
  const file = await LineFile.open(path);
  try {
    for await (const batch of file.batches()) for (const line of batch) check.line(line);
    return check.end(file.isTorn);
  } finally {
    await file.close();
  }
}

class JournalCheck {
  readonly #claims: readonly Claim[];
  #nextClaim = 0;
  #lines = 0;
  #head = NO_PREVIOUS;
  #seq = 0;
  readonly #boot: string;
  /** Said once each. */
  readonly #foreignBoots = new Set<string>();
  #firstAt: string | null = null;
  readonly #problems = new Findings<JournalProblem>();
  readonly #unfinished = new Findings<UnfinishedUse>();
  readonly #confirmed: Claim[] = [];
  /** Where the last claim that holds ends. */
  #confirmedTo = 0;
  #endedAt: Claim | null = null;
  #isRewritten = false;
  /** By `seq`. */
  readonly #open = new Map<number, UnfinishedUse & { readonly operation: unknown }>();

  constructor(boot: string, claims: readonly Claim[]) {
    this.#boot = boot;
    this.#claims = claims.toSorted((a, b) => a.lines - b.lines || a.checkpoint - b.checkpoint);
  }

  line(octets: Buffer | null): void {
    this.#lines += 1;
    const record = octets === null ? null : readRecord(octets);
    if (record === null) {
      this.#report('unreadable');
    } else {
      this.#firstAt ??= record.at;
      if (record.boot !== this.#boot && !this.#foreignBoots.has(record.boot)) {
        this.#foreignBoots.add(record.boot);
        this.#report('boot');
      }
      if (record.seq > this.#seq + 1) this.#report('gap');
      else if (record.seq <= this.#seq) this.#report('order');
      if (record.prev !== this.#head) this.#report('chain');
      this.#pair(record);
    }
    this.#seq = record?.seq ?? this.#seq + 1;
    this.#head = octets === null ? NO_PREVIOUS : lineHash(octets);
    this.#compare();
  }

  end(isTorn: boolean): JournalReport {
    if (isTorn) this.#problems.add({ line: this.#lines + 1, kind: 'torn' });
    const cut = this.#claims.slice(this.#nextClaim).find(({ lines }) => lines > this.#lines);
    if (cut !== undefined) this.#report('truncated', { line: this.#lines + 1, checkpoint: cut.checkpoint });
    for (const use of this.#open.values()) this.#unfinished.add(use);
    return {
      lines: this.#lines,
      head: this.#head,
      firstAt: this.#firstAt,
      problems: this.#problems.kept,
      problemCount: this.#problems.count,
      unfinished: this.#unfinished.kept.map(({ line, at }) => ({ line, at })),
      unfinishedCount: this.#unfinished.count,
      confirmed: this.#confirmed,
    };
  }

  #pair({ seq, at, event, operation, intent }: JournalLine): void {
    if (event === 'intent') {
      this.#open.set(seq, { line: this.#lines, at, operation });
      const [oldest] = this.#open;
      if (this.#open.size > AUDIT_OPEN_USES && oldest !== undefined) {
        this.#open.delete(oldest[0]);
        this.#unfinished.add(oldest[1]);
      }
    } else if (event === 'outcome') {
      const begun = typeof intent === 'number' ? this.#open.get(intent) : undefined;
      if (begun?.operation === operation && begun !== undefined) this.#open.delete(intent as number);
      else this.#report('unpaired');
    }
  }

  /** With every claim that ends at this line. */
  #compare(): void {
    if (this.#endedAt !== null) {
      this.#report('appended', { checkpoint: this.#endedAt.checkpoint });
      this.#endedAt = null; // said once
    }
    for (
      let claim = this.#claims[this.#nextClaim];
      claim !== undefined && claim.lines <= this.#lines;
      claim = this.#claims[++this.#nextClaim]
    ) {
      if (claim.lines < this.#lines) continue; // of no line
      if (claim.head === this.#head) {
        this.#confirmed.push(claim);
        this.#confirmedTo = this.#lines;
        if (claim.isEnded) this.#endedAt = claim;
      } else if (!this.#isRewritten) {
        this.#isRewritten = true; // no later claim can hold
        this.#report('rewritten', { from: this.#confirmedTo + 1, checkpoint: claim.checkpoint });
      }
    }
  }

  #report(kind: JournalProblem['kind'], more: Partial<JournalProblem> = {}): void {
    this.#problems.add({ line: this.#lines, kind, ...more });
  }
}

/** The first of many. */
class Findings<T> {
  readonly kept: T[] = [];
  count = 0;

  add(finding: T): void {
    this.count += 1;
    if (this.kept.length < AUDIT_FINDINGS) this.kept.push(finding);
  }
}

interface JournalLine {
  readonly boot: string;
  readonly seq: number;
  readonly prev: string;
  readonly at: string;
  readonly event: unknown;
  readonly operation: unknown;
  readonly intent: unknown;
}

function readRecord(line: Buffer): JournalLine | null {
  try {
    const { boot, seq, prev, at, event, operation, intent } = JSON.parse(line.toString()) as Record<
      string,
      unknown
    >;
    return typeof boot === 'string' &&
      Number.isSafeInteger(seq) &&
      typeof prev === 'string' &&
      typeof at === 'string'
      ? { boot, seq: seq as number, prev, at, event, operation, intent }
      : null;
  } catch {
    return null;
  }
}
