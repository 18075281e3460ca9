import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, beforeEach, describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { KeyStore, type MailboxKeyRow } from '../../src/keys/key-store.ts';
import { cleanUp, temporaryDirectory } from './support.ts';

describe('key store', () => {
  const organization = newOrganizationId();
  const salt = () => randomBytes(32);
  let path: string;
  let store: KeyStore;

  const keyRow = (): MailboxKeyRow => ({
    organization,
    mailbox: newMailboxId(),
    epoch: 1,
    recipientType: 'x25519',
    recipient: `age1${randomBytes(16).toString('hex')}`,
    signature: randomBytes(64),
    identity: { keyId: 'local:default', context: { a: '1' }, wrapped: randomBytes(61) },
    sealedIndexKey: randomBytes(81),
    state: 'pending',
    createdAt: 1,
  });

  beforeEach(() => {
    path = join(temporaryDirectory(), 'keys.db');
    store = KeyStore.open(path);
    store.addOrganization({
      organization,
      keyId: 'local:default',
      directoryKey: randomBytes(32),
      directorySecret: { keyId: 'local:default', context: { a: '1' }, wrapped: randomBytes(61) },
      createdAt: 1,
    });
  });
  afterEach(() => store.close());
  after(cleanUp);

  it('refuses a file of a later version and leaves it as it is', () => {
    store.close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 99');
    database.close();
    assert.throws(() => KeyStore.open(path), { code: 'format' });
    store = KeyStore.open(join(temporaryDirectory(), 'keys.db'));
  });

  it('is readable by its owner alone', () => {
    for (const name of [path, `${path}-wal`]) assert.equal(statSync(name).mode & 0o777, 0o600, name);
  });

  it('shows a key only after it was published', () => {
    const row = keyRow();
    store.addPending([row], salt);
    assert.equal(store.currentRecipient(row.mailbox), undefined);
    assert.equal(store.currentKey(row.mailbox), undefined);
    assert.ok(!store.hasCurrentKey(row.mailbox));
    store.publish(store.readBackPending([row.mailbox]));
    assert.deepEqual(store.currentKey(row.mailbox), { ...row, state: 'current' });
    assert.ok(store.hasCurrentKey(row.mailbox));
  });

  it('publishes the very key that was read back, or none of the batch', () => {
    const [one, two] = [keyRow(), keyRow()];
    store.addPending([one, two], salt);
    const stored = store.readBackPending([one.mailbox, two.mailbox]);
    store.addPending([{ ...two, recipient: 'age1other' }], salt);
    assert.throws(() => store.publish(stored), { code: 'missing-key' });
    assert.ok(!store.hasCurrentKey(one.mailbox));
  });

  it('replaces a pending key, never a published one', () => {
    const row = keyRow();
    store.addPending([row], salt);
    store.addPending([{ ...row, recipient: 'age1second' }], salt);
    store.publish(store.readBackPending([row.mailbox]));
    assert.equal(store.currentRecipient(row.mailbox)?.recipient, 'age1second');
    assert.throws(() => store.addPending([{ ...row, recipient: 'age1third' }], salt));
    assert.equal(store.currentRecipient(row.mailbox)?.recipient, 'age1second');
  });

  it('has one current key a mailbox', () => {
    const row = keyRow();
    store.addPending([row], salt);
    store.publish([row]);
    store.addPending([{ ...row, epoch: 2 }], salt);
    assert.throws(() => store.publish([{ ...row, epoch: 2 }]));
  });

  it('leaves no octet of a removed wrapped key in its files', () => {
    const rows = Array.from({ length: 50 }, keyRow);
    store.addPending(rows, salt);
    store.publish(rows);
    const victim = rows[20]!;
    const files = () => Buffer.concat([readFileSync(path), readFileSync(`${path}-wal`)]);
    assert.ok(files().includes(victim.identity.wrapped));
    store.removeMailbox(victim.mailbox);
    assert.ok(!files().includes(victim.identity.wrapped));
    assert.ok(!files().includes(victim.sealedIndexKey));
    assert.ok(files().includes(rows[21]!.identity.wrapped));
    assert.ok(store.hasCurrentKey(rows[21]!.mailbox));
  });

  it('says that a removed key may still be in the file while another process reads it', () => {
    const row = keyRow();
    store.addPending([row], salt);
    const reader = new DatabaseSync(path, { readOnly: true });
    reader.exec('BEGIN; SELECT count(*) FROM mailbox;');
    assert.throws(() => store.removeMailbox(row.mailbox), { kind: 'unavailable', code: 'busy' });
    reader.close();
    store.emptyWal();
  });

  it('does not remove an organization that has mailboxes', () => {
    const row = keyRow();
    store.addPending([row], salt);
    assert.throws(() => store.removeOrganization(organization), { kind: 'refused', code: 'in-use' });
    store.removeMailbox(row.mailbox);
    store.removeOrganization(organization);
    assert.equal(store.organization(organization), undefined);
  });
});
