/**
 * The zstd frames (RFC 8878) that a message is stored in: docs/format.md "Payload". Each frame stands alone, states what
 * it inflates to, and holds at most 256 KiB; so a range of a message is read without what lies before it, and nothing
 * inflates beyond what the digest says. Small or incompressible frames consist of raw blocks and never meet the codec.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { IntegrityError } from '../errors.ts';
import { FRAME_OCTETS, KIB, ZSTD_SYNC_OCTETS } from '../limits.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** RFC 8878 §3.1.1 */
const MAGIC = 0xfd2fb528;
/** RFC 8878 §3.1.1.1.1: single segment; no checksum, no dictionary. The two highest bits are the content size's. */
const DESCRIPTOR = 0x20;
const DESCRIPTOR_MASK = 0x3f;
/** A content size of four octets, which all frames of raw blocks have. */
const RAW_DESCRIPTOR = 0x80 | DESCRIPTOR;
/** Magic, descriptor, and a content size of one, two or four octets. */
const HEAD_OCTETS = [6, 7, 9] as const;
const MIN_HEAD_OCTETS = HEAD_OCTETS[0];
const RAW_HEAD_OCTETS = HEAD_OCTETS[2];
/** RFC 8878 §3.1.1.2 */
const BLOCK_HEAD_OCTETS = 3;
const BLOCK_OCTETS = 128 * KIB;
const BLOCK_RAW = 0;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

const rawBlockCount = (clearOctets: number): number => Math.max(1, Math.ceil(clearOctets / BLOCK_OCTETS));

/** Length of a frame of raw blocks. */
export const rawFrameOctets = (clearOctets: number): number =>
  RAW_HEAD_OCTETS + clearOctets + BLOCK_HEAD_OCTETS * rawBlockCount(clearOctets);

/** No frame is longer: one that would be is stored in raw blocks. */
export const FRAME_SEALED_OCTETS = rawFrameOctets(FRAME_OCTETS);

/** What precedes the octets in a frame of one raw block. */
export const RAW_PREFIX_OCTETS = RAW_HEAD_OCTETS + BLOCK_HEAD_OCTETS;

/** An empty message has one frame, which is empty. */
export const frameCount = (sizeOctets: number): number => Math.max(1, Math.ceil(sizeOctets / FRAME_OCTETS));

/** Clear octets in frame `index` of a message of `sizeOctets`. */
export const frameClearOctets = (sizeOctets: number, index: number): number =>
  Math.min(FRAME_OCTETS, sizeOctets - index * FRAME_OCTETS);

/** The prefix of a frame of one raw block. @param clearOctets At most 128 KiB. */
export function rawPrefix(clearOctets: number): Buffer {
  const prefix = Buffer.allocUnsafe(RAW_PREFIX_OCTETS);
  writeRawHead(prefix, clearOctets);
  writeRawBlockHead(prefix, RAW_HEAD_OCTETS, clearOctets, true);
  return prefix;
}

/** One frame of raw blocks. @param clear At most FRAME_OCTETS. */
export function packRawFrame(clear: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(rawFrameOctets(clear.length));
  writeRawHead(frame, clear.length);
  let at = RAW_HEAD_OCTETS;
  for (let i = 0; i < rawBlockCount(clear.length); i++) {
    const block = clear.subarray(i * BLOCK_OCTETS, (i + 1) * BLOCK_OCTETS);
    writeRawBlockHead(frame, at, block.length, (i + 1) * BLOCK_OCTETS >= clear.length);
    frame.set(block, at + BLOCK_HEAD_OCTETS);
    at += BLOCK_HEAD_OCTETS + block.length;
  }
  return frame;
}

/** One frame of a large message: compressed, off the loop, unless that saves less than a sixteenth. */
export async function packFrame(clear: Uint8Array): Promise<Buffer> {
  const compressed = await compress(clear, {
    pledgedSrcSize: clear.length, // makes zstd state the content size
    chunkSize: clear.length + KIB, // one step: the default of 16 KiB makes a thread's trip for each
  });
  return compressed.length > clear.length - clear.length / 16 ? packRawFrame(clear) : compressed;
}

/**
 * @param clearOctets What the frame must hold, at most FRAME_OCTETS.
 * @returns the clear octets; of a frame of one raw block they share the frame's memory.
 * @throws IntegrityError 'seal-broken' when it is not one whole frame that holds exactly that. Then at most
 *   `clearOctets` were inflated.
 */
export async function unpackFrame(frame: Buffer, clearOctets: number): Promise<Buffer> {
  const blocks = checkFrame(frame, clearOctets);
  if (isRaw(blocks)) return joinRaw(frame, blocks);
  if (clearOctets <= ZSTD_SYNC_OCTETS) return inflateSync(frame, clearOctets);
  return exactly(await decompress(frame, decompressOptions(clearOctets)).catch(refuse), clearOctets);
}

/** The same at once; for frames that are raw or small. */
export function unpackFrameSync(frame: Buffer, clearOctets: number): Buffer {
  const blocks = checkFrame(frame, clearOctets);
  return isRaw(blocks) ? joinRaw(frame, blocks) : inflateSync(frame, clearOctets);
}

