/**
 * Where one incoming message waits, in clear, until it is sealed: in memory while it is small and memory is left, else in
 * a temporary file that is encrypted under a key which only this object holds and that has no name from the start, so
 * that neither a crash nor a reader of the disk finds it (docs/threat-model.md: no clear mail at rest).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, UnavailableError } from '../errors.ts';
import { SPOOL_BLOCK_OCTETS, SPOOL_MEMORY_OCTETS, SPOOL_MESSAGE_OCTETS } from '../limits.ts';

const CIPHER = 'aes-256-gcm';
const TAG_OCTETS = 16;
const SEALED_BLOCK_OCTETS = SPOOL_BLOCK_OCTETS + TAG_OCTETS;
/** Chunks below this are copied together, or a message that arrives octet by octet would cost a hundred times its size. */
const SMALL_CHUNK_OCTETS = 4096;

/** Memory for messages in flight, shared by all listeners. Never waits: what does not fit goes to disk. */
export class MemoryBudget {
  readonly #limit: number;
  #used = 0;

  constructor(limitOctets = SPOOL_MEMORY_OCTETS) {
    this.#limit = limitOctets;
  }

  get usedOctets(): number {
    return this.#used;
  }

  /** @returns Whether the octets were taken; give them back once. */
  take(octets: number): boolean {
    if (this.#used + octets > this.#limit) return false;
    this.#used += octets;
    return true;
  }

  give(octets: number): void {
    this.#used -= octets;
  }
}

export interface SpoolOptions {
  /** For temporary files. */
  readonly directory: string;
  readonly budget: MemoryBudget;
}

export class Spool {
  readonly #options: SpoolOptions;
  readonly #memory: Buffer[] = [];
  /** The last buffer of #memory when it is our own and has room left. */
  #open: { block: Buffer; used: number } | null = null;
  #charged = 0;
  #file: SpillFile | null = null;
  #size = 0;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  get sizeOctets(): number {
    return this.#size;
  }

  /**
   * Takes the next octets; the chunk must not change afterwards.
   * @returns null when they were taken, or a promise to wait for before the next call. It rejects with UnavailableError
   *   'disk-full' when the file cannot be written.
   */
  take(chunk: Buffer): Promise<void> | null {
    this.#size += chunk.length;
    if (this.#file === null) {
      if (this.#takeInMemory(chunk)) return null;
      this.#file = new SpillFile(this.#options.directory);
    }
    return this.#file.take(chunk);
  }

  /** Ends the message; call once before reading. */
  async end(): Promise<void> {
    this.#sealOpenBlock();
    await this.#file?.end();
  }

  /** The whole message in one buffer, or null when it is not all in memory. After `end`. */
  whole(): Buffer | null {
    if (this.#file !== null) return null;
    return this.#memory.length === 1 ? this.#memory[0]! : Buffer.concat(this.#memory);
  }

  /** The message from its start, as often as wanted. @throws IntegrityError when the file is not what was written. */
  async *chunks(): AsyncGenerator<Buffer> {
    yield* this.#memory;
    if (this.#file !== null) yield* this.#file.chunks();
  }

  /** Frees memory and file; the message is gone. Safe to repeat, and at any time. */
  async close(): Promise<void> {
    this.#memory.length = 0;
    this.#open = null;
    this.#options.budget.give(this.#charged);
    this.#charged = 0;
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  #takeInMemory(chunk: Buffer): boolean {
    const open = this.#open;
    if (open !== null && chunk.length <= open.block.length - open.used) {
      open.used += chunk.copy(open.block, open.used);
      return true;
    }
    const isCopied = chunk.length < SMALL_CHUNK_OCTETS && this.#memory.length > 0;
    const charge = isCopied
      ? Math.min(Math.max(SMALL_CHUNK_OCTETS, this.#size), SPOOL_BLOCK_OCTETS)
      : chunk.length;
    if (this.#charged + charge > SPOOL_MESSAGE_OCTETS || !this.#options.budget.take(charge)) {
      this.#sealOpenBlock();
      return false;
    }
    this.#charged += charge;
    this.#sealOpenBlock();
    if (!isCopied) this.#memory.push(chunk);
    else {
      const block = Buffer.allocUnsafe(charge);
      this.#open = { block, used: chunk.copy(block) };
      this.#memory.push(block);
    }
    return true;
  }

  #sealOpenBlock(): void {
    if (this.#open === null) return;
    this.#memory[this.#memory.length - 1] = this.#open.block.subarray(0, this.#open.used);
    this.#open = null;
  }
}

/** A nameless file of blocks, each AES-256-GCM under a key of this file with its number as nonce. */
class SpillFile {
  readonly #directory: string;
  readonly #key = randomBytes(32);
  #handle: FileHandle | null = null;
  #block = Buffer.allocUnsafe(SPOOL_BLOCK_OCTETS);
  #used = 0;
  #blocks = 0;
  #lastOctets = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  take(chunk: Buffer): Promise<void> | null {
    if (chunk.length <= SPOOL_BLOCK_OCTETS - this.#used) {
      this.#used += chunk.copy(this.#block, this.#used);
      return null;
    }
    return this.#takeAcross(chunk);
  }

  async #takeAcross(chunk: Buffer): Promise<void> {
    for (let from = 0; from < chunk.length; ) {
      if (this.#used === SPOOL_BLOCK_OCTETS) await this.#write();
      const copied = chunk.copy(this.#block, this.#used, from);
      this.#used += copied;
      from += copied;
    }
  }

  async end(): Promise<void> {
    this.#lastOctets = this.#used;
    await this.#write();
  }

  async *chunks(): AsyncGenerator<Buffer> {
    for (let index = 0; index < this.#blocks; index++) yield await this.#read(index);
  }

  async close(): Promise<void> {
    this.#key.fill(0);
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  async #write(): Promise<void> {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(this.#blocks));
    const clear = this.#block.subarray(0, this.#used);
    const sealed = Buffer.concat([cipher.update(clear), cipher.final(), cipher.getAuthTag()]);
    try {
      this.#handle ??= await openNameless(this.#directory);
      const { bytesWritten } = await this.#handle.write(
        sealed,
        0,
        sealed.length,
        this.#blocks * SEALED_BLOCK_OCTETS,
      );
      if (bytesWritten !== sealed.length) throw new Error('short write');
    } catch (cause) {
      throw new UnavailableError('disk-full', 'There is no room to receive this message now', cause);
    }
    this.#blocks++;
    this.#used = 0;
  }

  async #read(index: number): Promise<Buffer> {
    const clearOctets = index === this.#blocks - 1 ? this.#lastOctets : SPOOL_BLOCK_OCTETS;
    const sealed = Buffer.allocUnsafe(clearOctets + TAG_OCTETS);
    const { bytesRead } = await this.#handle!.read(sealed, 0, sealed.length, index * SEALED_BLOCK_OCTETS);
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(index));
      decipher.setAuthTag(sealed.subarray(clearOctets, bytesRead));
      return Buffer.concat([decipher.update(sealed.subarray(0, clearOctets)), decipher.final()]);
    } catch (cause) {
      throw new IntegrityError('seal-broken', 'A temporary file is not what was written', cause);
    }
  }
}

/** Unlinked before its first octet is written: the space goes back when the descriptor does. */
async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, `incoming-${randomBytes(8).toString('hex')}`);
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 8);
  return nonce;
}
