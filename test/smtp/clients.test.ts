import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ClientCounter } from '../../src/smtp/clients.ts';

const tooMany = { code: 'too-many' };

describe('client counter', () => {
  it('counts an address until it leaves', () => {
    const counter = new ClientCounter(1);
    counter.enter('192.0.2.1');
    counter.enter('192.0.2.2');
    assert.throws(() => counter.enter('192.0.2.1'), tooMany);
    counter.leave('192.0.2.1');
    counter.enter('192.0.2.1');
  });

  it('counts an IPv6 /64 as one client, however the address is written', () => {
    for (const [first, same, other] of [
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::9', '2001:db8:1:3::9'],
      ['2001:db8::1', '2001:db8::ffff:0:0:2', '2001:db8:0:1::1'],
      ['::1', '::2', '1::1'],
      ['fe80::1%eth0', 'fe80::2', 'fe81::1'],
    ] as const) {
      const counter = new ClientCounter(1);
      counter.enter(first);
      assert.throws(() => counter.enter(same), tooMany);
      counter.enter(other);
    }
  });
});
