/** Random work over SMTP, LMTP and IMAP that goes on until the server is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionLost } from '../support/line-socket.ts';
import { appendCommand, type ImapAnswer, RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import type { Deliveries } from './deliveries.ts';
import {
  adding,
  type Change,
  copying,
  flagging,
  flagText,
  moving,
  removing,
  unknownUids,
} from './folder-state.ts';
import type { Random } from './random.ts';
import { parseFetched } from './read-folders.ts';
import type { Territory } from './territory.ts';

const FLAGS = ['\\Seen', '\\Answered', '\\Flagged', '\\Draft', 'work', 'later', 'Project-X'];
/** So that 50 rounds leave thousands of messages, not tens of thousands: what is checked is order, not speed. */
const DELIVERY_PAUSE_MS = 5;
/** Above 1 MiB a body is a file of its own on its way through spool/. */
const LARGE_OCTETS = 1_200_000;

/** Tokens that no two messages of a run share. */
export class Tokens {
  #last = 0;

  next(kind: string): string {
    return `${kind}-${++this.#last}`;
  }
}

export function messageWith(token: string, random: Random): string {
  const size = random.chance(0.02) ? LARGE_OCTETS : random.chance(0.1) ? 100_000 : random.integer(10, 4000);
  return `X-Token: ${token}\r\nFrom: <sender@elsewhere.test>\r\nSubject: ${token}\r\n\r\n${random.lines(size)}`;
}

/** Runs until the connection is lost, as it is when the server is killed. @throws whatever else goes wrong */
async function untilLost(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
  }
}

/**
 * Delivers one message after the other.
 * @param recipients What to write in RCPT, and the users that it stands for.
 */
export const deliverUntilLost = (
  { port, greeting }: { readonly port: number; readonly greeting: string },
  recipients: readonly { readonly to: readonly string[]; readonly users: readonly string[] }[],
  { random, deliveries, tokens }: { random: Random; deliveries: Deliveries; tokens: Tokens },
): Promise<void> =>
  untilLost(async () => {
    const client = await RawSmtp.connect(port, greeting);
    for (;;) {
      const { to, users } = random.pick(recipients);
      const token = tokens.next('delivered');
      const message = messageWith(token, random);
      deliveries.begin(token, users, message);
      await client.send('sender@elsewhere.test', to, message);
      deliveries.acknowledge(token);
      await sleep(random.integer(0, 2 * DELIVERY_PAUSE_MS));
    }
  });

/** Works in the folders of a territory: the first of them takes appends, and messages go from any to any. */
export class ImapWorker {
  readonly #territory: Territory;
  readonly #random: Random;
  readonly #tokens: Tokens;
  readonly #appended: (token: string, message: string) => void;
  #imap!: RawImap;
  #selected = '';

  constructor(
    territory: Territory,
    {
      random,
      tokens,
      appended,
    }: { random: Random; tokens: Tokens; appended: (token: string, message: string) => void },
  ) {
    this.#territory = territory;
    this.#random = random;
    this.#tokens = tokens;
    this.#appended = appended;
  }

  runUntilLost(port: number, password: string): Promise<void> {
    return untilLost(async () => {
      this.#imap = await RawImap.login(port, { address: this.#territory.address, password });
      await this.#imap.ok('ENABLE CONDSTORE');
      for (;;) await this.#step();
    });
  }

