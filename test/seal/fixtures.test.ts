/** Frozen sealed objects of every format version (docs/format.md "Versions"), written once by make-fixtures.ts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import type { MessageId } from '../../src/ids.ts';
import { RAW_MESSAGE_OCTETS } from '../../src/limits.ts';
import { openBodyRange, openBodySequential, openSmallBody } from '../../src/seal/body.ts';
import { openHeader } from '../../src/seal/header.ts';
import { openObject } from '../../src/seal/object.ts';
import { encodeIdentity, identityFromSeed, parseIdentity } from '../../src/seal/recipient.ts';
import { openDigest } from '../../src/seal/sealed-message.ts';
import type { FrozenMailbox } from './fixture.ts';
import { collect, memorySource } from './support.ts';

const FOLDER = new URL('./fixtures/', import.meta.url);
const octetsOf = (base64: string): Buffer => Buffer.from(base64, 'base64');
const sha256 = (octets: Buffer): string => createHash('sha256').update(octets).digest('hex');

describe('what was sealed by an earlier version', () => {
  for (const name of readdirSync(FOLDER)) {
    const frozen = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as FrozenMailbox;
    const { type, mailbox, epoch } = frozen;
    const seed = Buffer.from(frozen.seed, 'hex');
    const identity = identityFromSeed(type, seed);
    const indexKey = Buffer.from(frozen.indexKey, 'hex');

    describe(name, () => {
      it('has the same identity and recipient', () => {
        assert.equal(encodeIdentity(type, seed), frozen.identity);
        assert.deepEqual(parseIdentity(frozen.identity), { type, seed });
        assert.equal(identity.recipient.encoded, frozen.recipient);
      });

      it('opens its index key and names', () => {
        const opened = openObject(seed, 'index-key', [mailbox, epoch], octetsOf(frozen.sealedIndexKey));
        assert.deepEqual(opened, indexKey);
        for (const { purpose, number, clear, sealed } of frozen.names) {
          const octets = openObject(indexKey, purpose, [mailbox, epoch, number], octetsOf(sealed));
          assert.equal(octets.toString('utf8'), clear);
        }
      });

      for (const message of frozen.messages) {
        it(`opens its message: ${message.what}`, async () => {
          const fileKey = openHeader(octetsOf(message.header), identity);
          const place = { mailbox, message: message.id as MessageId, epoch };
          const digest = openDigest(fileKey, place, octetsOf(message.sealedDigest));
          assert.equal(digest.toString('utf8'), message.digest);
          const { frames, sizeOctets } = message;
          const body = octetsOf(message.body);
          const source = memorySource(body);
          assert.equal(
            sha256(await collect(openBodyRange(fileKey, frames, sizeOctets, source))),
            message.sha256,
          );
          const parts: Buffer[] = [];
          for await (const { clear } of openBodySequential(fileKey, source)) parts.push(clear);
          assert.equal(sha256(Buffer.concat(parts)), message.sha256);
          if (sizeOctets <= RAW_MESSAGE_OCTETS) {
            assert.equal(sha256(openSmallBody(fileKey, body, frames, sizeOctets)), message.sha256);
          }
        });
      }
    });
  }
});
