/** Whole small inputs: a password, a file of users. */
import type { Readable } from 'node:stream';
import { FailedError } from './command.ts';

/** @throws FailedError when there are more octets, or they are not UTF-8. `what` begins the sentence. */
export async function readAll(stream: Readable, mostOctets: number, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk));
    octets += chunks.at(-1)!.length;
    if (octets > mostOctets) throw new FailedError(`${what} has more than ${mostOctets} octets.`);
  }
  try {
    // ignoreBOM false: a byte order mark is dropped.
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new FailedError(`${what} is not UTF-8.`);
  }
}
