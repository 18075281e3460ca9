import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type Attempt, LoginPace } from '../../src/directory/login-pace.ts';
import {
  LOGIN_DEBTORS,
  LOGIN_DELAY_MOST_MS,
  LOGIN_DELAY_MS,
  LOGIN_FREE_FAILURES,
  LOGIN_NETWORK_INTERVAL_MS,
  LOGIN_USER_INTERVAL_MS,
  LOGIN_WAIT_MOST_MS,
} from '../../src/limits.ts';
import { StandingClock } from './support.ts';

const HERE = '192.0.2.1';
const MINUTES = 60_000;

describe('the pace of logins', () => {
  const newPace = (): { pace: LoginPace; clock: StandingClock } => {
    const clock = new StandingClock();
    return { pace: new LoginPace(clock.now), clock };
  };
  const fail = (pace: LoginPace, times: number, address = HERE, name = 'alice'): (Attempt | null)[] =>
    Array.from({ length: times }, (_, index) => pace.begin(address, `${name}${index}`));

  it('holds 500 parallel guessers of one address to less than 60 guesses in ten minutes', () => {
    const { pace, clock } = newPace();
    let guesses = 0;
    for (; clock.ms < 10 * MINUTES; clock.ms += 5_000) {
      for (const attempt of fail(pace, 500)) {
        if (attempt !== null && clock.ms + attempt.waitMs < 10 * MINUTES) guesses++;
      }
    }
    assert.ok(guesses >= 50 && guesses < 60, `${guesses} guesses`);
  });

  it('gives each attempt after the free ones a time of its own', () => {
    const { pace } = newPace();
    const waits = fail(pace, LOGIN_FREE_FAILURES + 3).map((attempt) => attempt?.waitMs ?? null);
    assert.deepEqual(waits.slice(0, LOGIN_FREE_FAILURES), Array(LOGIN_FREE_FAILURES).fill(0));
    assert.deepEqual(waits.slice(LOGIN_FREE_FAILURES), [LOGIN_NETWORK_INTERVAL_MS, null, null]);
    assert.ok(2 * LOGIN_NETWORK_INTERVAL_MS > LOGIN_WAIT_MOST_MS);
  });

  it('a right password gives back its own charge and none of the failures', () => {
    const { pace } = newPace();
    fail(pace, LOGIN_FREE_FAILURES - 1);
    for (let index = 0; index < 100; index++) {
      const own = pace.begin(HERE, 'mallory');
      assert.equal(own?.waitMs, 0);
      own.refund();
    }
    fail(pace, 1);
    assert.equal(pace.begin(HERE, 'mallory')?.waitMs, LOGIN_NETWORK_INTERVAL_MS);
  });

  it('answers each failure later than the one before, up to a limit, and forgives with time', () => {
    const { pace, clock } = newPace();
    const delays = fail(pace, 8).map((_, index, attempts) => attempts[index]!.failed());
    assert.deepEqual(delays, Array(8).fill(LOGIN_DELAY_MOST_MS));
    clock.ms += 60 * MINUTES;
    const slowly = Array.from({ length: 7 }, () => pace.begin(HERE, 'alice')!.failed());
    assert.deepEqual(
      slowly,
      [1, 2, 4, 8, 16, 32, 32].map((factor) => factor * LOGIN_DELAY_MS),
    );
  });

  it('counts an IPv6 customer by his /64, and an IPv4 address in both of its forms', () => {
    for (const [one, same, other] of [
      ['2001:db8:0:1::1', '2001:0DB8::1:ffff:0:0:2', '2001:db8:0:2::1'],
      ['fe80::1%eth0', 'fe80::2', 'fe81::1'],
      ['::ffff:192.0.2.1', '192.0.2.1', '::ffff:192.0.2.2'],
    ] as const) {
      const { pace } = newPace();
      fail(pace, LOGIN_FREE_FAILURES, one);
      assert.notEqual(pace.begin(same, 'x')?.waitMs, 0, same);
      assert.equal(pace.begin(other, 'y')?.waitMs, 0, other);
    }
  });

  it('holds back guesses at one user from many networks, which is free again soon after the last', () => {
    const { pace, clock } = newPace();
    let guesses = 0;
    for (; clock.ms < 10 * MINUTES; clock.ms += 1_000) {
      for (let bot = 0; bot < 50; bot++) {
        if (pace.begin(`198.51.${(clock.ms / 1_000) % 250}.${bot}`, 'alice') !== null) guesses++;
      }
    }
    const expected = LOGIN_FREE_FAILURES + (10 * MINUTES + LOGIN_WAIT_MOST_MS) / LOGIN_USER_INTERVAL_MS;
    assert.ok(guesses <= expected + 1, `${guesses} guesses`);
    assert.equal(pace.begin('203.0.113.1', 'bob')?.waitMs, 0);
    while (pace.begin('2001:db8::1', 'alice') !== null);
    assert.ok(pace.isHopeless('203.0.113.2', 'alice'));
    clock.ms += LOGIN_USER_INTERVAL_MS;
    const owner = pace.begin('203.0.113.2', 'alice');
    assert.ok(owner !== null && owner.waitMs <= LOGIN_WAIT_MOST_MS);
  });

  it('remembers no more than its limit of names', () => {
    const { pace } = newPace();
    fail(pace, LOGIN_FREE_FAILURES, HERE);
    for (let index = 0; index < LOGIN_DEBTORS; index++) {
      pace.begin(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, 'x'.repeat(9) + index);
    }
    assert.equal(pace.begin(HERE, 'someone')?.waitMs, 0);
  });
});
