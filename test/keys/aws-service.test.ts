import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { after, afterEach, before, describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { AwsKeyService, type AwsServiceOptions } from '../../src/keys/aws-service.ts';
import { DEFAULT_CONTEXT_OPTIONS, encryptionContext } from '../../src/keys/context.ts';
import { failedRequestId } from '../../src/keys/service.ts';
import { AWS_ATTEMPTS, AWS_CALLS } from '../../src/limits.ts';
import type { Fault } from './kms-endpoint/faults.ts';
import { accountPolicy, type KeyState, TEST_ACCOUNT, TEST_REGION } from './kms-endpoint/key-table.ts';
import type { KmsErrorType } from './kms-endpoint/kms-error.ts';
import { KmsEndpoint, TEST_ACCESS_KEY, TEST_PRINCIPAL } from './kms-endpoint/server.ts';
import { keyServiceContract } from './service-contract.ts';
import { cleanUp, temporaryDirectory } from './support.ts';

const credentials = { accessKeyId: TEST_ACCESS_KEY, secretAccessKey: 'secret' };
const signal = new AbortController().signal;
const down = { kind: 'unavailable', code: 'key-service-down' };
const denied = { kind: 'refused', code: 'key-denied' };
const mismatch = { kind: 'integrity', code: 'context-mismatch' };
const seed = Buffer.from('the seed of a mailbox, 32 octets');

async function failureOf(call: Promise<unknown>): Promise<Error> {
  try {
    await call;
  } catch (error) {
    return error as Error;
  }
  assert.fail('The call succeeded.');
}

const endpoints: KmsEndpoint[] = [];

async function startEndpoint(): Promise<KmsEndpoint> {
  const endpoint = await KmsEndpoint.start();
  endpoints.push(endpoint);
  return endpoint;
}

const openService = (
  endpoint: KmsEndpoint,
  defaultKeyId: string,
  options: Partial<AwsServiceOptions> = {},
): Promise<AwsKeyService> =>
  AwsKeyService.open({ defaultKeyId, region: null, endpoint: endpoint.url, credentials, ...options });

after(async () => {
  for (const endpoint of endpoints) await endpoint.down();
  await cleanUp();
});

keyServiceContract('aws', async () => {
  const endpoint = await startEndpoint();
  const { arn } = endpoint.keys.create();
  return {
    service: await openService(endpoint, arn),
    keyId: arn,
    otherKeyId: endpoint.keys.create().arn,
    unknownKeyId: arn.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
  };
});

describe('aws key service', () => {
  const organization = newOrganizationId();
  const mailbox = newMailboxId();
  const context = encryptionContext(DEFAULT_CONTEXT_OPTIONS, { organization, mailbox, purpose: 'mailbox' });
  let endpoint: KmsEndpoint;
  let key: ReturnType<KmsEndpoint['keys']['create']>;
  let service: AwsKeyService;

  before(async () => {
    endpoint = await startEndpoint();
    key = endpoint.keys.create({ alias: 'alias/letterlock' });
    service = await openService(endpoint, key.arn, { times: { connectMs: 2_000, attemptMs: 400 } });
  });

  afterEach(() => {
    endpoint.faults.clear();
    endpoint.calls.length = 0;
    key.state = 'Enabled';
    key.policy = accountPolicy(TEST_ACCOUNT);
  });

  const wrap = () => service.wrap(key.arn, context, seed, signal);

  it('sends the encryption context with each call, and returns the request id that KMS logged', async () => {
    const { blob, requestId } = await wrap();
    const opened = await service.unwrap(key.arn, context, blob, signal);
    const to = { keyId: key.arn, context: { ...context, 'letterlock:purpose': 'cache' } };
    const moved = await service.rewrap({ keyId: key.arn, context, blob }, to, signal);
    assert.deepEqual(
      endpoint.calls.map((call) => [
        call.operation,
        call.keyId,
        call.context,
        call.requestId,
        call.principal,
      ]),
      [
        ['Encrypt', key.arn, context, requestId, TEST_PRINCIPAL],
        ['Decrypt', key.arn, context, opened.requestId, TEST_PRINCIPAL],
        ['ReEncrypt', key.arn, context, moved.requestId, TEST_PRINCIPAL],
      ],
    );
    assert.deepEqual(endpoint.calls[2]!.destination, to);
  });

  for (const [what, keyId] of [
    ['id', () => key.id],
    ['alias', () => 'alias/letterlock'],
    ['alias ARN', () => key.arn.replace(/key\/.*/, 'alias/letterlock')],
  ] as const) {
    it(`takes a key's ${what}`, async () => {
      const { blob } = await service.wrap(keyId(), context, seed, signal);
      assert.deepEqual((await service.unwrap(key.arn, context, blob, signal)).clear, seed);
      assert.deepEqual((await service.unwrap(keyId(), context, blob, signal)).clear, seed);
    });
  }

  describe('a key that may not be used', () => {
    for (const state of ['Disabled', 'PendingDeletion', 'PendingImport', 'Unavailable'] as KeyState[]) {
      it(`is denied and described as not enabled: ${state}`, async () => {
        const { blob } = await wrap();
        key.state = state;
        await assert.rejects(wrap(), denied);
        await assert.rejects(service.unwrap(key.arn, context, blob, signal), denied);
        assert.deepEqual(await service.describe(key.arn, signal), { keyId: key.arn, isEnabled: false });
      });
    }

    it('is denied when it is not for encryption', async () => {
      const { arn } = endpoint.keys.create({ usage: 'SIGN_VERIFY' });
      await assert.rejects(service.wrap(arn, context, seed, signal), denied);
    });

    for (const keyId of [
      'local:default',
      'alias/none',
      'arn:aws:iam::111122223333:user/x',
      'x'.repeat(2049),
    ]) {
      it(`is denied when nothing has its name: ${keyId.slice(0, 40)}`, async () => {
        await assert.rejects(service.wrap(keyId, context, seed, signal), denied);
      });
    }

    it('is denied at once, without retries, and the error has the request id', async () => {
      key.state = 'Disabled';
      const error = await failureOf(wrap());
      assert.deepEqual(
        endpoint.calls.map(({ outcome, requestId }) => [outcome, requestId]),
        [['DisabledException', failedRequestId(error)]],
      );
    });

    it('is denied by a policy for one mailbox only, in each direction of a rewrap too', async () => {
      const other = { ...context, 'letterlock:mailbox': newMailboxId() };
      const { blob } = await wrap();
      const otherBlob = (await service.wrap(key.arn, other, seed, signal)).blob;
      key.policy = {
        ...key.policy,
        Statement: [
          ...key.policy.Statement,
          {
            Effect: 'Deny',
            Principal: '*',
            Action: ['kms:Decrypt', 'kms:ReEncrypt*'],
            Resource: '*',
            Condition: { StringEquals: { 'kms:EncryptionContext:letterlock:mailbox': [mailbox] } },
          },
        ],
      };
      await assert.rejects(service.unwrap(key.arn, context, blob, signal), denied);
      const from = { keyId: key.arn, context };
      const to = { keyId: key.arn, context: other };
      await assert.rejects(service.rewrap({ ...from, blob }, to, signal), denied);
      await assert.rejects(service.rewrap({ ...to, blob: otherBlob }, from, signal), denied);
      assert.deepEqual((await service.unwrap(key.arn, other, otherBlob, signal)).clear, seed);
    });
  });

  describe('trouble', () => {
    const passing: [string, Fault][] = [
      ...(
        [
          'ThrottlingException',
          'DependencyTimeoutException',
          'KMSInternalException',
          'KeyUnavailableException',
          'InternalFailure',
          'ServiceUnavailable',
        ] as KmsErrorType[]
      ).map((type): [string, Fault] => [type, { kind: 'error', type }]),
      ['502 from a load balancer', { kind: 'status', status: 502 }],
      ['a reset connection', { kind: 'reset' }],
      ['an answer that does not come', { kind: 'hang' }],
      ['an answer that stops half way', { kind: 'stall' }],
    ];
    for (const [what, fault] of passing) {
      it(`is overcome when it happens once: ${what}`, async () => {
        const { blob } = await wrap();
        endpoint.faults.next(fault);
        assert.deepEqual((await service.unwrap(key.arn, context, blob, signal)).clear, seed);
      });
    }

    for (const [what, fault] of passing) {
      it(`that lasts is the key service down, after ${AWS_ATTEMPTS} attempts: ${what}`, async () => {
        endpoint.faults.standing = fault;
        const fresh = await openService(endpoint, key.arn, { times: { connectMs: 2_000, attemptMs: 60 } });
        await assert.rejects(fresh.wrap(key.arn, context, seed, signal), down);
        assert.equal(endpoint.calls.length, AWS_ATTEMPTS);
      });
    }

    it('that lasts is told with the request id of the last attempt', async () => {
      endpoint.faults.standing = { kind: 'error', type: 'KMSInternalException' };
      const error = await failureOf(wrap());
      assert.equal(failedRequestId(error), endpoint.calls.at(-1)!.requestId);
    });

    it('is the key service down when connections are refused, and over when they are not', async () => {
      await endpoint.down();
      await assert.rejects(wrap(), down);
      await endpoint.up();
      await wrap();
    });

    it('ends with the deadline, whatever attempts are left', async () => {
      endpoint.faults.standing = { kind: 'hang' };
      const fresh = await openService(endpoint, key.arn);
      await assert.rejects(fresh.wrap(key.arn, context, seed, AbortSignal.timeout(50)), down);
      assert.equal(endpoint.calls.length, 1);
    });

    for (const type of ['UnrecognizedClientException', 'IncompleteSignature'] as const) {
      it(`with our credentials says nothing about the key: ${type}`, async () => {
        endpoint.faults.standing = { kind: 'error', type };
        await assert.rejects(wrap(), down);
      });
    }

    it('with credentials that cannot be had is the key service down; an unknown access key too', async () => {
      const unavailable = async () => {
        throw Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' });
      };
      const without = await openService(endpoint, key.arn, { credentials: unavailable });
      await assert.rejects(without.wrap(key.arn, context, seed, signal), down);
      const stranger = { ...credentials, accessKeyId: 'AKIAI44QH8DHBEXAMPLE' };
      const unknown = await openService(endpoint, key.arn, { credentials: stranger });
      await assert.rejects(unknown.wrap(key.arn, context, seed, signal), down);
    });

    it('with credentials that never come ends with the deadline', async () => {
      const never = () => new Promise<never>(() => {});
      const waiting = await openService(endpoint, key.arn, { credentials: never });
      await assert.rejects(waiting.wrap(key.arn, context, seed, AbortSignal.timeout(20)), down);
    });

    it('in the middle of an answer puts no part of a clear key into the error', async () => {
      const clear = randomBytes(64);
      const { blob } = await service.wrap(key.arn, context, clear, signal);
      endpoint.faults.standing = { kind: 'cut' };
      const error = await failureOf(service.unwrap(key.arn, context, blob, signal));
      assert.match(String(error), /cannot be asked/);
      const whole = inspect(error, { depth: null, showHidden: true });
      assert.ok(!whole.includes(clear.toString('base64').slice(0, 4)), whole);
    });
  });

  describe('many calls', () => {
    it(`are ${AWS_CALLS} at a time at most, and all are answered`, async () => {
      endpoint.mostActive = 0;
      const fresh = await openService(endpoint, key.arn);
      endpoint.faults.standing = { kind: 'slow', ms: 20 };
      const calls = Array.from({ length: AWS_CALLS * 4 }, () => fresh.wrap(key.arn, context, seed, signal));
      await Promise.all(calls);
      assert.equal(endpoint.calls.length, calls.length);
      assert.ok(endpoint.mostActive > 1 && endpoint.mostActive <= AWS_CALLS, String(endpoint.mostActive));
    });

    it('that wait behind a service that hangs end with their deadline, and leave their place', async () => {
      endpoint.faults.standing = { kind: 'hang' };
      const deadline = AbortSignal.timeout(100);
      const calls = Array.from({ length: AWS_CALLS * 2 }, () =>
        service.wrap(key.arn, context, seed, deadline),
      );
      for (const { status } of await Promise.allSettled(calls)) assert.equal(status, 'rejected');
      endpoint.faults.clear();
      await wrap();
    });
  });

  describe('regions', () => {
    it('are asked where the ARN says; a rewrap within one is ReEncrypt, between two Decrypt and Encrypt', async () => {
      const near = endpoint.keys.create();
      const far = endpoint.keys.create({ region: 'us-east-2' });
      const both = await openService(endpoint, key.arn, { endpoints: { 'us-east-2': endpoint.url } });
      const { blob } = await both.wrap(key.arn, context, seed, signal);
      endpoint.calls.length = 0;
      const from = { keyId: key.arn, context, blob };
      await both.rewrap(from, { keyId: near.arn, context }, signal);
      const moved = await both.rewrap(from, { keyId: far.arn, context }, signal);
      assert.deepEqual((await both.unwrap(far.arn, context, moved.blob, signal)).clear, seed);
      assert.deepEqual(
        endpoint.calls.map(({ operation, region }) => [operation, region]),
        [
          ['ReEncrypt', TEST_REGION],
          ['Decrypt', TEST_REGION],
          ['Encrypt', 'us-east-2'],
          ['Decrypt', 'us-east-2'],
        ],
      );
      await assert.rejects(
        both.rewrap({ ...from, context: {} }, { keyId: far.arn, context }, signal),
        mismatch,
      );
    });

    it('of a key without ARN is the configured one', async () => {
      const far = endpoint.keys.create({ region: 'us-east-2' });
      const there = await openService(endpoint, far.id, { region: 'us-east-2' });
      await there.wrap(far.id, context, seed, signal);
      assert.equal(endpoint.calls.at(-1)!.region, 'us-east-2');
    });
  });

  it('takes region and credentials from the environment, and does not start without a region', async () => {
    const source = `
      const { AwsKeyService } = await import('${import.meta.resolve('../../src/keys/aws-service.ts')}');
      try {
        const options = { defaultKeyId: '${key.id}', region: null, endpoint: '${endpoint.url}' };
        const service = await AwsKeyService.open(options);
        await service.wrap('${key.id}', {}, Buffer.from('seed'), AbortSignal.timeout(10_000));
        console.log('wrapped');
      } catch ({ code }) {
        console.log(code);
      }`;
    const run = async (environment: Record<string, string>): Promise<string> => {
      const nowhere = join(temporaryDirectory(), 'none');
      const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { AWS_CONFIG_FILE: nowhere, AWS_SHARED_CREDENTIALS_FILE: nowhere, ...environment },
      });
      return (await text(child.stdout)).trim();
    };
    const keys = { AWS_ACCESS_KEY_ID: TEST_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: 'secret' };
    const region = { AWS_REGION: TEST_REGION };
    assert.equal(await run({ ...keys, ...region }), 'wrapped');
    assert.equal(await run(keys), 'invalid');
    assert.equal(await run({ ...region, AWS_EC2_METADATA_DISABLED: 'true' }), 'key-service-down');
  });

  it('asks nobody when it is opened', async () => {
    await openService(endpoint, key.arn);
    assert.deepEqual(endpoint.calls, []);
  });
});

