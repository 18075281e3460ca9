/** A client's end of COMPRESS=DEFLATE (RFC 4978), over node:zlib's streams as they are. */
import { Duplex } from 'node:stream';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';

/**
 * @param socket Read and written from now on by what is returned; writing to it besides breaks the stream.
 * @param flush What ends each write: clients use Z_SYNC_FLUSH or Z_PARTIAL_FLUSH.
 */
export function deflated(socket: Duplex, flush: number = constants.Z_SYNC_FLUSH): Duplex {
  const deflate = createDeflateRaw({ flush });
  const inflate = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
  const both = new Duplex({
    read: () => void inflate.resume(),
    write: (chunk: Buffer, _encoding, done) => void deflate.write(chunk, done),
    final: (done) => void deflate.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  inflate.on('data', (chunk: Buffer) => {
    if (!both.push(chunk)) inflate.pause();
  });
  inflate.on('end', () => both.push(null));
  both.on('end', () => both.destroy());
  inflate.on('error', (error) => both.destroy(error));
  socket.on('error', () => {});
  // What came before the end is still to be read.
  socket.on('close', () => inflate.end());
  deflate.pipe(socket);
  socket.pipe(inflate);
  return both;
}
