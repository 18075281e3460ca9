import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { type EntryContent, entryName, openEntry, sealEntry } from '../../src/keys/lease-entry.ts';
import { LEASE_ENTRY_OCTETS } from '../../src/limits.ts';

const NOW = Date.UTC(2027, 0, 1);
const MOST_MS = 300_000;

describe('an entry of the lease cache', () => {
  const key = randomBytes(32);
  const place = { organization: newOrganizationId(), mailbox: newMailboxId(), epoch: 3 };
  const content: EntryContent = {
    seed: randomBytes(32),
    keyId: 'arn:aws:kms:eu-central-1:111122223333:key/1234',
    requestId: 'b2c3',
    expiresAt: NOW + MOST_MS,
  };
  const bounds = { now: NOW, leastMs: 0, mostMs: MOST_MS };
  const sealed = sealEntry(key, place, content)!;

  it('opens in its place until it expires, whatever its ids are', () => {
    assert.deepEqual(openEntry(key, place, sealed, bounds), content);
    assert.deepEqual(openEntry(key, place, sealed, { ...bounds, now: content.expiresAt - 1 }), content);
    assert.equal(openEntry(key, place, sealed, { ...bounds, now: content.expiresAt }), 'expired');
    assert.equal(openEntry(key, place, sealed, { ...bounds, now: NOW - 1 }), 'expires-too-late');
    assert.equal(openEntry(key, place, sealed, { ...bounds, leastMs: MOST_MS }), 'expired');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (keyId, requestId) => {
        const other = { ...content, keyId: keyId.toWellFormed(), requestId: requestId.toWellFormed() };
        assert.deepEqual(openEntry(key, place, sealEntry(key, place, other)!, bounds), other);
      }),
    );
  });

  it('is laid out as docs/format.md says', () => {
    assert.equal(sealed[0], 1);
    assert.equal(sealed.readBigUInt64BE(1), BigInt(content.expiresAt));
    assert.equal(sealed.length, 1 + 8 + 12 + 32 + 2 + content.keyId.length + content.requestId.length + 16);
    assert.equal(entryName(place.mailbox, 3), `letterlock:1:lease:${place.mailbox}:3`);
    assert.notDeepEqual(sealEntry(key, place, content), sealed);
  });

  it('opens nowhere else', () => {
    const places = [
      { ...place, organization: newOrganizationId() },
      { ...place, mailbox: newMailboxId() },
      { ...place, epoch: 4 },
    ];
    for (const other of places) assert.equal(openEntry(key, other, sealed, bounds), 'seal-broken');
    assert.equal(openEntry(randomBytes(32), place, sealed, bounds), 'seal-broken');
  });

  it('is refused when any bit of it is changed or any octet is missing or added', () => {
    for (let octet = 0; octet < sealed.length; octet++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(sealed);
        changed[octet]! ^= 1 << bit;
        assert.equal(typeof openEntry(key, place, changed, bounds), 'string', `bit ${bit} of octet ${octet}`);
      }
      assert.equal(typeof openEntry(key, place, sealed.subarray(0, octet), bounds), 'string');
    }
    assert.equal(openEntry(key, place, Buffer.concat([sealed, Buffer.of(0)]), bounds), 'seal-broken');
  });

  it('is whatever octets, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
        assert.equal(typeof openEntry(key, place, Buffer.from(octets), bounds), 'string');
      }),
    );
    assert.equal(openEntry(key, place, Buffer.alloc(LEASE_ENTRY_OCTETS + 1, 1), bounds), 'format');
  });

  it('is not made of ids that are too long to be read back', () => {
    assert.equal(sealEntry(key, place, { ...content, keyId: 'x'.repeat(LEASE_ENTRY_OCTETS) }), null);
  });
});