describe('the endpoint as a program', () => {
  it('keeps its keys in a file, and does as it is told over HTTP', async () => {
    const state = join(temporaryDirectory(), 'keys.json');
    const id = '1234abcd-12ab-34cd-56ef-1234567890ab';
    const start = async () => {
      const program = join(import.meta.dirname, 'kms-endpoint/main.ts');
      const child = spawn(process.execPath, [program, '--state', state, '--key', id], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(createInterface(child.stdout), 'line');
      const ready = JSON.parse(line) as { url: string; control: string; keys: string[] };
      const arn = ready.keys[0]!;
      const service = await AwsKeyService.open({
        defaultKeyId: arn,
        region: null,
        endpoint: ready.url,
        credentials,
      });
      const stop = async () => {
        child.kill('SIGTERM');
        await once(child, 'exit');
      };
      return { ...ready, arn, service, stop };
    };
    const first = await start();
    const { blob } = await first.service.wrap(first.arn, {}, seed, signal);
    await first.stop();

    const second = await start();
    try {
      assert.deepEqual((await second.service.unwrap(second.arn, {}, blob, signal)).clear, seed);
      const put = (path: string, value: unknown) =>
        fetch(`${second.control}/${path}`, { method: 'PUT', body: JSON.stringify(value) });
      await put(`keys/${id}/state`, 'Disabled');
      await assert.rejects(second.service.unwrap(second.arn, {}, blob, signal), denied);
      await put('listening', false);
      await assert.rejects(second.service.unwrap(second.arn, {}, blob, signal), down);
      const calls = (await (await fetch(`${second.control}/calls`)).json()) as { outcome: string }[];
      assert.deepEqual(
        calls.map(({ outcome }) => outcome),
        ['ok', 'DisabledException'],
      );
    } finally {
      await second.stop();
    }
  });
});
