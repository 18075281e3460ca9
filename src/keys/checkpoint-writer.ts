/**
 * Makes checkpoints of the key-use journals: at the start, at an interval, when asked, at the end; only when something
 * changed. docs/format.md, "Key-use journal".
 *
 * Nothing waits for them and nothing fails with them: a checkpoint that cannot be written is logged and made later, and a
 * copy that hangs is given up. A checkpoint is on stable storage before it is copied and logged, so that no copy is of
 * one that the file does not have.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IntegrityError, LetterlockError, UnavailableError } from '../errors.ts';
import {
  CHECKPOINT_COPY_MS,
  CHECKPOINT_INTERVAL_MS,
  CHECKPOINT_JOURNALS,
  CHECKPOINT_OCTETS,
} from '../limits.ts';
import { CheckpointKey, type JournalEnd, readCheckpoint } from './checkpoint.ts';
import {
  checkpointFile,
  checkpointKeyFile,
  endOfJournal,
  journalDirectory,
  journalName,
  LineFile,
  listJournals,
} from './journal-files.ts';
import { lineHash, NO_PREVIOUS } from './journal-record.ts';
import { createRootKey, readRootKey, syncDirectory } from './root-key-file.ts';

/** The part of a logger that is used here; pino's is one. */
export interface CheckpointLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface CheckpointOptions {
  /** The keys directory. */
  readonly directory: string;
  /** This process's journal, and where it ends on stable storage. */
  readonly journal: () => JournalEnd;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log?: CheckpointLog | undefined;
  /** Default CHECKPOINT_INTERVAL_MS. */
  readonly intervalMs?: number | undefined;
  /** Gets every checkpoint too; null: none. */
  readonly copyFile?: string | null | undefined;
  /** How long a copy may take. Default CHECKPOINT_COPY_MS. */
  readonly copyMs?: number | undefined;
}

/** What the file of checkpoints says, as far as the next one needs it. */
interface Chain {
  readonly file: FileHandle;
  readonly key: CheckpointKey;
  /** Where the next line goes. */
  position: number;
  seq: number;
  /** The last line; null before the first. */
  last: string | null;
  readonly ended: Set<string>;
  /** Lines of our own journal that are named already. */
  ownLines: number;
}

export class CheckpointWriter {
  readonly #options: CheckpointOptions;
  readonly #timer: NodeJS.Timeout;
  #chain: Chain | null = null;
  #hasLooked = false;
  #working: Promise<unknown> = Promise.resolve();
  #copying: Promise<void> | null = null;
  #hasCopied = false;
  #lastAt: number | null = null;
  #isFailing = false;

  /** Returns at once. The first checkpoint is made in the background. */
  constructor(options: CheckpointOptions) {
    this.#options = options;
    const make = (): void => void this.make().catch(() => undefined);
    this.#timer = setInterval(make, options.intervalMs ?? CHECKPOINT_INTERVAL_MS).unref();
    make();
  }

  /** Milliseconds since 1970 at which this process made its last one; null before. */
  get lastAt(): number | null {
    return this.#lastAt;
  }

