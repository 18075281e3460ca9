import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { SendingLimits } from '../../src/outbound/sending-limits.ts';

const HOUR = 3_600_000;
const NONE = { userPerHour: null, userPerDay: null, organizationPerHour: null, organizationPerDay: null };
const BUSY = { kind: 'unavailable', code: 'busy' };

describe('limits of sending', () => {
  const organization = newOrganizationId();
  const [alice, bob] = [newMailboxId(), newMailboxId()];
  let now = 0;
  const limited = (bounds: object): SendingLimits => {
    now = 1_000 * HOUR;
    return new SendingLimits({ ...NONE, ...bounds }, () => now);
  };
  const take = (limits: SendingLimits, who: typeof alice, count: number): void => {
    for (let n = 0; n < count; n++) limits.take(organization, who);
  };

  it('hold a user to so many recipients in any hour, and nobody else', () => {
    const limits = limited({ userPerHour: 10 });
    take(limits, alice, 10);
    assert.throws(() => take(limits, alice, 1), BUSY);
    take(limits, bob, 10);
    now += HOUR - 1;
    assert.throws(() => take(limits, alice, 1), BUSY);
    // Half of the hour later, half of what was sent before it counts.
    now += HOUR / 2 + 1;
    take(limits, alice, 5);
    assert.throws(() => take(limits, alice, 1), BUSY);
    now += 2 * HOUR;
    take(limits, alice, 10);
  });

  it('hold a user in a day who keeps to every hour', () => {
    const limits = limited({ userPerHour: 10, userPerDay: 25 });
    now += 8 * HOUR;
    for (const count of [10, 10, 5]) {
      take(limits, alice, count);
      now += 2 * HOUR;
    }
    assert.throws(() => take(limits, alice, 1), BUSY);
  });

  it('hold an organization, whoever of it sends; what is refused does not count', () => {
    const limits = limited({ organizationPerHour: 10 });
    take(limits, alice, 6);
    take(limits, bob, 4);
    for (let n = 0; n < 100; n++) assert.throws(() => take(limits, bob, 1), BUSY);
    limits.take(newOrganizationId(), bob);
    now += HOUR;
    now += HOUR / 10;
    take(limits, alice, 1);
  });

  it('count every member of a group, and refuse for good what will never fit', () => {
    const limits = limited({ userPerHour: 10, organizationPerDay: 30 });
    limits.take(organization, alice, 8);
    assert.throws(() => limits.take(organization, alice, 3), BUSY);
    limits.take(organization, alice, 2);
    assert.throws(() => limits.take(organization, bob, 11), { kind: 'refused', code: 'not-permitted' });
    limits.take(organization, bob, 10);
  });

  it('hold the notifications of an organization, whoever they are about, and no user for them', () => {
    const limits = limited({ userPerHour: 1, organizationPerHour: 10 });
    for (let n = 0; n < 10; n++) limits.take(organization, null);
    assert.throws(() => limits.take(organization, null), BUSY);
    assert.throws(() => limits.take(organization, alice), BUSY);
  });

  it('do not hold where there are none', () => take(limited({}), alice, 10_000));
});
