/**
 * Seals one message while its digest is made, in one pass: what delivery and APPEND have in common. Changes nothing of
 * the octets. Large bodies go to spool/<message id>, on stable storage before the store hears of them (docs/format.md,
 * "Accept journal").
 */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { UnavailableError } from '../errors.ts';
import { type MessageId, newMessageId } from '../ids.ts';
import { FRAME_OCTETS } from '../limits.ts';
import { encodeDigest } from '../message/digest.ts';
import { DigestBuilder } from '../message/digest-builder.ts';
import { type BodySpool, MessageSealer, type SealedMessage } from '../seal/sealed-message.ts';

export interface SealOptions {
  /** `spool` of the data directory (docs/format.md). */
  readonly spoolDirectory: string;
}

/**
 * @param source The message's octets. A stream's chunks should be small (64 KiB): each is digested in one go.
 * @returns The sealed message. The caller hands it to the store and then calls `forget`, or `discardSealed` when the
 *   store did not take it.
 * @throws UnavailableError 'disk-full'; whatever the source throws. Nothing is left behind then.
 */
export async function sealMessage(
  source: Buffer | AsyncIterable<Buffer>,
  options: SealOptions,
): Promise<SealedMessage> {
  const id = newMessageId();
  const file = new SealedBodyFile(options.spoolDirectory, id);
  const sealer = new MessageSealer({ id, spool: file });
  const digest = new DigestBuilder();
  try {
    if (Buffer.isBuffer(source) && source.length <= FRAME_OCTETS) {
      digest.push(source);
      await sealer.push(source);
    } else {
      for await (const chunk of Buffer.isBuffer(source) ? slices(source) : source) {
        digest.push(chunk);
        await sealer.push(chunk);
      }
    }
    const frames = await sealer.end();
    await file.sync();
    return sealer.finish(encodeDigest(digest.end(frames)));
  } catch (error) {
    sealer.forget();
    await file.remove();
    throw error;
  }
}

/** Forgets a sealed message that no mailbox took, and removes its body's file. */
export async function discardSealed(message: SealedMessage): Promise<void> {
  message.forget();
  if (message.body.kind === 'file') await removeIfThere(message.body.path);
}

function* slices(octets: Buffer): Generator<Buffer> {
  for (let at = 0; at < octets.length; at += FRAME_OCTETS) yield octets.subarray(at, at + FRAME_OCTETS);
}

/** Sealed octets on their way to the store; makes its file with the first write. */
class SealedBodyFile implements BodySpool {
  readonly path: string;
  readonly #directory: string;
  #handle: FileHandle | null = null;

  constructor(directory: string, id: MessageId) {
    this.#directory = directory;
    this.path = join(directory, id);
  }

  async write(octets: Buffer): Promise<void> {
    try {
      this.#handle ??= await open(this.path, 'wx', 0o600);
      for (let at = 0; at < octets.length; ) {
        at += (await this.#handle.write(octets, at)).bytesWritten;
      }
    } catch (cause) {
      throw noRoom(cause);
    }
  }

  /** File, then directory: the name must be as durable as the octets. A failed sync is not tried again. */
  async sync(): Promise<void> {
    const handle = this.#handle;
    if (handle === null) return;
    try {
      await handle.sync();
      await this.#close();
      const directory = await open(this.#directory);
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (cause) {
      throw noRoom(cause);
    }
  }

  async remove(): Promise<void> {
    if (this.#handle !== null) await this.#close();
    await removeIfThere(this.path);
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function noRoom(cause: unknown): UnavailableError {
  return new UnavailableError('disk-full', 'There is no room to store this message now', cause);
}
