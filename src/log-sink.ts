/**
 * Where log lines go: a file, or standard output. Lines wait for the disk, never the event loop; what cannot be written
 * is dropped and counted. Not pino's own stream, which tries for ever to write its last lines to a full disk and so
 * keeps a process from ending that must end.
 */
import { closeSync, openSync, write, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LOG_BUFFER_OCTETS } from './limits.ts';

const STDOUT = 1;
/** A pipe whose reader is slow says EAGAIN; it is tried again after so long ... */
const RETRY_MS = 10;
/** ... and so often when nothing else can run any more. */
const LAST_RETRIES = 100;

export class LogSink {
  readonly #file: string | null;
  #descriptor: number;
  #waiting: string[] = [];
  #waitingOctets = 0;
  #isWriting = false;
  #mustReopen = false;
  #lostLines = 0;
  #onIdle: (() => void) | null = null;
  readonly #atExit = () => {
    try {
      this.writeOut();
    } catch {
      // There is nobody left to tell.
    }
  };

  /**
   * @param file Made (0600) with its directory when absent; null for standard output.
   * @throws the system's error when the file cannot be written.
   */
  static async open(file: string | null): Promise<LogSink> {
    if (file !== null) await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    return new LogSink(file, file === null ? STDOUT : openSync(file, 'a', 0o600));
  }

  private constructor(file: string | null, descriptor: number) {
    this.#file = file;
    this.#descriptor = descriptor;
    process.once('exit', this.#atExit);
  }

  /** @param line With its LF. Dropped when LOG_BUFFER_OCTETS are waiting. */
  write(line: string): void {
    if (this.#waitingOctets + line.length > LOG_BUFFER_OCTETS) {
      this.#lostLines += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingOctets += line.length;
    if (!this.#isWriting) this.#writeOn();
  }

  /** Opens the file anew, after it was moved away; the old one stays in use when that fails. */
  reopen(): void {
    this.#mustReopen = this.#file !== null;
    if (!this.#isWriting) this.#writeOn();
  }

  /**
   * Writes what waits before it returns; a write that is under way is left to its thread.
   * Not named flushSync: pino would call it for every fatal line, and swallow what it throws.
   * @throws the system's error: the lines are lost then.
   */
  writeOut(): void {
    let rest: Buffer = this.#take();
    for (let retries = LAST_RETRIES; rest.length > 0; ) {
      try {
        rest = rest.subarray(writeSync(this.#descriptor, rest));
      } catch (error) {
        if (!isAgain(error) || retries === 0) throw error;
        retries -= 1;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      }
    }
  }

  /** Waits until everything is written, or lost. */
  async close(): Promise<void> {
    if (this.#isWriting) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    process.off('exit', this.#atExit);
    if (this.#file !== null) closeSync(this.#descriptor);
  }

  #take(): Buffer {
    const octets = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#waitingOctets = 0;
    return octets;
  }

  /** Writes all that waits, batch after batch; `#isWriting` until nothing is left. */
  #writeOn(): void {
    if (this.#mustReopen) this.#exchange();
    const lines = this.#waiting.length;
    this.#isWriting = lines > 0;
    if (lines > 0) this.#writeBatch(this.#take(), lines);
    else this.#onIdle?.();
  }

  #writeBatch(octets: Buffer, lines: number): void {
    write(this.#descriptor, octets, (error, written) => {
      if (error === null) {
        if (written < octets.length) return this.#writeBatch(octets.subarray(written), lines);
        this.#noteLost();
      } else if (isAgain(error)) {
        setTimeout(() => this.#writeBatch(octets, lines), RETRY_MS);
        return;
      } else this.#lostLines += lines;
      this.#writeOn();
    });
  }

  /** Says so in the log itself, as soon as it can be written again. */
  #noteLost(): void {
    if (this.#lostLines === 0) return;
    const entry = {
      level: 'warn',
      time: new Date().toISOString(),
      lost: this.#lostLines,
      msg: 'log lines were lost',
    };
    this.#lostLines = 0;
    this.#waiting.push(`${JSON.stringify(entry)}\n`);
  }

  #exchange(): void {
    this.#mustReopen = false;
    try {
      const descriptor = openSync(this.#file!, 'a', 0o600);
      closeSync(this.#descriptor);
      this.#descriptor = descriptor;
    } catch {
      // Better the old file than none.
    }
  }
}

const isAgain = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EAGAIN';
