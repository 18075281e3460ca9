import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { seededRandom } from '../../durability/random.ts';
import { type Dovecot, startDovecot } from '../../support/dovecot.ts';
import { type Letterlock, startLetterlock } from '../../support/letterlock.ts';
import { RawImap } from '../../support/raw-imap.ts';
import { type Difference, differences } from './compare.ts';
import { KNOWN_DIFFERENCES, type KnownDifference, knownDifference } from './differences.ts';
import { MONSTERS, randomMonster, type Sample } from './monsters.ts';

const PYTHON = join(import.meta.dirname, 'python');
const RANDOM_MESSAGES = 200;
/** Of a run that is to be repeated: LETTERLOCK_SEED. */
const SEED = Number(process.env['LETTERLOCK_SEED'] ?? Date.now() % 1_000_000);
const USER = { address: 'user@dovecot.test', password: 'password' };

/** CPython's test messages, with the line ends that IMAP carries. */
const collected = (): Sample[] =>
  readdirSync(PYTHON)
    .filter((file) => file.endsWith('.txt'))
    .map((name) => ({
      name,
      octets: readFileSync(join(PYTHON, name), 'latin1').replace(/\r?\n|\r/g, '\r\n'),
    }));

describe('answers as Dovecot gives them', function () {
  this.timeout(60_000);
  let peer: Dovecot;
  let server: Letterlock;
  let dovecot: RawImap;
  let ours: RawImap;

  before(async () => {
    peer = await startDovecot({ sealing: 'plain', users: [USER], lmtp: false });
    server = await startLetterlock({ config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });
    dovecot = await RawImap.login(peer.imapPort, USER);
    ours = await RawImap.login(server.ports.imap, server.users[0]!);
    for (const imap of [dovecot, ours]) await imap.ok('SELECT INBOX');
  });
  after(async () => {
    dovecot?.destroy();
    ours?.destroy();
    await server?.stop();
    await peer?.stop();
  });

  const seen = new Set<KnownDifference>();
  const agree = async (sample: Sample, hint = ''): Promise<void> => {
    const unknown: Difference[] = [];
    for (const difference of await differences(dovecot, ours, sample)) {
      const known = knownDifference(sample.name, difference);
      if (known === undefined) unknown.push(difference);
      else seen.add(known);
    }
    assert.deepEqual(unknown, [], `${hint}${JSON.stringify(sample.octets)}`);
  };

  for (const sample of collected()) {
    it(`of CPython's ${sample.name}`, () => agree(sample));
  }

  for (const sample of MONSTERS) {
    it(`of ${sample.name}`, () => agree(sample));
  }

  it(`of ${RANDOM_MESSAGES} random messages`, async () => {
    const random = seededRandom(SEED);
    for (let index = 0; index < RANDOM_MESSAGES; index++) {
      await agree(randomMonster(random, 'a random message'), `LETTERLOCK_SEED=${SEED}, message ${index}: `);
    }
  });

  it('and nothing is listed as a difference that is none', () => {
    const unseen = KNOWN_DIFFERENCES.filter((known) => !seen.has(known)).map(({ reason }) => reason);
    assert.deepEqual(unseen, []);
  });
});
