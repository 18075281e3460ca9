import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { freePortBase } from '../support/free-ports.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { runProgram } from '../support/run-program.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { Deliveries } from './deliveries.ts';
import { type Random, seededRandom } from './random.ts';
import { readFolders } from './read-folders.ts';
import { Territory } from './territory.ts';
import { deliverUntilLost, ImapWorker, Tokens } from './workers.ts';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');
const SEED = Number(process.env['KILL_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = Number(process.env['KILL_TEST_ROUNDS'] ?? 50);
/** With alice and bob, 20 members of the group. */
const MORE_USERS = 18;
/** Users that read their mail, with two connections each. */
const READERS = 3;
/** In these rounds everybody's mail is looked at; in others the readers' and that of a few. */
const WHOLE_CHECK_EVERY = 25;
const OTHERS_CHECKED = 1;
/** In these rounds the recovery is killed, too. */
const BROKEN_RECOVERY_EVERY = 8;
/** In this round the work goes on until the checkpoint begins (CHECKPOINT_IDLE_MS after the first change). */
const CHECKPOINT_ROUND = 12;
const CHECKPOINT_MS = 5_000;

class Run {
  readonly #random: Random;
  readonly #data: string;
  readonly #deliveries = new Deliveries();
  readonly #appended = new Map<string, string>();
  readonly #tokens = new Tokens();
  readonly #territories = new Map<string, readonly Territory[]>();
  #password = '';
  #group = '';

  constructor(data: string, random: Random) {
    this.#data = data;
    this.#random = random;
  }

  get acknowledged(): number {
    return this.#deliveries.acknowledged;
  }

  start(): Promise<Letterlock> {
    return startLetterlock({
      data: this.#data,
      users: MORE_USERS,
      // A snapshot with every checkpoint: one more thing to be killed in.
      config: { plaintextAuthNetworks: ['127.0.0.0/8'], store: { snapshotSeconds: 1 } },
      // Filled by the first server's clean end; a fifth of each later start.
      environment: { NODE_COMPILE_CACHE: `${this.#data}-compiled` },
    });
  }

  /** Folders for those who read, and what is there at first. */
  async prepare(server: Letterlock): Promise<void> {
    this.#password = server.users[0]!.password;
    this.#group = server.group;
    for (const [index, user] of server.users.entries()) {
      const shared = ['INBOX', 'work0', 'done0'];
      const own = ['work1', 'done1'];
      const folders = index < READERS ? [shared, own] : [['INBOX']];
      this.#territories.set(
        user.address,
        folders.map((names) => new Territory(user.address, names, this.#deliveries)),
      );
      if (index >= READERS) continue;
      const imap = await RawImap.login(server.ports.imap, user);
      for (const folder of [...shared.slice(1), ...own]) await imap.ok(`CREATE ${folder}`);
      imap.destroy();
    }
  }

  /** Work on all sides; resolves when the server is dead and every connection has noticed. */
  async workUntilKilled(server: Letterlock, afterMs: number): Promise<void> {
    const { mx, lmtp, imap } = server.ports;
    const random = (): Random => seededRandom(this.#random.integer(0, 2 ** 31));
    const everyone = [...this.#territories.keys()];
    const group = { to: [this.#group], users: everyone };
    const readers = everyone.slice(0, READERS).map((address) => ({ to: [address], users: [address] }));
    const several = { to: everyone.slice(1, 6), users: everyone.slice(1, 6) };
    const deliver = (port: number, greeting: string): Promise<void> =>
      deliverUntilLost({ port, greeting }, [group, several, ...readers], {
        random: random(),
        deliveries: this.#deliveries,
        tokens: this.#tokens,
      });
    const work = [deliver(mx, 'EHLO a.test'), deliver(mx, 'EHLO b.test'), deliver(lmtp, 'LHLO c.test')];
    for (const territory of this.#territoriesOf(everyone.slice(0, READERS))) {
      const worker = new ImapWorker(territory, {
        random: random(),
        tokens: this.#tokens,
        appended: (token, message) => this.#appended.set(token, message),
      });
      work.push(worker.runUntilLost(imap, this.#password));
    }
    const all = Promise.all(work);
    await Promise.race([sleep(afterMs), all]);
    await server.kill9();
    await all;
  }

  /** Starts the server only to kill it while it recovers. */
  async breakRecovery(afterMs: number): Promise<void> {
    const base = await freePortBase([0]);
    const args = ['--json', '--data', this.#data, '--port-base', String(base)];
    const child = spawn(join(SCRIPTS, 'run'), args, { stdio: 'ignore' });
    const exited = once(child, 'exit');
    await sleep(afterMs);
    child.kill('SIGKILL');
    await exited;
  }

  /** @param whole Everybody, and (at the end) every octet. */
  async check(server: Letterlock, round: number, whole: boolean | 'octets'): Promise<void> {
    const everyone = [...this.#territories.keys()];
    const others = everyone.slice(READERS);
    const checked = whole
      ? everyone
      : [
          ...everyone.slice(0, READERS),
          ...Array.from(
            { length: OTHERS_CHECKED },
            (_, index) => others[(round * OTHERS_CHECKED + index) % others.length]!,
          ),
        ];
    await Promise.all(
      checked.map(async (address) => {
        const imap = await RawImap.login(server.ports.imap, { address, password: this.#password });
        for (const territory of this.#territoriesOf([address])) {
          territory.check(
            await readFolders(
              imap,
              territory,
              whole === 'octets' ? (token, octets) => this.#checkOctets(token, octets) : undefined,
            ),
          );
        }
        imap.destroy();
      }),
    );
    this.#deliveries.check((address, token) =>
      checked.includes(address) ? this.#territories.get(address)![0]!.hasArrived(token) : null,
    );
  }

  #territoriesOf(addresses: readonly string[]): Territory[] {
    return addresses.flatMap((address) => this.#territories.get(address)!);
  }

  /** A delivered message has trace fields before it; an appended one is as it was. */
  #checkOctets(token: string, octets: string): void {
    const appended = this.#appended.get(token);
    const isIntact =
      appended === undefined
        ? octets.endsWith(this.#deliveries.messageOf(token) ?? '\0')
        : octets === appended;
    assert.ok(isIntact, `${token} is not what was sent`);
  }
}

describe('a server that is killed again and again', function () {
  this.timeout(300_000);

  it(`loses nothing acknowledged, doubles nothing and reuses no UID, ${ROUNDS} times`, async () => {
    const scratch = await makeScratch('kill');
    const data = join(scratch, 'data');
    const random = seededRandom(SEED);
    const run = new Run(data, random);
    let server = await run.start();
    let round = 0;
    try {
      await run.prepare(server);
      await server.stop();
      server = await run.start();
      for (round = 1; round <= ROUNDS; round++) {
        const least = round === CHECKPOINT_ROUND ? CHECKPOINT_MS : 100;
        await run.workUntilKilled(server, least + random.integer(0, 300));
        if (round % BROKEN_RECOVERY_EVERY === 0) await run.breakRecovery(random.integer(150, 700));
        server = await run.start();
        await run.check(server, round, round === ROUNDS ? 'octets' : round % WHOLE_CHECK_EVERY === 0);
      }
      assert.ok(run.acknowledged > ROUNDS, `${run.acknowledged} messages were acknowledged`);
      await server.stop();
      const fsck = await runProgram(join(SCRIPTS, 'letterlock'), ['fsck', '--keys', '--data', data]);
      assert.equal(fsck.exitCode, 0, fsck.stdout.toString() + fsck.stderr);
      // Those of twenty users, and the queue.
      assert.match(fsck.stdout.toString(), /^Problems: 0\. Checked mailboxes: 21, messages: [1-9]/);
    } catch (error) {
      await server.kill9().catch(() => {}); // it may be what has failed
      throw new Error(`Round ${round} with KILL_TEST_SEED=${SEED}: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      await removeScratch(scratch);
    }
  });
});