  async #step(): Promise<void> {
    const { folders, state } = this.#territory;
    const folder = this.#random.pick(folders);
    const uids = [...state.get(folder)!.keys()];
    if (folder === 'INBOX' && this.#random.chance(0.5)) return this.#seeArrivals();
    if (uids.length === 0 || this.#random.chance(0.25)) return this.#append();
    const chosen = this.#random.some(uids, 8);
    const target = this.#random.pick(folders.filter((other) => other !== folder && other !== 'INBOX'));
    switch (this.#random.integer(0, 5)) {
      case 0:
        return this.#expunge(folder, chosen);
      case 1:
        return this.#transfer('COPY', folder, chosen, target);
      case 2:
        return this.#transfer('MOVE', folder, chosen, target);
      default:
        return this.#flag(folder, chosen);
    }
  }

  async #append(): Promise<void> {
    const folder = this.#territory.folders.find((name) => name !== 'INBOX')!;
    const token = this.#tokens.next('appended');
    const message = messageWith(token, this.#random);
    const flags = this.#random.some(FLAGS, 3);
    const entry = { token, flags: flagText(flags) };
    this.#appended(token, message);
    await this.#run(
      appendCommand(folder, flags.join(' '), message),
      ({ text }) => adding(folder, [[Number(/APPENDUID \d+ (\d+)/.exec(text)![1]), entry]]),
      adding(folder, [[-1, entry]]),
    );
  }

  async #flag(folder: string, uids: readonly number[]): Promise<void> {
    await this.#select(folder);
    const sign = this.#random.pick(['', '+', '-']);
    const flags = this.#random.some(FLAGS, 3);
    const change = flagging(folder, uids, (before) => {
      if (sign === '') return flags;
      const named = flags.map((flag) => flag.toLowerCase());
      return sign === '+' ? [...before, ...named] : before.filter((flag) => !named.includes(flag));
    });
    await this.#run(`UID STORE ${uids.join(',')} ${sign}FLAGS (${flags.join(' ')})`, () => change, change);
  }

  async #expunge(folder: string, uids: readonly number[]): Promise<void> {
    await this.#select(folder);
    const mark = flagging(folder, uids, (before) => [...before, '\\Deleted']);
    await this.#run(`UID STORE ${uids.join(',')} +FLAGS.SILENT (\\Deleted)`, () => mark, mark);
    const change = removing(folder, uids);
    await this.#run(`UID EXPUNGE ${uids.join(',')}`, () => change, change);
  }

  async #transfer(
    command: 'COPY' | 'MOVE',
    folder: string,
    uids: readonly number[],
    target: string,
  ): Promise<void> {
    await this.#select(folder);
    const change = command === 'COPY' ? copying : moving;
    await this.#run(
      `UID ${command} ${uids.join(',')} ${target}`,
      ({ text, untagged }) => {
        const [, from, to] = /\[COPYUID \d+ (\S+) (\S+)\]/.exec([text, ...untagged].join('\n'))!;
        return change(folder, uidsOf(from!), target, uidsOf(to!));
      },
      change(folder, uids, target, unknownUids(uids.length)),
    );
  }

  /** Mail that was delivered since the last look. */
  async #seeArrivals(): Promise<void> {
    await this.#select('INBOX');
    const highest = this.#territory.highestUid('INBOX');
    const { untagged } = await this.#imap.ok(
      `UID FETCH ${highest + 1}:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Token)])`,
    );
    const arrived = parseFetched(untagged)
      .filter(({ uid, token }) => uid > highest && token !== undefined)
      .map(({ uid, flags, token }) => [uid, { token: token!, flags }] as const);
    this.#territory.arrive(new Map(arrived));
  }

  async #run(command: string, outcome: (answer: ImapAnswer) => Change, possible: Change): Promise<void> {
    this.#territory.begin(possible);
    const answer = await this.#imap.ok(command);
    this.#territory.acknowledge(outcome(answer));
    for (const { modSeq } of parseFetched(answer.untagged)) this.#territory.sawModSeq(this.#selected, modSeq);
    const highest = /HIGHESTMODSEQ (\d+)/.exec(answer.text);
    if (highest !== null) this.#territory.sawModSeq(this.#selected, Number(highest[1]));
  }

  async #select(folder: string): Promise<void> {
    if (this.#selected === folder) return;
    await this.#imap.ok(`SELECT ${folder}`);
    this.#selected = folder;
  }
}

/** `1:3,7` as 1, 2, 3, 7. */
function uidsOf(set: string): number[] {
  return set.split(',').flatMap((range) => {
    const [first, last] = range.split(':').map(Number);
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, index) => first! + index);
  });
}
