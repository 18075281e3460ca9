/**
 * A socket within a socket, after COMPRESS=DEFLATE (RFC 4978): what is written goes out as one raw deflate stream, what
 * is read comes from another. It stands where a TLSSocket stands after STARTTLS, and the connection sees no difference.
 *
 * What must stay true: every write ends with a sync flush, so that no reply waits for the next one; what comes in is
 * inflated no faster than it is read, whatever it inflates to; the codec runs on other threads; and a connection that
 * rests holds no deflater. The last is possible because behind a sync flush, at a whole octet, another deflater may go
 * on: all that is lost is what later replies could have referred to.
 */
import { Duplex } from 'node:stream';
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from 'node:zlib';
import {
  IMAP_DEFLATE_LEVEL,
  IMAP_DEFLATE_MEM_LEVEL,
  IMAP_DEFLATE_REST_MS,
  IMAP_DEFLATE_WINDOW_BITS,
  IMAP_INFLATE_CHUNK_OCTETS,
  IMAP_STORED_OCTETS,
} from '../limits.ts';

/** Done with a write, or with an error that ends the stream. */
type Done = (error?: Error | null) => void;

/** RFC 1951 §3.2.6: a last block with nothing in it, so that the client can tell the end from a cut. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

export interface CompressedSocketOptions {
  /** What the client sent before the socket was wrapped, which it should not have (RFC 4978 §3). */
  readonly early: Buffer;
  /** Called once when what comes is not deflate. From then on it is dropped; what is written still goes out. */
  onBroken(): void;
}

export class CompressedSocket extends Duplex {
  readonly #socket: Duplex;
  readonly #inflate: InflateRaw;
  #deflate: DeflateRaw | null = null;
  #restTimer: NodeJS.Timeout | undefined;
  /** The write that waits for the socket to take more. */
  #waiting: Done | null = null;

  /** @param socket The caller has taken its own listeners off it, and leaves it alone from now on. */
  constructor(socket: Duplex, options: CompressedSocketOptions) {
    super({ readableHighWaterMark: IMAP_INFLATE_CHUNK_OCTETS });
    this.#socket = socket;
    // The client chooses the window, up to deflate's 32 KiB; zlib takes that memory as it is used.
    const inflate = createInflateRaw({
      chunkSize: IMAP_INFLATE_CHUNK_OCTETS,
      // A connection may end without a last block.
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    this.#inflate = inflate;
    inflate.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) inflate.pause();
    });
    inflate.on('end', () => {
      this.#dropInput();
      this.push(null);
    });
    inflate.on('error', () => {
      this.#dropInput();
      options.onBroken();
    });
    socket.on('drain', () => this.#drained());
    socket.on('error', () => {});
    socket.on('close', () => this.destroy());
    if (options.early.length > 0) inflate.write(options.early);
    socket.pipe(inflate);
  }

  override _read(): void {
    if (this.#inflate.isPaused()) this.#inflate.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done);
  }

  /** Writes that were corked, or came while another was under way: one flush for all. */
  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#socket.end(LAST_BLOCK, () => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#restTimer);
    this.#inflate.destroy();
    this.#deflate?.destroy();
    this.#socket.destroy();
    done(error);
  }

  #send(octets: Buffer, done: Done): void {
    clearTimeout(this.#restTimer);
    if (this.#deflate === null && octets.length <= IMAP_STORED_OCTETS) {
      this.#socket.write(storedBlock(octets));
      this.#settle(done);
      return;
    }
    this.#deflate ??= this.#newDeflate();
    this.#deflate.write(octets, (error) => {
      if (error) {
        done(error);
        return;
      }
      this.#restTimer = setTimeout(() => this.#rest(), IMAP_DEFLATE_REST_MS);
      this.#settle(done);
    });
  }

  #settle(done: Done): void {
    if (this.#socket.writableNeedDrain) this.#waiting = done;
    else done();
  }

  #drained(): void {
    const done = this.#waiting;
    this.#waiting = null;
    done?.();
  }

  #newDeflate(): DeflateRaw {
    const deflate = createDeflateRaw({
      level: IMAP_DEFLATE_LEVEL,
      windowBits: IMAP_DEFLATE_WINDOW_BITS,
      memLevel: IMAP_DEFLATE_MEM_LEVEL,
      flush: constants.Z_SYNC_FLUSH,
    });
    deflate.on('data', (chunk: Buffer) => this.#socket.write(chunk));
    deflate.on('error', (error) => this.destroy(error));
    return deflate;
  }

  /** Nothing is under way: the timer runs only between writes. */
  #rest(): void {
    this.#deflate?.close();
    this.#deflate = null;
  }

  /** Nothing that comes is wanted any more; but unread it would keep the socket from ever closing. */
  #dropInput(): void {
    this.#socket.unpipe(this.#inflate);
    this.#socket.resume();
  }
}

/** RFC 1951 §3.2.4: the octets as they are, behind their length; begins and ends at a whole octet. */
function storedBlock(octets: Buffer): Buffer {
  const block = Buffer.allocUnsafe(5 + octets.length);
  block[0] = 0;
  block.writeUInt16LE(octets.length, 1);
  block.writeUInt16LE(octets.length ^ 0xffff, 3);
  octets.copy(block, 5);
  return block;
}
