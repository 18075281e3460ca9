/**
 * The body of a message: zstd frames (frames.ts) in age's payload (stream.ts). docs/format.md "A message". One body serves
 * all recipients of a delivery; the digest lists the sealed length of each frame.
 */
import { FRAME_OCTETS, KIB, RAW_MESSAGE_OCTETS } from '../limits.ts';
import {
  FRAME_SEALED_OCTETS,
  frameClearOctets,
  frameCount,
  measureFrame,
  packFrame,
  RAW_PREFIX_OCTETS,
  rawPrefix,
  unpackFrame,
  unpackFrameSync,
} from './frames.ts';
import {
  brokenStream,
  CHUNK_OCTETS,
  chunkCount,
  clearStreamOctets,
  PAYLOAD_NONCE_OCTETS,
  PayloadCipher,
  SEALED_CHUNK_OCTETS,
  StreamSealer,
  sealedStreamOctets,
} from './stream.ts';
import { type BodySource, StreamReader } from './stream-reader.ts';

export type { BodySource } from './stream-reader.ts';

/**
 * Seals a small message in one step, without the codec.
 * @param clear At most RAW_MESSAGE_OCTETS.
 * @returns the body, which the caller owns, and its frame table.
 */
export const sealSmallBody = (fileKey: Uint8Array, clear: Uint8Array): { body: Buffer; frames: number[] } =>
  sealSmall(new PayloadCipher(fileKey), clear);

function sealSmall(cipher: PayloadCipher, clear: Uint8Array): { body: Buffer; frames: number[] } {
  if (clear.length > RAW_MESSAGE_OCTETS) throw new RangeError('The message is not small.');
  const frameOctets = RAW_PREFIX_OCTETS + clear.length;
  const body = Buffer.allocUnsafe(sealedStreamOctets(frameOctets));
  body.set(cipher.nonce);
  const inFirst = CHUNK_OCTETS - RAW_PREFIX_OCTETS;
  const hasSecond = clear.length > inFirst;
  const first = [rawPrefix(clear.length), hasSecond ? clear.subarray(0, inFirst) : clear];
  const at = cipher.sealInto(body, PAYLOAD_NONCE_OCTETS, 0, !hasSecond, first);
  if (hasSecond) cipher.sealInto(body, at, 1, true, [clear.subarray(inFirst)]);
  return { body, frames: [frameOctets] };
}

/**
 * Opens a body whose octets are at hand, in one step.
 * @param sizeOctets The message's size, at most RAW_MESSAGE_OCTETS; it and `frames` are the digest's.
 * @returns the message; the caller owns it.
 * @throws IntegrityError 'seal-broken'.
 */
export function openSmallBody(
  fileKey: Uint8Array,
  body: Uint8Array,
  frames: readonly number[],
  sizeOctets: number,
): Buffer {
  if (sizeOctets > RAW_MESSAGE_OCTETS) throw new RangeError('The message is not small.');
  checkSizes(body.length, frames, sizeOctets);
  const cipher = new PayloadCipher(fileKey, body.subarray(0, PAYLOAD_NONCE_OCTETS));
  const last = chunkCount(frames[0]!) - 1;
  const chunks: Buffer[] = [];
  for (let index = 0; index <= last; index++) {
    const at = PAYLOAD_NONCE_OCTETS + index * SEALED_CHUNK_OCTETS;
    chunks.push(cipher.open(index, index === last, body.subarray(at, at + SEALED_CHUNK_OCTETS)));
  }
  return unpackFrameSync(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks), sizeOctets);
}

/**
 * Seals a message of any size as it arrives. Holds one frame, one chunk, and what the emitter has not taken yet.
 * Calls must not overlap: await each before the next.
 */
export class BodySealer {
  /** Made at once: the file key may be zeroed while a frame is on its way, and nothing may be sealed under zeros. */
  readonly #cipher: PayloadCipher;
  readonly #emit: (octets: Buffer) => void | Promise<void>;
  readonly #frames: number[] = [];
  #stream: StreamSealer | null = null;
  /** The frame being filled; grows with the message, up to a whole frame. */
  #frame = Buffer.alloc(0);
  #heldOctets = 0;
  #sizeOctets = 0;

  /** @param emit Takes the body's octets in order, and owns them; it may make the sealer wait. */
  constructor(fileKey: Uint8Array, emit: (octets: Buffer) => void | Promise<void>) {
    this.#cipher = new PayloadCipher(fileKey);
    this.#emit = emit;
  }

  /** Clear octets pushed so far. */
  get sizeOctets(): number {
    return this.#sizeOctets;
  }

