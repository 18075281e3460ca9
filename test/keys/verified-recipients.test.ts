import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, beforeEach, describe, it } from 'mocha';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { KeyStore, type MailboxKeyRow } from '../../src/keys/key-store.ts';
import { newDirectoryKey, openDirectoryKey, signStatement } from '../../src/keys/statement.ts';
import { VerifiedRecipients } from '../../src/keys/verified-recipients.ts';
import { generateIdentitySeed, identityFromSeed } from '../../src/seal/recipient.ts';
import { cleanUp, temporaryDirectory } from './support.ts';

describe('verified recipients', () => {
  const organization = newOrganizationId();
  const mailbox = newMailboxId();
  const { secret, publicKey } = newDirectoryKey();
  let path: string;
  let store: KeyStore;
  let recipients: VerifiedRecipients;

  const signedRow = (epoch: number, signingSecret = secret, pin = publicKey): MailboxKeyRow => {
    const { recipient } = identityFromSeed('x25519', generateIdentitySeed());
    const fields = { organization, mailbox, epoch, recipient: recipient.encoded };
    return {
      ...fields,
      recipientType: 'x25519',
      signature: signStatement(openDirectoryKey(signingSecret, pin), fields),
      identity: { keyId: 'local:default', context: {}, wrapped: Buffer.alloc(1) },
      sealedIndexKey: Buffer.alloc(1),
      state: 'pending',
      createdAt: 1,
    };
  };
  /** Exchanges the current row, behind the store's back. */
  const replace = (row: MailboxKeyRow): void => {
    const database = new DatabaseSync(path);
    database.exec('DELETE FROM mailbox_key');
    database.close();
    store.addPending([row], () => Buffer.alloc(32));
    store.publish([row]);
  };

  beforeEach(() => {
    path = join(temporaryDirectory(), 'keys.db');
    store = KeyStore.open(path);
    store.addOrganization({
      organization,
      keyId: 'local:default',
      directoryKey: publicKey,
      directorySecret: { keyId: 'local:default', context: {}, wrapped: Buffer.alloc(1) },
      createdAt: 1,
    });
    recipients = new VerifiedRecipients(store);
  });
  afterEach(() => store.close());
  after(cleanUp);

  it('refuse an epoch below the highest that was seen, genuinely signed as it is', () => {
    const [first, second] = [signedRow(1), signedRow(2)];
    replace(first);
    assert.equal(recipients.get(organization, mailbox).epoch, 1);
    replace(second);
    recipients.forget(mailbox);
    assert.equal(recipients.get(organization, mailbox).recipient.encoded, second.recipient);
    replace(first);
    recipients.forget(mailbox);
    assert.throws(() => recipients.get(organization, mailbox), { code: 'recipient-unverified' });
  });

  it('do not follow a pin that changes under the running process', () => {
    replace(signedRow(1));
    recipients.get(organization, mailbox);
    const attacker = newDirectoryKey();
    const database = new DatabaseSync(path);
    database.prepare('UPDATE organization_key SET directory_key = ?').run(attacker.publicKey);
    database.close();
    replace(signedRow(1, attacker.secret, attacker.publicKey));
    recipients.forget(mailbox);
    assert.throws(() => recipients.get(organization, mailbox), { code: 'recipient-unverified' });
  });

  it('are refused, signed as they are, when their pin is not the one that is kept apart', () => {
    replace(signedRow(1));
    const genuine = new VerifiedRecipients(store, () => Uint8Array.from(publicKey));
    genuine.get(organization, mailbox);
    const other = newDirectoryKey();
    const database = new DatabaseSync(path);
    database.prepare('UPDATE organization_key SET directory_key = ?').run(other.publicKey);
    database.close();
    replace(signedRow(1, other.secret, other.publicKey));
    new VerifiedRecipients(store, () => null).get(organization, mailbox);
    const pinned = new VerifiedRecipients(store, () => Uint8Array.from(publicKey));
    assert.throws(() => pinned.get(organization, mailbox), { code: 'recipient-unverified' });
  });

  it('are kept once verified, until they are forgotten', () => {
    const [row, other] = [signedRow(1), signedRow(1)];
    replace(row);
    const { recipient } = recipients.get(organization, mailbox);
    replace(other);
    assert.equal(recipients.get(organization, mailbox).recipient, recipient);
    recipients.forget(mailbox);
    assert.equal(recipients.get(organization, mailbox).recipient.encoded, other.recipient);
  });
});
