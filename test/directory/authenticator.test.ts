import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'mocha';
import { Authenticator } from '../../src/directory/authenticator.ts';
import type { Directory } from '../../src/directory/directory.ts';
import { hashPassword, verifyPassword } from '../../src/directory/password.ts';
import type { User } from '../../src/directory/types.ts';
import { VerifiedCredentials } from '../../src/directory/verified-credentials.ts';
import {
  LOGIN_DELAY_MS,
  LOGIN_FREE_FAILURES,
  LOGIN_WAIT_MOST_MS,
  PASSWORD_OCTETS,
  VERIFIED_CREDENTIAL_MS,
  VERIFIED_CREDENTIALS,
} from '../../src/limits.ts';
import { addUsers, cleanUp, newDirectory, StandingClock } from './support.ts';

const HERE = '192.0.2.1';
const WRONG = { kind: 'refused', code: 'bad-credentials', message: 'The user name or password is wrong' };
const BUSY = { kind: 'unavailable', code: 'busy' };

describe('logins', () => {
  let rightHash: string;
  let otherHash: string;
  let directory: Directory;
  let alice: User;
  let clock: StandingClock;
  let authenticator: Authenticator;
  /** Hashes that were compared with, in order. */
  let checks: string[];
  /** Runs while a password is hashed. */
  let meanwhile: () => void;

  before(async () => {
    [rightHash, otherHash] = await Promise.all([hashPassword('right'), hashPassword('other')]);
  });
  beforeEach(() => {
    ({ directory } = newDirectory());
    [alice] = addUsers(directory, 'alice', 'bob') as [User, User];
    directory.setPasswordHash(alice.id, rightHash);
    directory.createAlias('al@demo.test', 'alice@demo.test');
    clock = new StandingClock();
    checks = [];
    meanwhile = () => {};
    authenticator = new Authenticator({
      directory,
      now: clock.now,
      wait: clock.wait,
      verify: async (password, hash) => {
        checks.push(hash);
        const isRight = await verifyPassword(password, hash);
        meanwhile();
        return isRight;
      },
    });
  });
  after(cleanUp);

  const login = (name = 'alice@demo.test', password = 'right', from = HERE) =>
    authenticator.authenticate(name, password, from);

  /** The clock stands still during waits, and hashing takes no time. */
  const guessing = () =>
    new Authenticator({
      directory,
      now: clock.now,
      wait: async (ms) => void (ms > 0 && clock.waits.push(ms)),
      verify: async (password, hash) => {
        checks.push(hash);
        await new Promise(setImmediate);
        return password === 'right';
      },
    });

  /** At alice, from many networks. */
  const guess = async (): Promise<void> => {
    for (let bot = 0; bot < 2 * LOGIN_FREE_FAILURES; bot++) {
      await login('alice@demo.test', 'wrong', `198.51.100.${bot}`).catch(() => {});
    }
  };

  it('by any address of the user give the same user', async () => {
    const { id, organization, mailbox, quotaOctets, address } = alice;
    for (const name of ['alice@demo.test', 'Alice@DEMO.test', 'al@demo.test']) {
      assert.deepEqual(await login(name), { userId: id, organization, mailbox, quotaOctets, address });
    }
  });

  it('cost one argon2 and get one answer, whoever is asked for and whatever is wrong', async () => {
    directory.setUserState(directory.user('bob@demo.test').id, 'disabled');
    for (const [name, password] of [
      ['alice@demo.test', 'wrong'],
      ['alice@demo.test', ''],
      ['alice@demo.test', 'x'.repeat(PASSWORD_OCTETS + 1)],
      ['alice+x@demo.test', 'right'],
      ['bob@demo.test', 'right'],
      ['nobody@demo.test', 'right'],
      ['nobody@else.test', 'right'],
      ['no address', 'right'],
    ] as const) {
      checks = [];
      clock.ms += 3_600_000;
      clock.waits.length = 0;
      await assert.rejects(login(name, password), WRONG, name);
      assert.equal(checks.length, 1, name);
      const cost = (hash: string) => /^\$argon2id\$v=19\$[^$]+\$/.exec(hash)![0];
      assert.equal(cost(checks[0]!), cost(rightHash), name);
      assert.deepEqual(clock.waits, [LOGIN_DELAY_MS], name);
    }
  });

  it('that were right need no argon2 again for a while', async () => {
    await login();
    await login();
    await login('al@demo.test');
    assert.equal(checks.length, 1);
    await assert.rejects(login('alice@demo.test', 'wrong'), WRONG);
    assert.equal(checks.length, 2);
    await login();
    assert.equal(checks.length, 2);
    clock.ms += VERIFIED_CREDENTIAL_MS + 1;
    await login();
    assert.equal(checks.length, 3);
  });

  it('follow a change of the password at once', async () => {
    await login();
    directory.setPasswordHash(alice.id, otherHash);
    await assert.rejects(login(), WRONG);
    await login('alice@demo.test', 'other');
    directory.setPasswordHash(alice.id, null);
    await assert.rejects(login('alice@demo.test', 'other'), WRONG);
  });

  it('of a user who is disabled fail at once, also when the password is remembered', async () => {
    await login();
    for (const state of ['disabled', 'removing', 'creating'] as const) {
      directory.setUserState(alice.id, state);
      await assert.rejects(login(), WRONG, state);
    }
    directory.setUserState(alice.id, 'active');
    await login();
  });

  for (const [what, change] of [
    ['the password is changed', () => directory.setPasswordHash(alice.id, otherHash)],
    ['the user is disabled', () => directory.setUserState(alice.id, 'disabled')],
    ['the user is removed', () => directory.deleteUser(alice.id)],
  ] as const) {
    it(`fail when ${what} while the password is hashed`, async () => {
      meanwhile = change;
      await assert.rejects(login(), WRONG);
    });
  }

  it('from one address wait after too many failures, then are put off, however parallel', async () => {
    authenticator = guessing();
    const attempts = Array.from({ length: LOGIN_FREE_FAILURES + 10 }, () => login('x@demo.test', 'wrong'));
    const ends = await Promise.allSettled(attempts);
    const codes = ends.map((end) => (end.status === 'rejected' ? end.reason.code : 'in'));
    assert.equal(codes.filter((code) => code === 'busy').length, 9, codes.join(' '));
    assert.equal(checks.length, LOGIN_FREE_FAILURES + 1);
    await login('alice@demo.test', 'right', '192.0.2.2');
  });

  it('side by side with the right password wait for nobody, however many share an address', async () => {
    const names = Array.from({ length: 10 * LOGIN_FREE_FAILURES }, (_, index) => `u${index}`);
    addUsers(directory, ...names);
    authenticator = guessing();
    await Promise.all(names.map((name) => login(`${name}@demo.test`)));
    assert.deepEqual(clock.waits, []);
  });

  it('of the owner pass while others guess at the name, remembered for long or not', async () => {
    authenticator = guessing();
    await login();
    await guess();
    await assert.rejects(login('alice@demo.test', 'wrong', '203.0.113.1'), BUSY);
    await login('alice@demo.test', 'right', '203.0.113.2');
    clock.ms += VERIFIED_CREDENTIAL_MS + 1;
    await guess();
    await assert.rejects(login('alice@demo.test', 'wrong', '203.0.113.3'), BUSY);
    await login('alice@demo.test', 'right', '203.0.113.4');
  });

  it('to a name that nobody knew the password of are put off no longer than the guessing goes on', async () => {
    authenticator = guessing();
    await guess();
    await assert.rejects(login(), BUSY);
    clock.ms += LOGIN_WAIT_MOST_MS;
    await login();
  });
});

describe('verified credentials', () => {
  it('are forgotten in order of use', () => {
    const verified = new VerifiedCredentials(() => 0);
    for (let user = 0; user < VERIFIED_CREDENTIALS; user++) verified.remember(user, 1, 'p');
    assert.equal(verified.look(0, 1, 'p'), 'fresh');
    verified.remember(-1, 1, 'p');
    assert.equal(verified.look(0, 1, 'p'), 'fresh');
    assert.equal(verified.look(1, 1, 'p'), 'unknown');
  });

  it('hold for one user, one password and one version', () => {
    const verified = new VerifiedCredentials(() => 0);
    verified.remember(1, 1, 'p');
    assert.equal(verified.look(1, 1, 'q'), 'unknown');
    assert.equal(verified.look(2, 1, 'p'), 'unknown');
    assert.equal(verified.look(1, 1, 'p'), 'fresh');
    assert.equal(verified.look(1, 2, 'p'), 'unknown');
    assert.equal(verified.look(1, 1, 'p'), 'unknown');
  });
});
