import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { newMailboxId } from '../../src/ids.ts';
import { AwsKeyService } from '../../src/keys/aws-service.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { Key } from './kms-endpoint/key-table.ts';
import type { KeyPolicy } from './kms-endpoint/policy.ts';
import { KmsEndpoint } from './kms-endpoint/server.ts';
import {
  cleanUp,
  createTenant,
  journalRecords,
  openKeyring,
  ownerRequest,
  StandingClock,
  type Tenant,
} from './support.ts';

const OPERATING = join(import.meta.dirname, '../../docs/operating.md');
const LETTERLOCK = 'AKIALETTERLOCK';
const ADMINISTRATOR = 'AKIAADMINISTRATOR';
const principals = {
  [LETTERLOCK]: 'arn:aws:iam::111122223333:role/Letterlock',
  [ADMINISTRATOR]: 'arn:aws:iam::111122223333:role/KeyAdministrator',
};
/** As docs/operating.md has it in the configuration. */
const context = {
  name: 'aws:workmail:arn',
  arnPrefix: 'arn:aws:workmail',
  region: 'eu-central-1',
  account: '111122223333',
};
const denied = { kind: 'refused', code: 'key-denied' };
const down = { kind: 'unavailable', code: 'key-service-down' };
const signal = new AbortController().signal;

/** The key policy that operators are told to use. */
async function documentedPolicy(): Promise<KeyPolicy> {
  const text = await readFile(OPERATING, 'utf8');
  const block = /^ {4}\{\n[\s\S]*?^ {4}\}$/m.exec(text.slice(text.indexOf('\n## With Docker Compose\n')));
  return JSON.parse(block![0]) as KeyPolicy;
}

/** The same with other ids in its list of locked mailboxes. */
const locking = (policy: KeyPolicy, mailboxes: readonly string[]): KeyPolicy => ({
  ...policy,
  Statement: policy.Statement.map((statement) =>
    statement.Sid === 'LockedMailboxes'
      ? {
          ...statement,
          Condition: { StringEquals: { 'kms:EncryptionContext:letterlock:mailbox': mailboxes } },
        }
      : statement,
  ),
});