  /** The last attempt failed. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /**
   * Makes a checkpoint, or several, if something changed. One at a time.
   * @returns the newest there is, as a line without LF; null when no key was used yet.
   * @throws UnavailableError 'busy' when it cannot be written, what readCheckpointKey throws; it is logged already.
   */
  make(): Promise<string | null> {
    const made = this.#working.then(async () => {
      try {
        const line = await this.#make();
        this.#isFailing = false;
        return line;
      } catch (error) {
        this.#isFailing = true;
        await this.#chain?.file.close().catch(() => undefined);
        this.#chain = null; // what is in the file now is read anew
        this.#options.log?.error({ err: error }, 'a checkpoint of the key-use journal cannot be made');
        if (error instanceof LetterlockError) throw error;
        throw new UnavailableError('busy', 'The checkpoint cannot be written now; the log says why.', error);
      }
    });
    this.#working = made.catch(() => undefined);
    return made;
  }

  /** The last checkpoint. The journal has been closed. Never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.make().catch(() => undefined);
    await this.#copying;
    await this.#chain?.file.close();
  }

  async #make(): Promise<string | null> {
    this.#chain ??= await this.#open();
    const chain = this.#chain;
    if (!this.#hasLooked) {
      const found = await this.#unnamed(chain);
      for (let start = 0; start < found.length; start += CHECKPOINT_JOURNALS) {
        await this.#write(chain, found.slice(start, start + CHECKPOINT_JOURNALS));
      }
      this.#hasLooked = true;
    }
    const own = this.#options.journal();
    const hasEnded = own.isEnded && own.lines > 0 && !chain.ended.has(own.boot);
    if (own.lines > chain.ownLines || hasEnded) {
      await this.#write(chain, [own]);
      chain.ownLines = own.lines;
    }
    return chain.last;
  }

  /** Journals of processes that ended without a word. */
  async #unnamed({ ended }: Chain): Promise<JournalEnd[]> {
    const { directory, journal } = this.#options;
    const found: JournalEnd[] = [];
    for (const boot of await listJournals(directory)) {
      if (boot === journal().boot || ended.has(boot)) continue;
      const end = await endOfJournal(join(journalDirectory(directory), journalName(boot)));
      if (end.lines > 0) found.push({ boot, ...end, isEnded: true });
    }
    return found;
  }

  async #write(chain: Chain, journals: readonly JournalEnd[]): Promise<void> {
    const at = this.#options.now();
    const line = chain.key.sign({
      seq: chain.seq + 1,
      at: new Date(at).toISOString(),
      prev: chain.last === null ? NO_PREVIOUS : lineHash(chain.last),
      journals,
    });
    const octets = Buffer.from(`${line}\n`);
    const { bytesWritten } = await chain.file.write(octets, 0, octets.length, chain.position);
    if (bytesWritten < octets.length)
      throw new UnavailableError('disk-full', 'There is no space for a checkpoint.');
    await chain.file.datasync();
    chain.position += octets.length;
    chain.seq += 1;
    chain.last = line;
    for (const { boot, isEnded } of journals) if (isEnded) chain.ended.add(boot);
    this.#lastAt = at;
    this.#options.log?.info({ checkpoint: line }, 'key-use checkpoint');
    await this.#copy(line);
  }

  /** Waits for a copy as long as it may take, and for one that hangs no second time. */
  async #copy(line: string): Promise<void> {
    const { copyFile = null, copyMs = CHECKPOINT_COPY_MS, log } = this.#options;
    if (copyFile === null || this.#copying !== null) return;
    const copying = this.#append(copyFile, line).then(
      () => {
        this.#copying = null;
      },
      (error: unknown) => {
        this.#copying = null;
        log?.error({ err: error }, 'a checkpoint of the key-use journal cannot be copied');
      },
    );
    const late = new AbortController();
    const lateness = sleep(copyMs, 'late', { signal: late.signal, ref: false }).catch(() => null);
    this.#copying = copying;
    if ((await Promise.race([copying, lateness])) === 'late') {
      log?.error({}, 'the copy of a checkpoint of the key-use journal hangs');
      // From here on nobody waits for it, `close` included.
      this.#copying = Promise.resolve();
      copying.finally(() => {
        this.#copying = null;
      });
    }
    late.abort();
  }

  /** Appends and nothing else, as a file that may only grow allows. An empty line parts it from what a crash tore. */
  async #append(path: string, line: string): Promise<void> {
    const file = await open(path, 'a', 0o600);
    try {
      const { size } = await file.stat();
      await file.appendFile(`${size === 0 || this.#hasCopied ? '' : '\n'}${line}\n`);
      await file.datasync();
      this.#hasCopied = true;
    } finally {
      await file.close();
    }
  }

  async #open(): Promise<Chain> {
    const { directory, journal, log } = this.#options;
    const key = await openCheckpointKey(directory);
    const path = checkpointFile(directory);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const chain: Chain = { file, key, position: 0, seq: 0, last: null, ended: new Set(), ownLines: 0 };
    const lines = await LineFile.open(path);
    try {
      await syncDirectory(journalDirectory(directory));
      chain.position = lines.octets;
      await file.truncate(chain.position); // what a crash or a full disk tore
      for await (const batch of lines.batches(CHECKPOINT_OCTETS)) {
        for (const octets of batch) {
          const line = octets?.toString() ?? '';
          chain.last = line;
          chain.seq += 1;
          for (const boot of endedIn(line)) chain.ended.add(boot);
        }
      }
      const last = chain.last === null ? null : readCheckpoint(chain.last);
      if (last !== null) chain.seq = last.seq;
      else if (chain.last !== null) log?.error({}, 'the last checkpoint of the key-use journal was changed');
      chain.ownLines = last?.journals.find(({ boot }) => boot === journal().boot)?.lines ?? 0;
      return chain;
    } catch (error) {
      await file.close();
      throw error;
    } finally {
      await lines.close();
    }
  }
}

/** Made at the first start. @throws as readCheckpointKey does; the file system's error. */
async function openCheckpointKey(directory: string): Promise<CheckpointKey> {
  try {
    return await readCheckpointKey(directory);
  } catch (error) {
    if (!(error instanceof IntegrityError) || error.code !== 'missing-key') throw error;
    await createRootKey(checkpointKeyFile(directory), KEY_NAME);
    return await readCheckpointKey(directory);
  }
}

/** @throws as readRootKey does: a key that others may read is none. */
export async function readCheckpointKey(directory: string): Promise<CheckpointKey> {
  const seed = (await readRootKey(checkpointKeyFile(directory), KEY_NAME)).export();
  try {
    return new CheckpointKey(seed);
  } finally {
    seed.fill(0);
  }
}

const KEY_NAME = 'checkpoint key file';

/** Signatures are for `audit verify` to check: a start reads every line that there ever was. */
function endedIn(line: string): string[] {
  try {
    const { journals } = JSON.parse(line) as { journals: { boot: string; ended?: boolean }[] };
    return journals.flatMap(({ boot, ended }) => (ended === true ? [boot] : []));
  } catch {
    return [];
  }
}
