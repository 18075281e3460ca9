import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { isPrivate } from '../src/networks.ts';

describe('private networks', () => {
  for (const [address, expected] of [
    ['127.0.0.1', true],
    ['10.255.0.1', true],
    ['100.64.0.1', true],
    ['169.254.169.254', true],
    ['172.31.255.255', true],
    ['192.168.1.1', true],
    ['0.0.0.0', true],
    ['224.0.0.1', true],
    ['::', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['::ffff:7f00:1', true],
    ['fd00::1', true],
    ['fe80::1', true],
    ['9.255.255.255', false],
    ['100.128.0.1', false],
    ['172.32.0.1', false],
    ['192.0.2.1', false],
    ['::2', false],
    ['::ffff:192.0.2.1', false],
    ['2001:db8::1', false],
  ] as const) {
    it(`${address} is ${expected ? '' : 'not '}in one`, () => assert.equal(isPrivate(address), expected));
  }
});
