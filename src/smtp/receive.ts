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
export async function receive(stream: SMTPServerDataStream, options: ReceiveOptions): Promise<void> {
  const { spool, newlines } = options;
  const scanner = new NewlineScanner(newlines);
  /** What the client is told once it has sent everything. */
  let failure: unknown = null;
  for await (const chunk of whole(stream)) {
    if (stream.sizeExceeded) {
      failure ??= new RefusedError('too-big', 'The message is too large');
      if (stream.byteLength > spool.sizeOctets + SMTP_SWALLOW_OCTETS) options.onEndless();
    }
    if (failure !== null) continue;
    const kept = scanner.push(chunk);
    if (newlines === 'refuse' && scanner.hasBare) failure = bareNewline();
    else failure = (await spool.take(kept)?.catch((error: unknown) => error)) ?? null;
  }
  const rest = scanner.end();
  if (newlines === 'refuse' && scanner.hasBare) failure ??= bareNewline();
  if (failure !== null) throw failure;
  if (rest !== null) await spool.take(rest);
  await spool.end();
}

/** Iterated and not listened to: a paused stream emits 'end' while its last chunk is still being written. */
async function* whole(stream: SMTPServerDataStream): AsyncGenerator<Buffer> {
  try {
    yield* stream;
  } catch (cause) {
    throw new ProtocolError('The connection ended within the message', 'cut-short', cause);
  }
}

function bareNewline(): RefusedError {
  return new RefusedError('bad-message', 'The message has a CR or LF that is not part of a CRLF');
}
