/** From DATA's stream to a spool. What is refused is read to its end all the same: SMTP has no other way to answer. */
import type { SMTPServerDataStream } from 'smtp-server';
import { type NewlineMode, NewlineScanner } from '../delivery/newlines.ts';
import type { Spool } from '../delivery/spool.ts';
import { ProtocolError, RefusedError } from '../errors.ts';
import { SMTP_SWALLOW_OCTETS } from '../limits.ts';

export interface ReceiveOptions {
  readonly spool: Spool;
  readonly newlines: NewlineMode;
  /** Called when a refused message does not end; the connection is then to be dropped. */
  readonly onEndless: () => void;
}

/**
 * Resolves when the message ended and the spool has all of it.
 * @throws RefusedError 'too-big' or 'bad-message' (bare CR or LF), UnavailableError 'disk-full', ProtocolError 'cut-short' (the
 *   client left in the middle). The spool stays the caller's to close.
 */
export function receive(stream: SMTPServerDataStream, options: ReceiveOptions): Promise<void> {
  const { spool } = options;
  const scanner = new NewlineScanner(options.newlines);
  let failure: Error | null = null;
  let isComplete = false;
  const fail = (error: Error) => {
    failure ??= error;
    stream.resume();
  };
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      if (stream.sizeExceeded) {
        fail(new RefusedError('too-big', 'The message is too large'));
        if (stream.byteLength > spool.sizeOctets + SMTP_SWALLOW_OCTETS) options.onEndless();
      }
      if (failure !== null) return;
      const kept = scanner.push(chunk);
      if (options.newlines === 'refuse' && scanner.hasBare) return fail(bareNewline());
      const wait = spool.take(kept);
      if (wait === null) return;
      stream.pause();
      wait.then(() => stream.resume(), fail);
    });
    stream.on('end', () => {
      isComplete = true;
      const rest = scanner.end();
      if (options.newlines === 'refuse' && scanner.hasBare) failure ??= bareNewline();
      if (failure !== null) reject(failure);
      else if (rest === null) spool.end().then(resolve, reject);
      else finish(spool, rest).then(resolve, reject);
    });
    const left = () => {
      if (!isComplete) reject(new ProtocolError('The connection ended within the message', 'cut-short'));
    };
    stream.on('error', left);
    stream.on('close', left);
  });
}

function bareNewline(): RefusedError {
  return new RefusedError('bad-message', 'The message has a CR or LF that is not part of a CRLF');
}

async function finish(spool: Spool, rest: Buffer): Promise<void> {
  await spool.take(rest);
  await spool.end();
}
