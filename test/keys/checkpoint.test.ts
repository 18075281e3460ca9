import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { CheckpointKey, readCheckpoint } from '../../src/keys/checkpoint.ts';

/** Of version 1, signed with a secret key of 32 octets 1. It must be read for ever. */
const FROZEN = readFileSync(join(import.meta.dirname, 'fixtures/checkpoint-v1.jsonl'), 'utf8').trimEnd();
const CHECKPOINT = {
  seq: 2,
  at: '2027-01-01T00:00:00.000Z',
  prev: 'ab'.repeat(32),
  journals: [
    { boot: 'k1-00', lines: 3, head: '12'.repeat(32), isEnded: true },
    { boot: 'k2-00', lines: 1, head: '34'.repeat(32), isEnded: false },
  ],
};

describe('a checkpoint', () => {
  const key = new CheckpointKey(Buffer.alloc(32, 1));

  it('is read as it was written in version 1, and written so', () => {
    assert.deepEqual(readCheckpoint(FROZEN), { ...CHECKPOINT, key: key.publicKey });
    assert.equal(key.sign(CHECKPOINT), FROZEN);
  });

  it('is verified by who has only the format note', () => {
    const [, start, signature] = /^(.*),"signature":"(.*)"\}$/.exec(FROZEN)!;
    const fields = ['letterlock/v1/use-checkpoint', `${start}}`].flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(field));
      return [length, Buffer.from(field)];
    });
    // RFC 8410 §4: what stands before the 32 octets of an Ed25519 public key.
    const der = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from(JSON.parse(FROZEN).key, 'hex'),
    ]);
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
    assert.ok(verify(null, Buffer.concat(fields), publicKey, Buffer.from(signature!, 'hex')));
  });

  it('with any character changed is none', () => {
    const place = fc.nat(FROZEN.length - 1);
    fc.assert(
      fc.property(place, fc.integer({ min: 0x20, max: 0x7e }), (at, code) => {
        const character = String.fromCharCode(code);
        fc.pre(FROZEN[at] !== character);
        assert.equal(readCheckpoint(`${FROZEN.slice(0, at)}${character}${FROZEN.slice(at + 1)}`), null);
      }),
    );
  });

  it('of another version, or of other fields, is none, though it is signed', () => {
    for (const journals of [
      [{ ...CHECKPOINT.journals[0]!, boot: '../x' }],
      [{ ...CHECKPOINT.journals[0]!, lines: -1 }],
    ]) {
      assert.equal(readCheckpoint(key.sign({ ...CHECKPOINT, journals })), null);
    }
    assert.equal(readCheckpoint(key.sign({ ...CHECKPOINT, at: 'never' })), null);
    assert.equal(readCheckpoint(key.sign({ ...CHECKPOINT, seq: 1.5 })), null);
    for (const line of ['', '{}', 'null', FROZEN.replace('"version":1', '"version":2')]) {
      assert.equal(readCheckpoint(line), null);
    }
  });
});
