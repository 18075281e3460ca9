/**
 * One folder of many messages: deliver them over several connections while the server's memory is watched, read all
 * back octet for octet, and synchronize the folder with mbsync. Fails when a message is not what was sent, or when
 * memory passes its bound. Run by bench/soak.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { startLetterlock } from '../test/support/letterlock.ts';
import { makeMbsync } from '../test/support/mbsync.ts';
import { makeScratch, removeScratch } from '../test/support/scratch.ts';
import { ImapConnection } from './imap-client.ts';
import { makeMessage } from './messages.ts';
import { proportionalSetSize } from './process-memory.ts';
import { SmtpConnection } from './smtp-client.ts';

const MESSAGE_OCTETS = 20 * 1024;
const SAMPLE_MS = 200;
const MEMORY_BOUND_OCTETS = 300e6;

const { values: options } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    connections: { type: 'string', default: '20' },
  },
});
const messages = Number(options.messages);

const server = await startLetterlock();
const user = server.users[0]!;
let peakOctets = 0;
const watch = setInterval(() => {
  peakOctets = Math.max(peakOctets, proportionalSetSize(server.pid));
}, SAMPLE_MS);
const memory = (): string => `peak PSS so far ${(peakOctets / 1e6).toFixed(0)} MB`;
const scratch = await makeScratch('soak');
try {
  const sent = await timed('delivered', deliver);
  await timed('read back octet for octet', () => readBack(sent));
  clearInterval(watch);
  if (peakOctets > MEMORY_BOUND_OCTETS)
    throw new Error(`${memory()}; the bound is ${MEMORY_BOUND_OCTETS / 1e6} MB.`);

  const mbsync = await makeMbsync(server, user, scratch);
  await timed('synchronized by mbsync', mbsync.run);
  const files = await mbsync.files();
  if (files.length !== messages) throw new Error(`mbsync made ${files.length} files.`);
  await timed('found unchanged by mbsync', mbsync.run);
} finally {
  clearInterval(watch);
  await removeScratch(scratch);
  await server.stop();
}

async function timed<T>(what: string, act: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await act();
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${messages} messages ${what}: ${seconds.toFixed(1)} s, ${(messages / seconds).toFixed(0)}/s, ${memory()}`,
  );
  return result;
}

/** Returns the hashes of what was sent. */
async function deliver(): Promise<Set<string>> {
  const sent = new Set<string>();
  let next = 0;
  await Promise.all(
    Array.from({ length: Number(options.connections) }, async () => {
      const smtp = await SmtpConnection.open(server.ports.mx);
      for (let seed = next++; seed < messages; seed = next++) {
        const message = makeMessage(MESSAGE_OCTETS, seed);
        sent.add(hash(message));
        await smtp.send('sender@sender.test', user.address, message);
      }
      await smtp.close();
    }),
  );
  return sent;
}

/** What was sent ends each message; what stands before it is the trace block. Each message comes once. */
async function readBack(sent: Set<string>): Promise<void> {
  const imap = await ImapConnection.open(server.ports.imaps, 'tls', user);
  await imap.command('SELECT INBOX');
  const pieces: Buffer[] = [];
  let strangers = 0;
  imap.onLiteral = (piece, isLast) => {
    pieces.push(Buffer.from(piece));
    if (!isLast) return;
    const received = Buffer.concat(pieces.splice(0));
    if (!sent.delete(hash(received.subarray(-MESSAGE_OCTETS)))) strangers++;
  };
  const { count } = await imap.command('UID FETCH 1:* BODY.PEEK[]');
  await imap.close();
  if (count !== messages || strangers > 0 || sent.size > 0) {
    throw new Error(
      `Of ${messages} messages ${count} came, ${strangers} not as sent, ${sent.size} were missing.`,
    );
  }
}

function hash(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('base64');
}
