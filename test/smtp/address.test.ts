import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { envelopeAddress } from '../../src/smtp/address.ts';

describe('envelope address', () => {
  it('has its domain in A-labels, and its local part as it came', () => {
    for (const [given, address] of [
      ['', ''],
      ['postmaster', 'postmaster'],
      ['Bob+X@Example.ORG', 'Bob+X@Example.ORG'],
      ['bob@bücher.example', 'bob@xn--bcher-kva.example'],
      ['bob@[192.0.2.1]', 'bob@[192.0.2.1]'],
    ] as const) {
      assert.equal(envelopeAddress(given, false), address);
    }
    assert.equal(envelopeAddress('jörg@bücher.example', true), 'jörg@xn--bcher-kva.example');
  });

  it('needs SMTPUTF8 for a local part beyond ASCII', () => {
    for (const address of ['jörg@example.org', 'jörg']) {
      assert.throws(() => envelopeAddress(address, false), { code: 'address-not-ascii' });
    }
  });
});