/**
 * Finds the frame that `octets` begins with.
 * @returns its length and what it says it holds, or null when more octets are needed to tell.
 * @throws IntegrityError 'seal-broken' when it is no frame of ours.
 */
export function measureFrame(octets: Buffer): { frameOctets: number; clearOctets: number } | null {
  const layout = readLayout(octets);
  return layout === null ? null : { frameOctets: layout.frameOctets, clearOctets: layout.clearOctets };
}

interface Block {
  readonly type: number;
  readonly start: number;
  readonly octets: number;
}

interface Layout {
  readonly frameOctets: number;
  readonly clearOctets: number;
  readonly blocks: readonly Block[];
}

function joinRaw(frame: Buffer, blocks: readonly Block[]): Buffer {
  const parts = blocks.map(({ start, octets }) => frame.subarray(start, start + octets));
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function inflateSync(frame: Buffer, clearOctets: number): Buffer {
  try {
    return exactly(zstdDecompressSync(frame, decompressOptions(clearOctets)), clearOctets);
  } catch (cause) {
    return refuse(cause);
  }
}

const isRaw = (blocks: readonly Block[]): boolean => blocks.every(({ type }) => type === BLOCK_RAW);

function checkFrame(frame: Buffer, clearOctets: number): readonly Block[] {
  const layout = readLayout(frame);
  if (layout === null || layout.frameOctets !== frame.length) throw broken('has a wrong length');
  if (layout.clearOctets !== clearOctets) throw broken('holds another number of octets than it should');
  if (isRaw(layout.blocks) && layout.blocks.reduce((sum, { octets }) => sum + octets, 0) !== clearOctets) {
    throw broken('holds another number of octets than it says');
  }
  return layout.blocks;
}

/** Walks the headers of frame and blocks, RFC 8878 §3.1.1. @returns null when `octets` ends before the frame does. */
function readLayout(octets: Buffer): Layout | null {
  if (octets.length < MIN_HEAD_OCTETS) return null;
  const descriptor = octets[4]!;
  if (octets.readUInt32LE(0) !== MAGIC || (descriptor & DESCRIPTOR_MASK) !== DESCRIPTOR) {
    throw broken('is of a kind that is not stored');
  }
  const head = readContentSize(octets, descriptor >>> 6);
  if (head === null) return null;
  if (head.clearOctets > FRAME_OCTETS) throw broken('holds more than a frame may');
  const blocks: Block[] = [];
  let at = head.headOctets;
  for (let isLast = false; !isLast; ) {
    if (at > FRAME_SEALED_OCTETS) throw broken('is longer than a frame may be');
    if (at + BLOCK_HEAD_OCTETS > octets.length) return null;
    const blockHead = octets.readUIntLE(at, BLOCK_HEAD_OCTETS);
    const type = (blockHead >>> 1) & 3;
    const size = blockHead >>> 3;
    if (type === BLOCK_RESERVED || size > BLOCK_OCTETS) throw broken('has a malformed block');
    const stored = type === BLOCK_RLE ? 1 : size;
    blocks.push({ type, start: at + BLOCK_HEAD_OCTETS, octets: stored });
    at += BLOCK_HEAD_OCTETS + stored;
    isLast = (blockHead & 1) === 1;
  }
  return at > octets.length ? null : { frameOctets: at, clearOctets: head.clearOctets, blocks };
}

/** RFC 8878 §3.1.1.1.4. @param flag The descriptor's two highest bits. @returns null when octets are wanting. */
function readContentSize(octets: Buffer, flag: number): { clearOctets: number; headOctets: number } | null {
  if (flag === 3) throw broken('holds more than a frame may'); // eight octets
  const headOctets = HEAD_OCTETS[flag]!;
  if (octets.length < headOctets) return null;
  if (flag === 0) return { clearOctets: octets.readUInt8(5), headOctets };
  if (flag === 1) return { clearOctets: octets.readUInt16LE(5) + 256, headOctets };
  return { clearOctets: octets.readUInt32LE(5), headOctets };
}

function writeRawHead(target: Buffer, clearOctets: number): void {
  target.writeUInt32LE(MAGIC, 0);
  target[4] = RAW_DESCRIPTOR;
  target.writeUInt32LE(clearOctets, 5);
}

function writeRawBlockHead(target: Buffer, at: number, octets: number, isLast: boolean): void {
  target.writeUIntLE((octets << 3) | (BLOCK_RAW << 1) | (isLast ? 1 : 0), at, BLOCK_HEAD_OCTETS);
}

/** The output's room is one step's; what would go beyond it is an error before it is memory. */
const decompressOptions = (clearOctets: number) => ({
  maxOutputLength: Math.max(1, clearOctets),
  chunkSize: clearOctets + KIB,
  params: { [constants.ZSTD_d_windowLogMax]: Math.log2(FRAME_OCTETS) },
});

function exactly(clear: Buffer, clearOctets: number): Buffer {
  if (clear.length !== clearOctets) throw broken('holds another number of octets than it says');
  return clear;
}

function refuse(cause: unknown): never {
  if (cause instanceof IntegrityError) throw cause;
  throw broken('does not inflate', cause);
}

const broken = (what: string, cause?: unknown): IntegrityError =>
  new IntegrityError('seal-broken', `A frame of a sealed body ${what}.`, cause);