describe('keyring over AWS KMS, under the documented key policy', () => {
  let endpoint: KmsEndpoint;
  let key: Key;
  let policy: KeyPolicy;
  let keyring: Keyring;
  let journal: string;
  let clock: StandingClock;
  let tenant: Tenant;
  let neighbour: Tenant;

  const serviceFor = (accessKeyId: string): Promise<AwsKeyService> =>
    AwsKeyService.open({
      defaultKeyId: key.arn,
      region: null,
      endpoint: endpoint.url,
      credentials: { accessKeyId, secretAccessKey: 'secret' },
    });
  const open = ({ mailbox, organization }: Tenant) =>
    keyring.ownerHandle(ownerRequest({ mailbox, organization })).lease();
  const deliver = ({ organization, mailbox }: Tenant) =>
    keyring.deliverHandle(organization, mailbox, null).recipient.wrap(Buffer.alloc(16, 1));

  before(async () => {
    endpoint = await KmsEndpoint.start({ principals });
    key = endpoint.keys.create();
    policy = await documentedPolicy();
    key.policy = policy;
    const service = await serviceFor(LETTERLOCK);
    clock = new StandingClock();
    const opened = await openKeyring({ service: () => service, context, clock });
    ({ keyring, journal } = opened);
    tenant = await createTenant(keyring);
    const mailbox = newMailboxId();
    await keyring.createMailboxKeys({ ...tenant, mailbox, principal: 'admin' });
    neighbour = { ...tenant, mailbox };
  });

  after(async () => {
    await keyring?.close();
    await endpoint?.down();
    await cleanUp();
  });

  it('makes keys that open what was sealed to them', async () => {
    const lease = await open(tenant);
    assert.deepEqual(lease.identity.unwrap(deliver(tenant)), Buffer.alloc(16, 1));
  });

  it('names organization, mailbox and purpose in each call that KMS logs, and never anything else', () => {
    const { organization, mailbox } = tenant;
    const named = {
      'aws:workmail:arn': `arn:aws:workmail:eu-central-1:111122223333:organization/${organization}`,
    };
    const expected = [
      { ...named, 'letterlock:purpose': 'directory' },
      { ...named, 'letterlock:mailbox': mailbox, 'letterlock:purpose': 'mailbox' },
      { ...named, 'letterlock:mailbox': neighbour.mailbox, 'letterlock:purpose': 'mailbox' },
    ].map((pairs) => JSON.stringify(Object.entries(pairs).sort()));
    const seen = endpoint.calls.map((call) => JSON.stringify(Object.entries(call.context).sort()));
    assert.deepEqual(new Set(seen), new Set(expected));
  });

  it('delivers while KMS is down, tells owners that it is, and opens all afterwards', async () => {
    keyring.endLease(tenant.mailbox);
    await endpoint.down();
    const stanza = deliver(tenant);
    await assert.rejects(open(tenant), down);
    const request = { ...tenant, mailbox: newMailboxId(), principal: 'admin' };
    await assert.rejects(keyring.createMailboxKeys(request), down);
    await endpoint.up();
    assert.deepEqual((await open(tenant)).identity.unwrap(stanza), Buffer.alloc(16, 1));
  });

  it('denies the mailbox that the policy names, and only that one, and goes on receiving for it', async () => {
    key.policy = locking(policy, [tenant.mailbox]);
    keyring.endLease(tenant.mailbox);
    keyring.endLease(neighbour.mailbox);
    await assert.rejects(open(tenant), denied);
    await open(neighbour);
    const stanza = deliver(tenant);
    key.policy = policy;
    assert.deepEqual((await open(tenant)).identity.unwrap(stanza), Buffer.alloc(16, 1));
  });

  it('keeps a denied mailbox open for 300 seconds at most, however much it is used', async () => {
    await open(tenant);
    key.policy = locking(policy, [tenant.mailbox]);
    for (let seconds = 0; seconds < 270; seconds += 30) {
      await open(tenant);
      clock.advance(30_000);
    }
    clock.advance(30_000);
    await assert.rejects(open(tenant), denied);
    key.policy = policy;
  });

  it("writes KMS's request id into the key-use journal, of calls that failed too", async () => {
    keyring.endLease(tenant.mailbox);
    await open(tenant);
    const opened = endpoint.calls.at(-1)!;
    keyring.endLease(tenant.mailbox);
    key.state = 'Disabled';
    await assert.rejects(open(tenant), denied);
    key.state = 'Enabled';
    const failed = endpoint.calls.at(-1)!;
    // The next intent is synced, with all that came before it.
    await open(tenant);
    const requestIds: unknown[] = [opened.requestId, failed.requestId];
    assert.deepEqual(
      journalRecords(journal)
        .filter(({ event, requestId }) => event === 'outcome' && requestIds.includes(requestId))
        .map(({ operation, requestId, outcome }) => [operation, requestId, outcome]),
      [
        ['unwrap', opened.requestId, 'ok'],
        ['unwrap', failed.requestId, 'key-denied'],
      ],
    );
  });

  it('lets administrators of the key change it, not use it, and Letterlock use it in no other context', async () => {
    const administrator = await serviceFor(ADMINISTRATOR);
    assert.equal((await administrator.describe(key.arn, signal)).isEnabled, true);
    const pairs = endpoint.calls.find(({ operation }) => operation === 'Encrypt')!.context;
    await assert.rejects(administrator.wrap(key.arn, pairs, Buffer.from('seed'), signal), denied);
    const letterlock = await serviceFor(LETTERLOCK);
    await letterlock.wrap(key.arn, pairs, Buffer.from('seed'), signal);
    await assert.rejects(letterlock.wrap(key.arn, {}, Buffer.from('seed'), signal), denied);
    assert.equal((await letterlock.describe(key.arn, signal)).isEnabled, true);
  });
});
