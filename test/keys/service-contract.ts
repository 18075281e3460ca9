/** The claims that every key service keeps, whatever is behind it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import {
  DEFAULT_CONTEXT_OPTIONS,
  type EncryptionContext,
  encryptionContext,
} from '../../src/keys/context.ts';
import type { KeyService } from '../../src/keys/service.ts';
import { WRAPPED_CLEAR_OCTETS } from '../../src/limits.ts';

export interface ServiceUnderTest {
  readonly service: KeyService;
  /** Two keys of it, and one that it does not have. */
  readonly keyId: string;
  readonly otherKeyId: string;
  readonly unknownKeyId: string;
}

export function keyServiceContract(name: string, start: () => Promise<ServiceUnderTest>): void {
  describe(`key service contract: ${name}`, () => {
    const organization = newOrganizationId();
    const mailbox = newMailboxId();
    const context = encryptionContext(DEFAULT_CONTEXT_OPTIONS, { organization, mailbox, purpose: 'mailbox' });
    const signal = new AbortController().signal;
    const mismatch = { kind: 'integrity', code: 'context-mismatch' };
    let service: KeyService;
    let ids: ServiceUnderTest;

    before(async () => {
      ids = await start();
      service = ids.service;
    });

    for (const size of [1, 31, 32, 64, WRAPPED_CLEAR_OCTETS]) {
      it(`unwraps what it wrapped: ${size} octets`, async () => {
        const clear = randomBytes(size);
        const { blob, requestId } = await service.wrap(ids.keyId, context, clear, signal);
        assert.ok(size === 1 || !blob.includes(clear));
        const unwrapped = await service.unwrap(ids.keyId, context, blob, signal);
        assert.deepEqual(unwrapped.clear, clear);
        assert.notEqual(unwrapped.requestId, requestId);
      });
    }

    it('wraps neither nothing nor more than the limit', async () => {
      for (const size of [0, WRAPPED_CLEAR_OCTETS + 1]) {
        await assert.rejects(service.wrap(ids.keyId, context, Buffer.alloc(size), signal), {
          kind: 'refused',
        });
      }
    });

    it('takes the pairs of a context in any order', async () => {
      const { blob } = await service.wrap(ids.keyId, context, Buffer.from('seed'), signal);
      const reversed = Object.fromEntries(Object.entries(context).reverse());
      const { clear } = await service.unwrap(ids.keyId, reversed, blob, signal);
      assert.equal(clear.toString(), 'seed');
    });

    const foreign: readonly (readonly [string, EncryptionContext])[] = [
      ['another mailbox', { ...context, 'letterlock:mailbox': newMailboxId() }],
      ['another purpose', { ...context, 'letterlock:purpose': 'directory' }],
      [
        'another organization',
        encryptionContext(DEFAULT_CONTEXT_OPTIONS, {
          organization: newOrganizationId(),
          mailbox,
          purpose: 'mailbox',
        }),
      ],
      ['a pair more', { ...context, more: 'x' }],
      [
        'a pair less',
        encryptionContext(DEFAULT_CONTEXT_OPTIONS, { organization, mailbox: null, purpose: 'mailbox' }),
      ],
      ['other letter case', { ...context, 'letterlock:purpose': 'Mailbox' }],
      ['no context', {}],
    ];
    for (const [what, other] of foreign) {
      it(`does not unwrap in the context of ${what}`, async () => {
        const { blob } = await service.wrap(ids.keyId, context, Buffer.from('seed'), signal);
        await assert.rejects(service.unwrap(ids.keyId, other, blob, signal), mismatch);
      });
    }

    it('does not unwrap under another key', async () => {
      const { blob } = await service.wrap(ids.keyId, context, Buffer.from('seed'), signal);
      await assert.rejects(service.unwrap(ids.otherKeyId, context, blob, signal), mismatch);
    });

    it('does not unwrap a blob with any bit flipped, cut short, extended or empty', async () => {
      const { blob } = await service.wrap(ids.keyId, context, randomBytes(32), signal);
      for (let bit = 0; bit < blob.length * 8; bit++) {
        const changed = Buffer.from(blob);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        await assert.rejects(service.unwrap(ids.keyId, context, changed, signal), mismatch, `bit ${bit}`);
      }
      for (let length = 0; length < blob.length; length++) {
        await assert.rejects(service.unwrap(ids.keyId, context, blob.subarray(0, length), signal), mismatch);
      }
      const longer = Buffer.concat([blob, Buffer.of(0)]);
      await assert.rejects(service.unwrap(ids.keyId, context, longer, signal), mismatch);
    });

    it('rewraps to another key and context, where alone the new blob opens', async () => {
      const from = { keyId: ids.keyId, context };
      const to = { keyId: ids.otherKeyId, context: { ...context, 'letterlock:mailbox': newMailboxId() } };
      const { blob } = await service.wrap(from.keyId, from.context, Buffer.from('seed'), signal);
      const moved = await service.rewrap({ ...from, blob }, to, signal);
      const { clear } = await service.unwrap(to.keyId, to.context, moved.blob, signal);
      assert.equal(clear.toString(), 'seed');
      await assert.rejects(service.unwrap(from.keyId, from.context, moved.blob, signal), mismatch);
      await assert.rejects(service.rewrap({ ...to, blob }, from, signal), mismatch);
    });

    it('describes a key that it has and denies one that it does not have', async () => {
      assert.deepEqual(await service.describe(ids.keyId, signal), { keyId: ids.keyId, isEnabled: true });
      const denied = { kind: 'refused', code: 'key-denied' };
      await assert.rejects(service.describe(ids.unknownKeyId, signal), denied);
      await assert.rejects(service.wrap(ids.unknownKeyId, context, Buffer.from('seed'), signal), denied);
    });

    it('is unavailable, not wrong, once the deadline has passed', async () => {
      const late = AbortSignal.abort();
      const down = { kind: 'unavailable', code: 'key-service-down' };
      const { blob } = await service.wrap(ids.keyId, context, Buffer.from('seed'), signal);
      await assert.rejects(service.wrap(ids.keyId, context, Buffer.from('seed'), late), down);
      await assert.rejects(service.unwrap(ids.keyId, context, blob, late), down);
      await assert.rejects(service.describe(ids.keyId, late), down);
    });
  });
}
