import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'mocha';
import { newMailboxId } from '../../src/ids.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import {
  cleanUp,
  createTenant,
  FaultyFile,
  journalRecords,
  observed,
  openKeyring,
  ownerRequest,
  type Tenant,
} from './support.ts';

const locked = { kind: 'refused', code: 'locked' };

const lease = (keyring: Keyring, tenant: Tenant) =>
  keyring.ownerHandle(ownerRequest({ organization: tenant.organization, mailbox: tenant.mailbox })).lease();

async function neighbourOf(keyring: Keyring, { organization }: Tenant): Promise<Tenant> {
  const mailbox = newMailboxId();
  await keyring.createMailboxKeys({ organization, mailbox, principal: 'admin' });
  return { organization, mailbox };
}

function saltOf(directory: string, { mailbox }: Tenant): Buffer {
  const database = new DatabaseSync(join(directory, 'keys.db'), { readOnly: true });
  const row = database.prepare('SELECT cache_salt FROM mailbox WHERE mailbox = ?').get(mailbox)!;
  database.close();
  return Buffer.from(row['cache_salt'] as Uint8Array);
}

describe('a locked mailbox', () => {
  after(cleanUp);

  it('is opened for nobody, and no key service is asked, until it is unlocked', async () => {
    let calls = 0;
    const { keyring } = await openKeyring({
      service: (local) => observed(local, () => void calls++),
    });
    const tenant = await createTenant(keyring);
    const neighbour = await neighbourOf(keyring, tenant);
    const owner = keyring.ownerHandle(ownerRequest(tenant));
    const held = await owner.lease();
    await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', 'lost phone');
    calls = 0;
    assert.throws(() => held.identity, { kind: 'unavailable' });
    await assert.rejects(owner.lease(), locked);
    await assert.rejects(lease(keyring, tenant), locked);
    assert.equal(calls, 0);
    await lease(keyring, neighbour);

    await keyring.locks.unlockMailbox(tenant.mailbox, 'administrator');
    assert.ok((await owner.lease()).identity);
    await keyring.close();
  });

  it('receives all the same', async () => {
    const { keyring } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', '');
    const stanza = keyring
      .deliverHandle(tenant.organization, tenant.mailbox, null)
      .recipient.wrap(Buffer.alloc(16, 1));
    await keyring.locks.unlockMailbox(tenant.mailbox, 'administrator');
    assert.deepEqual((await lease(keyring, tenant)).identity.unwrap(stanza), Buffer.alloc(16, 1));
    await keyring.close();
  });

  it('gets nothing from an unwrap that was in flight when it was locked', async () => {
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
    let isHeld = false;
    const { keyring } = await openKeyring({
      service: (local) =>
        observed(local, async () => {
          if (!isHeld) return;
          isAsked();
          await answer;
        }),
    });
    const tenant = await createTenant(keyring);
    isHeld = true;
    const opening = lease(keyring, tenant);
    await asked;
    await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', '');
    resolve();
    await assert.rejects(opening, locked);
    await keyring.locks.unlockMailbox(tenant.mailbox, 'administrator');
    await keyring.close();
  });

  it('stays locked after a restart, with its reason, and gives way to its removal', async () => {
    const { keyring, directory } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', 'lost phone');
    await keyring.close();
    const { keyring: again } = await openKeyring({ directory });
    assert.equal(again.locks.of(tenant.organization, tenant.mailbox).mailbox?.reason, 'lost phone');
    await assert.rejects(lease(again, tenant), locked);
    await again.removeMailboxKeys(tenant.mailbox, 'administrator');
    assert.equal(again.locks.of(tenant.organization, tenant.mailbox).mailbox, null);
    await assert.rejects(again.locks.lockMailbox(tenant.mailbox, 'a', ''), { code: 'nonexistent' });
    assert.deepEqual(again.verify(), []);
    await again.close();
  });

  it('gets a new cache salt with each lock, and the old one is overwritten on the disk', async () => {
    const { keyring, directory } = await openKeyring();
    const tenant = await createTenant(keyring);
    const salts = [saltOf(directory, tenant)];
    for (let locks = 0; locks < 2; locks++) {
      await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', '');
      salts.push(saltOf(directory, tenant));
    }
    assert.equal(new Set(salts.map((salt) => salt.toString('hex'))).size, 3);
    for (const file of ['keys.db', 'keys.db-wal']) {
      const octets = readFileSync(join(directory, file));
      for (const salt of salts.slice(0, 2)) assert.ok(!octets.includes(salt), file);
    }
    await keyring.close();
  });

  it('can be locked in a key store of the first schema version, which is brought up to date', async () => {
    const { keyring, directory } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.close();
    const database = new DatabaseSync(join(directory, 'keys.db'));
    const drop = ['mailbox_lock', 'organization_lock', 'cache_key', 'dkim_key'].map(
      (table) => `DROP TABLE ${table};`,
    );
    database.exec(`${drop.join('')} PRAGMA user_version = 1`);
    database.close();
    const { keyring: again } = await openKeyring({ directory });
    await lease(again, tenant);
    await again.locks.lockMailbox(tenant.mailbox, 'administrator', '');
    await assert.rejects(lease(again, tenant), locked);
    assert.deepEqual(again.verify(), []);
    await again.close();
  });

  it('has lock and unlock on record, with who and why', async () => {
    const { keyring, journal } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.locks.lockMailbox(tenant.mailbox, 'administrator', 'lost phone');
    await keyring.locks.lockOrganization(tenant.organization, 'administrator', '');
    await keyring.locks.unlockOrganization(tenant.organization, 'administrator');
    await keyring.locks.unlockMailbox(tenant.mailbox, 'administrator');
    await keyring.close();
    const records = journalRecords(journal)
      .filter(({ event }) => event === 'outcome')
      .slice(-4);
    assert.deepEqual(
      records.map(({ operation, reason, mailbox, principal, outcome }) => [
        operation,
        reason,
        mailbox,
        principal,
        outcome,
      ]),
      [
        ['lock', 'lost phone', tenant.mailbox, 'administrator', 'ok'],
        ['lock', 'lock organization', undefined, 'administrator', 'ok'],
        ['unlock', 'unlock organization', undefined, 'administrator', 'ok'],
        ['unlock', 'unlock mailbox', tenant.mailbox, 'administrator', 'ok'],
      ],
    );
  });

  it('is locked, though not unlocked, while the journal cannot be written; the administrator is told', async () => {
    let file: FaultyFile | undefined;
    const { keyring } = await openKeyring({
      openJournalFile: async (path) => {
        file = await FaultyFile.open(path);
        return file;
      },
    });
    const tenant = await createTenant(keyring);
    file!.fault = 'sync';
    const unrecorded = { kind: 'unavailable', code: 'key-service-down' };
    await assert.rejects(keyring.locks.lockMailbox(tenant.mailbox, 'administrator', ''), unrecorded);
    await assert.rejects(lease(keyring, tenant), locked);
    await assert.rejects(keyring.locks.unlockMailbox(tenant.mailbox, 'administrator'), unrecorded);
    await assert.rejects(lease(keyring, tenant), locked);
    await keyring.close();
  });
});

