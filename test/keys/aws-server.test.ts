import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { createTransport } from 'nodemailer';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { receiveMessage } from '../support/mailbox.ts';
import { RawImap } from '../support/raw-imap.ts';
import { accountPolicy, type Key, TEST_ACCOUNT } from './kms-endpoint/key-table.ts';
import { KmsEndpoint, TEST_ACCESS_KEY } from './kms-endpoint/server.ts';

/** Leases end so long after their beginning. */
const LEASE_SECONDS = 1;

describe('a server whose keys AWS KMS wraps', () => {
  let endpoint: KmsEndpoint;
  let key: Key;
  let server: Letterlock;
  let alice: LetterlockUser;
  let bob: LetterlockUser;

  before(async function () {
    this.timeout(60_000);
    endpoint = await KmsEndpoint.start();
    key = endpoint.keys.create();
    server = await startLetterlock({
      config: {
        plaintextAuthNetworks: ['127.0.0.0/8'],
        keys: {
          service: 'aws',
          aws: { keyId: key.arn, endpoint: endpoint.url },
          leaseIdleSeconds: LEASE_SECONDS,
          leaseAbsoluteSeconds: LEASE_SECONDS,
        },
      },
      environment: { AWS_ACCESS_KEY_ID: TEST_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: 'secret' },
    });
    [alice, bob] = server.users as [LetterlockUser, LetterlockUser];
  });

  after(async () => {
    await server?.stop();
    await endpoint?.down();
  });

  const deliver = async (to: LetterlockUser, subject: string): Promise<void> => {
    const transport = createTransport({ host: server.host, port: server.ports.mx, ignoreTLS: true });
    await transport.sendMail({ from: 'carol@elsewhere.test', to: to.address, subject, text: 'Hello' });
  };
  const readyz = async (): Promise<[number, unknown]> => {
    const response = await fetch(`http://127.0.0.1:${server.ports.http}/readyz`);
    return [response.status, await response.json()];
  };
  const leasesEnd = () => sleep(LEASE_SECONDS * 1000 + 100);
  const login = async ({ address, password }: LetterlockUser): Promise<string> => {
    const client = await RawImap.connect(server.ports.imap);
    const { status, text } = await client.command(`LOGIN ${address} "${password}"`);
    await client.command('LOGOUT').catch(() => undefined);
    return `${status} ${text}`;
  };

  it('receives while KMS is down, says UNAVAILABLE at login, and shows the mail when it is up', async () => {
    await deliver(alice, 'before');
    await receiveMessage(server, alice, 'Subject: before');
    await endpoint.down();
    await leasesEnd();
    await deliver(alice, 'during');
    assert.match(await login(alice), /^NO \[UNAVAILABLE\]/);
    // Mail arrives: a load balancer must not send it elsewhere.
    assert.deepEqual(await readyz(), [200, { status: 'ready', degraded: ['key-service'] }]);
    await endpoint.up();
    await receiveMessage(server, alice, 'Subject: during');
    assert.deepEqual(await readyz(), [200, { status: 'ready' }]);
  });

  it('says CONTACTADMIN to the user whom the key policy denies, and only to that one', async () => {
    await leasesEnd();
    endpoint.calls.length = 0;
    assert.match(await login(alice), /^OK/);
    const mailbox = endpoint.calls.find(({ operation }) => operation === 'Decrypt')!.context[
      'letterlock:mailbox'
    ]!;
    const { Statement, ...policy } = accountPolicy(TEST_ACCOUNT);
    const Condition = { StringEquals: { 'kms:EncryptionContext:letterlock:mailbox': mailbox } };
    const deny = { Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*', Condition } as const;
    key.policy = { ...policy, Statement: [...Statement, deny] };
    await leasesEnd();
    assert.match(await login(alice), /^NO \[CONTACTADMIN\]/);
    assert.match(await login(bob), /^OK/);
    await deliver(alice, 'denied');
    key.policy = accountPolicy(TEST_ACCOUNT);
    await receiveMessage(server, alice, 'Subject: denied');
  });

  it('tells wrong credentials from a key that cannot be used', async () => {
    await endpoint.down();
    await leasesEnd();
    const wrong = { ...bob, password: 'wrong' };
    assert.match(await login(wrong), /^NO \[AUTHENTICATIONFAILED\]/);
    assert.match(await login(bob), /^NO \[UNAVAILABLE\]/);
    await endpoint.up();
    assert.match(await login(bob), /^OK/);
  });
});
