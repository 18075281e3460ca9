import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'mocha';
import { RefusedError, UnavailableError } from '../../src/errors.ts';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import { verifyUseJournal } from '../../src/keys/journal-verify.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import {
  cleanUp,
  createTenant,
  FaultyFile,
  journalRecords,
  observed,
  openKeyring,
  ownerRequest,
  StandingClock,
  type Tenant,
} from './support.ts';

/** Changes keys.db as one who can write the disk would, with no keyring open. */
function tamper(directory: string, sql: string, ...values: (string | number | Uint8Array)[]): void {
  const database = new DatabaseSync(join(directory, 'keys.db'));
  const { changes } = database.prepare(sql).run(...values);
  database.close();
  assert.ok(Number(changes) > 0, 'nothing was changed');
}

const deliver = (keyring: Keyring, { organization, mailbox }: Tenant) =>
  keyring.deliverHandle(organization, mailbox, null);

describe('keyring', () => {
  after(cleanUp);

  for (const recipientType of ['x25519', 'mlkem768x25519'] as const) {
    it(`makes keys that open what was sealed to them, also after a restart: ${recipientType}`, async () => {
      const { keyring, directory } = await openKeyring({ recipientType });
      const tenant = await createTenant(keyring);
      const fileKey = Buffer.alloc(16, 1);
      const handle = deliver(keyring, tenant);
      const stanza = handle.recipient.wrap(fileKey);
      assert.deepEqual([handle.kind, handle.epoch, handle.recipient.type], ['deliver', 1, recipientType]);
      const before = await keyring.ownerHandle(ownerRequest(tenant)).lease();
      const indexKey = Buffer.from(before.indexKey);
      await keyring.close();
      assert.throws(() => before.identity, { kind: 'unavailable' });

      const again = await openKeyring({ directory });
      const lease = await again.keyring.ownerHandle(ownerRequest(tenant)).lease();
      assert.deepEqual(lease.identity.unwrap(stanza), fileKey);
      assert.deepEqual(Buffer.from(lease.indexKey), indexKey);
      assert.deepEqual(again.keyring.verify(), []);
      await again.keyring.close();
    });
  }

  it('delivers while the key service is down, and tells an owner that it is', async () => {
    let isDown = false;
    const { keyring } = await openKeyring({
      service: (local) =>
        observed(local, () => {
          if (isDown) throw new UnavailableError('key-service-down', 'Down.');
        }),
    });
    const tenant = await createTenant(keyring);
    isDown = true;
    assert.ok(deliver(keyring, tenant).recipient.encoded.startsWith('age1'));
    const owner = keyring.ownerHandle(ownerRequest(tenant));
    await assert.rejects(owner.lease(), { kind: 'unavailable', code: 'key-service-down' });
    isDown = false;
    await owner.lease();
    await keyring.close();
  });

  it('gives no key to a mailbox that has none, or to another organization', async () => {
    const { keyring } = await openKeyring();
    const tenant = await createTenant(keyring);
    const stranger = { ...tenant, mailbox: newMailboxId() };
    const foreign = { ...tenant, organization: newOrganizationId() };
    assert.throws(() => deliver(keyring, stranger), { code: 'missing-key' });
    assert.throws(() => keyring.ownerHandle(ownerRequest(stranger)), { code: 'missing-key' });
    assert.throws(() => deliver(keyring, foreign), { code: 'recipient-unverified' });
    assert.throws(() => keyring.ownerHandle(ownerRequest(foreign)), { code: 'recipient-unverified' });
    await keyring.close();
  });

  describe('making keys', () => {
    it('changes nothing when it is repeated', async () => {
      const { keyring } = await openKeyring();
      const tenant = await createTenant(keyring);
      const before = deliver(keyring, tenant).recipient.encoded;
      await keyring.createOrganizationKeys(tenant.organization, undefined, 'admin');
      await keyring.createMailboxKeys({ ...tenant, principal: 'admin' });
      await Promise.all([1, 2].map(() => keyring.createMailboxKeys({ ...tenant, principal: 'admin' })));
      assert.equal(deliver(keyring, tenant).recipient.encoded, before);
      await keyring.close();
    });

    it('makes them once when it is asked twice at the same time', async () => {
      const { keyring } = await openKeyring();
      const tenant = await createTenant(keyring);
      const mailbox = newMailboxId();
      const request = { organization: tenant.organization, mailbox, principal: 'admin' };
      await Promise.all([keyring.createMailboxKeys(request), keyring.createMailboxKeys(request)]);
      await keyring.ownerHandle(ownerRequest({ ...tenant, mailbox })).lease();
      await keyring.close();
    });

    it('refuses a key id that the service does not have, a second one, and a mailbox of another tenant', async () => {
      const { keyring } = await openKeyring();
      const { organization, mailbox } = await createTenant(keyring);
      const other = newOrganizationId();
      await assert.rejects(keyring.createOrganizationKeys(other, 'aws:x', 'admin'), { code: 'key-denied' });
      await assert.rejects(keyring.createOrganizationKeys(organization, 'local:acme', 'admin'), {
        code: 'already-exists',
      });
      await keyring.createOrganizationKeys(other, 'local:acme', 'admin');
      const request = { organization: other, mailbox, principal: 'admin' };
      await assert.rejects(keyring.createMailboxKeys(request), { code: 'already-exists' });
      await keyring.close();
    });

    it('needs keys of the organization first', async () => {
      const { keyring } = await openKeyring();
      const request = { organization: newOrganizationId(), mailbox: newMailboxId(), principal: 'admin' };
      await assert.rejects(keyring.createMailboxKeys(request), { code: 'missing-key' });
      await keyring.close();
    });

    it('makes those of 300 mailboxes with a few syncs', async () => {
      let file: FaultyFile | undefined;
      const { keyring } = await openKeyring({
        recipientType: 'mlkem768x25519',
        openJournalFile: async (path) => {
          file = await FaultyFile.open(path);
          return file;
        },
      });
      const { organization } = await createTenant(keyring);
      const mailboxes = Array.from({ length: 300 }, newMailboxId);
      const before = file!.syncs;
      await keyring.createManyMailboxKeys(
        mailboxes.map((mailbox) => ({ organization, mailbox, principal: 'admin' })),
      );
      assert.ok(file!.syncs - before < 150, `${file!.syncs - before} syncs of the journal`);
      for (const mailbox of mailboxes) deliver(keyring, { organization, mailbox });
      assert.deepEqual(keyring.verify(), []);
      await keyring.close();
    });

    it('publishes no key that does not come back from the key service, and makes it when asked again', async () => {
      let unwraps = -1;
      const { keyring, directory } = await openKeyring({
        service: (local) =>
          observed(local, (call) => {
            // Of the two unwraps of a creation the first is that of the directory key.
            if (call === 'unwrap' && unwraps >= 0 && ++unwraps === 2) {
              throw new RefusedError('key-denied', 'Denied.');
            }
          }),
      });
      const { organization } = await createTenant(keyring);
      const tenant = { organization, mailbox: newMailboxId() };
      unwraps = 0;
      await assert.rejects(keyring.createMailboxKeys({ ...tenant, principal: 'admin' }), {
        code: 'key-denied',
      });
      assert.ok(!keyring.hasMailboxKeys(tenant.mailbox));
      assert.throws(() => deliver(keyring, tenant), { code: 'missing-key' });
      assert.deepEqual(
        keyring.verify().map(({ mailbox, sentence }) => [mailbox, sentence]),
        [[tenant.mailbox, 'The mailbox has no current key.']],
      );
      await keyring.close();

      const again = await openKeyring({ directory });
      await again.keyring.createMailboxKeys({ ...tenant, principal: 'admin' });
      await again.keyring.ownerHandle(ownerRequest(tenant)).lease();
      assert.deepEqual(again.keyring.verify(), []);
      await again.keyring.close();
    });

    it('has the wrapped key in keys.db, and pending, when it is unwrapped for the first time', async () => {
      const seen: unknown[] = [];
      let path = '';
      const { keyring, directory } = await openKeyring({
        service: (local) =>
          observed(local, (call) => {
            if (call !== 'unwrap' || path === '') return;
            const database = new DatabaseSync(path, { readOnly: true });
            seen.push(database.prepare('SELECT state, count(*) AS n FROM mailbox_key GROUP BY state').all());
            database.close();
          }),
      });
      await keyring.createOrganizationKeys(newOrganizationId(), undefined, 'admin');
      path = join(directory, 'keys.db');
      await createTenant(keyring);
      assert.deepEqual(JSON.stringify(seen), '[[],[],[{"state":"pending","n":1}]]');
      await keyring.close();
    });
  });

  describe('against one who writes the disk', () => {
    const attack = async (
      change: (directory: string, victim: Tenant, attacker: Tenant) => void,
      check: (keyring: Keyring, victim: Tenant) => void | Promise<void>,
    ): Promise<void> => {
      const { keyring, directory } = await openKeyring();
      const victim = await createTenant(keyring);
      const attacker = { ...victim, mailbox: newMailboxId() };
      await keyring.createMailboxKeys({ ...attacker, principal: 'admin' });
      await keyring.close();
      change(directory, victim, attacker);
      const { keyring: after } = await openKeyring({ directory });
      assert.notDeepEqual(after.verify(), []);
      await check(after, victim);
      deliver(after, attacker);
      await after.close();
    };
    const refusesDelivery = (keyring: Keyring, victim: Tenant): void => {
      assert.throws(() => deliver(keyring, victim), { kind: 'integrity', code: 'recipient-unverified' });
    };
    const copyColumns = (columns: string) => (directory: string, victim: Tenant, attacker: Tenant) =>
      tamper(
        directory,
        `UPDATE mailbox_key SET (${columns}) = (SELECT ${columns} FROM mailbox_key WHERE mailbox = ?) WHERE mailbox = ?`,
        attacker.mailbox,
        victim.mailbox,
      );

    it('refuses delivery to a recipient put in the place of another', () =>
      attack(copyColumns('recipient'), refusesDelivery));

    it("refuses delivery to another mailbox's recipient with its genuine signature", () =>
      attack(copyColumns('recipient, signature'), refusesDelivery));

    it('refuses delivery to a row moved whole from another mailbox', () =>
      attack(
        copyColumns('recipient, signature, key_id, context, wrapped, sealed_index_key'),
        refusesDelivery,
      ));

    it('refuses delivery to a recipient whose epoch was changed', () =>
      attack((directory, { mailbox }) => {
        tamper(directory, 'UPDATE mailbox_key SET epoch = 2 WHERE mailbox = ?', mailbox);
      }, refusesDelivery));

    it('refuses delivery to a recipient without a signature', () =>
      attack((directory, { mailbox }) => {
        tamper(
          directory,
          'UPDATE mailbox_key SET signature = ? WHERE mailbox = ?',
          new Uint8Array(),
          mailbox,
        );
      }, refusesDelivery));

    it("opens no other mailbox's identity in this one's name", () =>
      attack(copyColumns('wrapped, context'), async (keyring, victim) => {
        const owner = keyring.ownerHandle(ownerRequest(victim));
        await assert.rejects(owner.lease(), { kind: 'integrity', code: 'context-mismatch' });
      }));

    it('opens no identity that was wrapped for another mailbox under its own context', async () => {
      const { keyring, directory } = await openKeyring();
      const victim = await createTenant(keyring);
      const other = await createTenant(keyring);
      await keyring.close();
      tamper(
        directory,
        'UPDATE mailbox_key SET wrapped = (SELECT wrapped FROM mailbox_key WHERE mailbox = ?) WHERE mailbox = ?',
        other.mailbox,
        victim.mailbox,
      );
      const { keyring: after } = await openKeyring({ directory });
      const lease = after.ownerHandle(ownerRequest(victim)).lease();
      await assert.rejects(lease, { kind: 'integrity', code: 'context-mismatch' });
      await after.close();
    });

    it('opens no index key that another was exchanged for', async () => {
      const { keyring, directory } = await openKeyring();
      const victim = await createTenant(keyring);
      const other = await createTenant(keyring);
      await keyring.close();
      tamper(
        directory,
        `UPDATE mailbox_key SET sealed_index_key = (SELECT sealed_index_key FROM mailbox_key WHERE mailbox = ?)
         WHERE mailbox = ?`,
        other.mailbox,
        victim.mailbox,
      );
      const { keyring: after } = await openKeyring({ directory });
      const lease = after.ownerHandle(ownerRequest(victim)).lease();
      await assert.rejects(lease, { kind: 'integrity', code: 'seal-broken' });
      await after.close();
    });

    it('reports wrapped keys that are missing', () =>
      attack(
        (directory, { mailbox }) => {
          tamper(
            directory,
            'UPDATE mailbox_key SET wrapped = ? WHERE mailbox = ?',
            new Uint8Array(),
            mailbox,
          );
        },
        (keyring, { mailbox }) => {
          const sentences = keyring
            .verify()
            .map((problem) => [problem.mailbox, problem.epoch, problem.sentence]);
          assert.deepEqual(sentences, [[mailbox, 1, 'The wrapped key is missing.']]);
        },
      ));
  });

  describe('owner handle', () => {
    it('keeps its lease, with one record in the journal, until the lease ends', async () => {
      const clock = new StandingClock();
      const { keyring, journal } = await openKeyring({ clock });
      const tenant = await createTenant(keyring);
      const owner = keyring.ownerHandle(ownerRequest(tenant));
      const lease = await owner.lease();
      for (let i = 0; i < 100; i++) assert.equal(await owner.lease(), lease);
      clock.advance(60_000);
      assert.notEqual(await owner.lease(), lease);
      await keyring.close();
      const leases = journalRecords(journal).filter(({ event }) => event === 'lease');
      assert.deepEqual(
        leases.map(({ source }) => source),
        ['key-service', 'key-service'],
      );
    });

    it('records each session that is granted a lease, where it came from, and the unwrap behind it', async () => {
      const { keyring, journal } = await openKeyring();
      const tenant = await createTenant(keyring);
      const requests = ['192.0.2.1', '192.0.2.2'].map((address) => ({ ...ownerRequest(tenant), address }));
      for (const request of requests) await keyring.ownerHandle(request).lease();
      await keyring.close();
      const records = journalRecords(journal);
      const [first, second] = records.filter(({ event }) => event === 'lease');
      assert.deepEqual([first!['source'], first!['address']], ['key-service', '192.0.2.1']);
      assert.deepEqual([second!['source'], second!['address']], ['memory', '192.0.2.2']);
      const unwrap = records.findLast(({ event }) => event === 'outcome')!;
      assert.equal(first!['requestId'], unwrap['requestId']);
      assert.equal(second!['requestId'], unwrap['requestId']);
      for (const name of [
        'organization',
        'mailbox',
        'epoch',
        'purpose',
        'principal',
        'protocol',
        'reason',
        'keyId',
      ]) {
        assert.ok(second![name] !== undefined, name);
      }
    });

    it('of background work does not extend a lease, that of a session does', async () => {
      const clock = new StandingClock();
      const { keyring } = await openKeyring({ clock });
      const tenant = await createTenant(keyring);
      const session = keyring.ownerHandle(ownerRequest(tenant));
      const background = keyring.ownerHandle({ ...ownerRequest(tenant), isBackground: true });
      const lease = await session.lease();
      clock.advance(40_000);
      await session.lease();
      clock.advance(40_000);
      assert.equal(await background.lease(), lease);
      clock.advance(20_000);
      assert.throws(() => lease.indexKey, { kind: 'unavailable', code: 'timeout' });
      await keyring.close();
    });

    it('asks the key service again after its mailbox was locked', async () => {
      let unwraps = 0;
      const { keyring } = await openKeyring({
        service: (local) =>
          observed(local, (call) => {
            if (call === 'unwrap') unwraps += 1;
          }),
      });
      const tenant = await createTenant(keyring);
      unwraps = 0;
      const owner = keyring.ownerHandle(ownerRequest(tenant));
      const lease = await owner.lease();
      keyring.endLease(tenant.mailbox);
      assert.throws(() => lease.identity, { kind: 'unavailable' });
      await owner.lease();
      assert.equal(unwraps, 2);
      await keyring.close();
    });

    it('yields nothing once the mailbox keys are removed', async () => {
      const { keyring } = await openKeyring();
      const tenant = await createTenant(keyring);
      const owner = keyring.ownerHandle(ownerRequest(tenant));
      await owner.lease();
      await keyring.removeMailboxKeys(tenant.mailbox, 'admin');
      await keyring.removeMailboxKeys(tenant.mailbox, 'admin');
      await assert.rejects(owner.lease(), { code: 'missing-key' });
      assert.throws(() => deliver(keyring, tenant), { code: 'missing-key' });
      await assert.rejects(
        keyring.createMailboxKeys({ ...tenant, organization: newOrganizationId(), principal: 'a' }),
      );
      await keyring.removeOrganizationKeys(tenant.organization, 'admin');
      await keyring.close();
    });
  });

  describe('key-use journal', () => {
    it('has the intent on the disk before the key service is called', async () => {
      const missing: string[] = [];
      let journal = '';
      let calls = 0;
      const opened = await openKeyring({
        service: (local) =>
          observed(local, (call) => {
            calls += 1;
            const last = journalRecords(journal).findLast(({ event }) => event === 'intent');
            if (last?.['operation'] !== call) missing.push(call);
          }),
      });
      journal = opened.journal;
      const tenant = await createTenant(opened.keyring);
      await opened.keyring.ownerHandle(ownerRequest(tenant)).lease();
      await opened.keyring.close();
      assert.equal(calls, 6);
      assert.deepEqual(missing, []);
    });

    it('pairs each intent with its outcome, failures included, in an unbroken chain', async () => {
      let isDenied = false;
      const { keyring, journal } = await openKeyring({
        service: (local) =>
          observed(local, () => {
            if (isDenied) throw new RefusedError('key-denied', 'Denied.');
          }),
      });
      const tenant = await createTenant(keyring);
      isDenied = true;
      await assert.rejects(keyring.ownerHandle(ownerRequest(tenant)).lease(), { code: 'key-denied' });
      await keyring.removeMailboxKeys(tenant.mailbox, 'admin');
      await keyring.close();
      const records = journalRecords(journal);
      const intents = records.filter(({ event }) => event === 'intent');
      const outcomes = records.filter(({ event }) => event === 'outcome');
      assert.deepEqual(
        outcomes.map(({ intent, operation }) => [intent, operation]),
        intents.map(({ seq, operation }) => [seq, operation]),
      );
      assert.deepEqual(outcomes.map(({ operation, outcome }) => `${operation} ${outcome}`).slice(-2), [
        'unwrap key-denied',
        'remove ok',
      ]);
      assert.deepEqual((await verifyUseJournal(journal)).problems, []);
    });

    it('that cannot be written stops unwrapping, and not receiving', async () => {
      let file: FaultyFile | undefined;
      let calls = 0;
      const errors: string[] = [];
      const { keyring } = await openKeyring({
        service: (local) =>
          observed(local, () => {
            calls += 1;
          }),
        openJournalFile: async (path) => {
          file = await FaultyFile.open(path);
          return file;
        },
        log: { info: () => {}, error: (_fields, message) => errors.push(message) },
      });
      const tenant = await createTenant(keyring);
      calls = 0;
      file!.fault = 'sync';
      const owner = keyring.ownerHandle(ownerRequest(tenant));
      await assert.rejects(owner.lease(), { kind: 'unavailable', code: 'key-service-down' });
      assert.equal(calls, 0);
      assert.ok(!keyring.canUseKeys);
      assert.deepEqual(errors, ['the key-use journal cannot be written']);
      assert.ok(deliver(keyring, tenant).recipient);
      await assert.rejects(keyring.removeMailboxKeys(tenant.mailbox, 'admin'), { kind: 'unavailable' });
      assert.ok(keyring.hasMailboxKeys(tenant.mailbox));
      await keyring.close();
    });

    it('holds no key, wrapped or clear', async () => {
      const secrets: Buffer[] = [];
      const { keyring, journal } = await openKeyring({
        service: (local) => ({
          ...observed(local, () => undefined),
          async wrap(keyId, context, clear, signal) {
            const wrapped = await local.wrap(keyId, context, clear, signal);
            secrets.push(Buffer.from(clear), wrapped.blob);
            return wrapped;
          },
        }),
      });
      const tenant = await createTenant(keyring);
      const { indexKey } = await keyring.ownerHandle(ownerRequest(tenant)).lease();
      secrets.push(Buffer.from(indexKey));
      await keyring.close();
      const content = readFileSync(journal, 'latin1');
      assert.equal(secrets.length, 5);
      for (const secret of secrets) {
        for (const encoding of ['hex', 'base64', 'latin1'] as const) {
          assert.ok(!content.includes(secret.subarray(0, 12).toString(encoding)));
        }
      }
    });
  });
});
