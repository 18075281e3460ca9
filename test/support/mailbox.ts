/** What a user sees in a mailbox, read by imapflow over TLS: the other end of tests that deliver. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ImapFlow, type ImapFlowOptions } from 'imapflow';
import type { Letterlock, LetterlockUser } from './letterlock.ts';

/** Mail is in its mailbox when SMTP says 250; a relay in between takes a moment. */
const ARRIVAL_DEADLINE_MS = 15_000;

/** Logs in over implicit TLS. The caller logs out. */
export async function openMailbox(
  server: Letterlock,
  user: LetterlockUser,
  options: Pick<ImapFlowOptions, 'qresync' | 'logger'> = {},
): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: server.host,
    port: server.ports.imaps,
    secure: true,
    auth: { user: user.address, pass: user.password },
    tls: { ca: readFileSync(server.ca) },
    logger: false,
    ...options,
  });
  await client.connect();
  return client;
}

/** The octets of every message in a folder, oldest first, with \Seen left alone. */
export async function messagesIn(client: ImapFlow, folder = 'INBOX'): Promise<Buffer[]> {
  const lock = await client.getMailboxLock(folder);
  try {
    if (client.mailbox === false || client.mailbox.exists === 0) return [];
    const sources: Buffer[] = [];
    for await (const { source } of client.fetch('1:*', { source: true })) sources.push(source!);
    return sources;
  } finally {
    lock.release();
  }
}

/** How many messages a folder holds, what other sessions did to a selected one included. */
export async function countIn(client: ImapFlow, folder: string): Promise<number> {
  await client.noop();
  const status = await client.status(folder, { messages: true });
  assert.ok(status && status.messages !== undefined);
  return status.messages;
}

/**
 * Waits until INBOX holds `count` messages.
 * @throws AssertionError when it does not within 15 s.
 */
export async function receiveMessages(
  server: Letterlock,
  user: LetterlockUser,
  count: number,
): Promise<Buffer[]> {
  const client = await openMailbox(server, user);
  try {
    const deadline = performance.now() + ARRIVAL_DEADLINE_MS;
    let messages: number;
    do {
      messages = await countIn(client, 'INBOX');
      if (messages === count) return await messagesIn(client);
    } while (performance.now() < deadline);
    assert.fail(`INBOX holds ${messages} messages, not ${count}.`);
  } finally {
    await client.logout();
  }
}

/**
 * Waits until INBOX holds a message with this text in it.
 * @throws AssertionError when it does not within 15 s.
 */
export async function receiveMessage(
  server: Letterlock,
  user: LetterlockUser,
  text: string,
): Promise<Buffer> {
  const client = await openMailbox(server, user);
  try {
    const deadline = performance.now() + ARRIVAL_DEADLINE_MS;
    while (performance.now() < deadline) {
      await client.noop();
      const found = (await messagesIn(client)).find((message) => message.includes(text));
      if (found !== undefined) return found;
    }
    assert.fail('The message did not arrive.');
  } finally {
    await client.logout();
  }
}

/** Asserts that `received` is `sent` with a block of header lines before it, and returns that block. */
export function traceBlockOf(received: Buffer, sent: string | Uint8Array): string {
  const octets = Buffer.from(sent);
  const cut = received.length - octets.length;
  assert.ok(cut >= 0 && received.subarray(cut).equals(octets), 'the octets that were sent end the message');
  const block = received.subarray(0, cut).toString('latin1');
  assert.match(block, /^(?:[!-9;-~]+:.*\r\n(?:[ \t].*\r\n)*)*$/, 'what was prepended are whole header lines');
  return block;
}
