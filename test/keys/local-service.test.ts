import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { LocalKeyService } from '../../src/keys/local-service.ts';
import { keyServiceContract } from './service-contract.ts';
import { cleanUp, temporaryDirectory } from './support.ts';

const signal = new AbortController().signal;

after(cleanUp);

keyServiceContract('local', async () => ({
  service: await LocalKeyService.open({ path: join(temporaryDirectory(), 'root.key'), mayCreate: true }),
  keyId: 'local:default',
  otherKeyId: 'local:acme',
  unknownKeyId: 'arn:aws:kms:eu-west-1:111122223333:key/x',
}));

describe('local key service', () => {
  it('makes a root key of 64 hex digits and LF that only its owner may read, and nothing beside it', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'root.key');
    await LocalKeyService.open({ path, mayCreate: true });
    assert.match(readFileSync(path, 'latin1'), /^[0-9a-f]{64}\n$/);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(directory), ['root.key']);
  });

  it('keeps the root key that is there, also when it may create one', async () => {
    const path = join(temporaryDirectory(), 'root.key');
    const first = await LocalKeyService.open({ path, mayCreate: true });
    const { blob } = await first.wrap('local:default', {}, Buffer.from('seed'), signal);
    const second = await LocalKeyService.open({ path, mayCreate: true });
    assert.equal((await second.unwrap('local:default', {}, blob, signal)).clear.toString(), 'seed');
  });

  it('does not start without a root key unless it may create one', async () => {
    const path = join(temporaryDirectory(), 'root.key');
    await assert.rejects(LocalKeyService.open({ path, mayCreate: false }), { code: 'missing-key' });
  });

  for (const mode of [0o640, 0o604, 0o660, 0o610, 0o602]) {
    it(`refuses a root key of mode ${mode.toString(8)}`, async () => {
      const path = join(temporaryDirectory(), 'root.key');
      await LocalKeyService.open({ path, mayCreate: true });
      chmodSync(path, mode);
      await assert.rejects(LocalKeyService.open({ path, mayCreate: true }), { code: 'not-permitted' });
    });
  }

  for (const [what, content] of [
    ['empty', ''],
    ['too short', `${'0'.repeat(62)}\n`],
    ['too long', `${'0'.repeat(66)}\n`],
    ['without its line feed', '0'.repeat(64)],
    ['not hexadecimal', `${'g'.repeat(64)}\n`],
  ] as const) {
    it(`refuses a root key that is ${what}, and does not replace it`, async () => {
      const path = join(temporaryDirectory(), 'root.key');
      writeFileSync(path, content, { mode: 0o600 });
      await assert.rejects(LocalKeyService.open({ path, mayCreate: true }), { code: 'format' });
      assert.equal(readFileSync(path, 'latin1'), content);
    });
  }

  it('opens nothing that another root key wrapped', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(() =>
        LocalKeyService.open({ path: join(temporaryDirectory(), 'root.key'), mayCreate: true }),
      ),
    );
    const { blob } = await one!.wrap('local:default', {}, Buffer.from('seed'), signal);
    await assert.rejects(two!.unwrap('local:default', {}, blob, signal), { code: 'context-mismatch' });
  });

  it('wraps as docs/format.md says, read here with other code', async () => {
    const path = join(temporaryDirectory(), 'root.key');
    const service = await LocalKeyService.open({ path, mayCreate: true });
    const context = { b: '22', a: '1' };
    const { blob } = await service.wrap('local:acme', context, Buffer.from('seed'), signal);

    const root = Buffer.from(readFileSync(path, 'latin1').trim(), 'hex');
    const key = Buffer.from(hkdfSync('sha256', root, '', 'letterlock/v1/local/local:acme', 32));
    const decipher = createDecipheriv('aes-256-gcm', key, blob.subarray(1, 13));
    decipher.setAAD(Buffer.from('\0\0\0\x01a\0\0\0\x011\0\0\0\x01b\0\0\0\x0222', 'latin1'));
    decipher.setAuthTag(blob.subarray(-16));
    const clear = Buffer.concat([decipher.update(blob.subarray(13, -16)), decipher.final()]);
    assert.equal(blob[0], 1);
    assert.equal(clear.toString(), 'seed');
  });
});
