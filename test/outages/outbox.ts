/** Messages sent by SMTP and LMTP, and what each user must have of them in the end: each once, octet for octet. */
import assert from 'node:assert/strict';
import { parseFetched } from '../durability/read-folders.ts';
import type { Letterlock, LetterlockUser } from '../support/letterlock.ts';
import { traceBlockOf } from '../support/mailbox.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';

const CONNECTIONS = 8;
/** Of each message: most mail is some kilobytes. */
const LINES = 40;

export class Outbox {
  /** By address of a user: token to message. */
  readonly #owed = new Map<string, Map<string, string>>();
  #last = 0;

  /**
   * Sends `count` messages over several connections at a time, to each user, to the group, by mx and by lmtp in turn.
   * @throws Error when one is not answered 250.
   */
  async send(server: Letterlock, count: number): Promise<void> {
    let left = count;
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async (_, index) => {
        const client =
          index % 2 === 0
            ? await RawSmtp.connect(server.ports.mx)
            : await RawSmtp.connect(server.ports.lmtp, 'LHLO relay.test');
        while (left-- > 0) await this.#sendOne(server, client);
        client.destroy();
      }),
    );
  }

  async #sendOne({ users, group }: Letterlock, client: RawSmtp): Promise<void> {
    const token = `t${++this.#last}`;
    const lines = Array.from({ length: LINES }, (_, line) => `${token} line ${line} of this message\r\n`);
    const message = `X-Token: ${token}\r\nSubject: ${token}\r\n\r\n${lines.join('')}`;
    const addresses = users.map(({ address }) => address);
    const to = [...addresses, group][this.#last % (addresses.length + 1)]!;
    await client.send('sender@elsewhere.test', [to], message);
    for (const address of to === group ? addresses : [to]) {
      const owed = this.#owed.get(address) ?? new Map<string, string>();
      this.#owed.set(address, owed.set(token, message));
    }
  }

  /** Reads the user's INBOX and compares. @throws AssertionError */
  async checkInbox({ ports }: Letterlock, user: LetterlockUser): Promise<void> {
    const owed = this.#owed.get(user.address) ?? new Map<string, string>();
    const imap = await RawImap.login(ports.imap, user);
    await imap.ok('EXAMINE INBOX');
    const { untagged } = await imap.ok('UID FETCH 1:* (UID BODY.PEEK[])');
    imap.destroy();
    const seen = new Set<string>();
    for (const { octets } of parseFetched(untagged)) {
      const token = /^X-Token: (.*)\r$/m.exec(octets!)![1]!;
      assert.ok(!seen.has(token), `${token} is there twice`);
      seen.add(token);
      traceBlockOf(Buffer.from(octets!, 'latin1'), owed.get(token)!);
    }
    assert.equal(seen.size, owed.size, `${user.address} has every message that was acknowledged`);
  }
}