describe('a locked organization', () => {
  it('has all its mailboxes locked, and unlocks none that was locked by itself', async () => {
    const { keyring } = await openKeyring();
    const alice = await createTenant(keyring);
    const bob = await neighbourOf(keyring, alice);
    const stranger = await createTenant(keyring);
    const held = await Promise.all([alice, bob, stranger].map((tenant) => lease(keyring, tenant)));
    await keyring.locks.lockMailbox(alice.mailbox, 'administrator', '');
    await keyring.locks.lockOrganization(alice.organization, 'administrator', '');
    for (const ended of held.slice(0, 2)) assert.throws(() => ended.identity, { kind: 'unavailable' });
    assert.ok(held[2]!.identity);
    await assert.rejects(lease(keyring, alice), locked);
    await assert.rejects(lease(keyring, bob), locked);
    await lease(keyring, stranger);
    await keyring.locks.unlockOrganization(alice.organization, 'administrator');
    await assert.rejects(lease(keyring, alice), locked);
    await lease(keyring, bob);
    await keyring.close();
  });

  it('locks mailboxes that are made later', async () => {
    const { keyring } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.locks.lockOrganization(tenant.organization, 'administrator', '');
    await assert.rejects(lease(keyring, await neighbourOf(keyring, tenant)), locked);
    await keyring.close();
  });

  it('loses its lock with its keys', async () => {
    const { keyring, directory } = await openKeyring();
    const tenant = await createTenant(keyring);
    await keyring.locks.lockOrganization(tenant.organization, 'administrator', '');
    await keyring.removeMailboxKeys(tenant.mailbox, 'administrator');
    await keyring.removeOrganizationKeys(tenant.organization, 'administrator');
    assert.equal(keyring.locks.of(tenant.organization, null).organization, null);
    await assert.rejects(keyring.locks.lockOrganization(tenant.organization, 'a', ''), {
      code: 'nonexistent',
    });
    await keyring.close();
    const { keyring: again } = await openKeyring({ directory });
    assert.equal(again.locks.of(tenant.organization, null).organization, null);
    await again.close();
  });
});