  /** Keeps no reference to `clear` once it resolved. @throws what the emitter throws. */
  async push(clear: Uint8Array): Promise<void> {
    for (let at = 0; at < clear.length; ) {
      if (this.#heldOctets === FRAME_OCTETS) await this.#sealFrame();
      const taken = clear.subarray(at, at + FRAME_OCTETS - this.#heldOctets);
      this.#hold(taken);
      at += taken.length;
    }
  }

  /** Seals what is held. @returns the frame table. Nothing may be pushed afterwards. */
  async end(): Promise<number[]> {
    if (this.#sizeOctets <= RAW_MESSAGE_OCTETS) {
      const { body, frames } = sealSmall(this.#cipher, this.#frame.subarray(0, this.#heldOctets));
      this.#frame.fill(0);
      await this.#emit(body);
      return frames;
    }
    await this.#sealFrame();
    this.#frame.fill(0);
    for (const octets of this.#stream!.end()) await this.#emit(octets);
    return this.#frames;
  }

  #hold(clear: Uint8Array): void {
    const needed = this.#heldOctets + clear.length;
    if (needed > this.#frame.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(FRAME_OCTETS, Math.max(needed, 2 * this.#frame.length, 4 * KIB)),
      );
      this.#frame.copy(grown, 0, 0, this.#heldOctets);
      this.#frame.fill(0);
      this.#frame = grown;
    }
    this.#frame.set(clear, this.#heldOctets);
    this.#heldOctets = needed;
    this.#sizeOctets += clear.length;
  }

  async #sealFrame(): Promise<void> {
    this.#stream ??= new StreamSealer(this.#cipher);
    const frame = await packFrame(this.#frame.subarray(0, this.#heldOctets));
    this.#heldOctets = 0;
    this.#frames.push(frame.length);
    for (const octets of this.#stream.push(frame)) await this.#emit(octets);
  }
}

/**
 * Opens clear octets [start, end) of a message, frame by frame; the two are cut to the message's size.
 * @param sizeOctets The message's size; it and `frames` are the digest's.
 * @returns buffers that the caller owns, none empty.
 * @throws IntegrityError 'seal-broken': before the first buffer when the body has another length than the digest says or
 *   its final chunk does not open, and at the frame that does not open. Also whatever the source throws.
 */
export async function* openBodyRange(
  fileKey: Uint8Array,
  frames: readonly number[],
  sizeOctets: number,
  source: BodySource,
  start = 0,
  end = sizeOctets,
): AsyncGenerator<Buffer, void, undefined> {
  checkSizes(source.sizeOctets, frames, sizeOctets);
  const reader = await StreamReader.open(fileKey, source);
  const rangeStart = Math.max(0, start);
  const rangeEnd = Math.min(end, sizeOctets);
  let frameStart = 0;
  for (const [index, frameOctets] of frames.entries()) {
    const clearStart = index * FRAME_OCTETS;
    const clearOctets = frameClearOctets(sizeOctets, index);
    const from = Math.max(rangeStart - clearStart, 0);
    const to = Math.min(rangeEnd - clearStart, clearOctets);
    if (clearStart >= rangeEnd) return;
    if (from < to) {
      const frame = await reader.read(frameStart, frameStart + frameOctets);
      const clear = await unpackFrame(frame, clearOctets);
      yield clear.subarray(from, to);
    }
    frameStart += frameOctets;
  }
}

/**
 * Opens a whole body without its digest, from the first frame on: for checks, and to derive a digest anew.
 * @returns each frame's clear octets, which the caller owns, and its length in the body.
 * @throws IntegrityError 'seal-broken' as openBodyRange does. Without a digest, nothing tells that this is the body that
 *   was delivered under this id; only that it was sealed under this file key.
 */
export async function* openBodySequential(
  fileKey: Uint8Array,
  source: BodySource,
): AsyncGenerator<{ clear: Buffer; frameOctets: number }, void, undefined> {
  const reader = await StreamReader.open(fileKey, source);
  let at = 0;
  let lastOctets = FRAME_OCTETS;
  do {
    // Any frame but the last is full, or ranges would be looked for in the wrong frame.
    if (lastOctets !== FRAME_OCTETS) throw brokenStream('has a frame after its last');
    const { frame, clearOctets } = await nextFrame(reader, at);
    if (clearOctets === 0 && at > 0) throw brokenStream('has an empty frame');
    yield { clear: await unpackFrame(frame, clearOctets), frameOctets: frame.length };
    at += frame.length;
    lastOctets = clearOctets;
  } while (at < reader.sizeOctets);
}

/** Takes more and more of the payload, chunk by chunk, until the frame's end is seen. */
async function nextFrame(reader: StreamReader, at: number): Promise<{ frame: Buffer; clearOctets: number }> {
  const limit = Math.min(at + FRAME_SEALED_OCTETS, reader.sizeOctets);
  let held = Buffer.alloc(0);
  for (let end = at; end < limit; ) {
    const next = Math.min(limit, (Math.floor(end / CHUNK_OCTETS) + 1) * CHUNK_OCTETS);
    held = Buffer.concat([held, await reader.read(end, next)]);
    end = next;
    const measured = measureFrame(held);
    if (measured !== null) {
      return { frame: held.subarray(0, measured.frameOctets), clearOctets: measured.clearOctets };
    }
  }
  throw brokenStream('ends within a frame');
}

/** The digest's numbers must fit each other and the body that lies there: a cut or exchanged body is seen here. */
function checkSizes(bodyOctets: number, frames: readonly number[], sizeOctets: number): void {
  const areFrames = frames.every(
    (octets) => Number.isInteger(octets) && octets > 0 && octets <= FRAME_SEALED_OCTETS,
  );
  if (frames.length !== frameCount(sizeOctets) || !areFrames) {
    throw brokenStream('has an impossible frame table');
  }
  const payloadOctets = frames.reduce((sum, octets) => sum + octets, 0);
  if (clearStreamOctets(bodyOctets) !== payloadOctets) throw brokenStream('has a wrong length');
}
