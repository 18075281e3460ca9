/** Lines of a stream of octets, each of bounded length. */
import type { Readable } from 'node:stream';
import { ProtocolError } from '../errors.ts';

const LF = 0x0a;

export interface LineOptions {
  /** The stream goes on after the reader has left; by default leaving destroys it. */
  readonly keepsStream?: boolean;
}

/**
 * Yields each line without its LF, as UTF-8. What follows the last LF is no line: it was cut off.
 * @param mostOctets Of one line.
 * @throws ProtocolError when a line is longer, or is not UTF-8.
 */
export async function* readLines(
  stream: Readable,
  mostOctets: number,
  { keepsStream = false }: LineOptions = {},
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let held: Buffer[] = [];
  let heldOctets = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: !keepsStream }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
      checkLength(heldOctets + end - from, mostOctets);
      yield decode(decoder, Buffer.concat([...held, chunk.subarray(from, end)]));
      held = [];
      heldOctets = 0;
      from = end + 1;
    }
    if (from === chunk.length) continue;
    held.push(chunk.subarray(from));
    heldOctets += chunk.length - from;
    checkLength(heldOctets, mostOctets);
  }
}

function checkLength(octets: number, mostOctets: number): void {
  if (octets > mostOctets) throw new ProtocolError(`A line has at most ${mostOctets} octets.`);
}

function decode(decoder: TextDecoder, octets: Uint8Array): string {
  try {
    return decoder.decode(octets);
  } catch (error) {
    throw new ProtocolError('A line is not UTF-8.', 'syntax', error);
  }
}
