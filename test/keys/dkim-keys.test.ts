import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StoreFixture } from '../store/support.ts';

const USER = { principal: 'queue', protocol: 'queue', address: '', reason: 'sign mail' };

describe('DKIM keys', function () {
  this.timeout(20_000);
  let fixture: StoreFixture;
  beforeEach(async () => {
    fixture = await StoreFixture.open();
  });
  afterEach(() => fixture.remove());

  const uses = (): { event: string; purpose: string }[] => {
    const directory = join(fixture.directory, 'keys', 'journal');
    return readdirSync(directory).flatMap((name) =>
      readFileSync(join(directory, name), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    );
  };

  it('are opened for who signs once they are active, for a while, on record', async () => {
    const { keyring, organization } = fixture;
    await keyring.createDkimKeys(organization, 'demo.test', ['rsa', 'ed25519'], 'test');
    assert.deepEqual(await keyring.dkimSigners(organization, 'demo.test', USER), []);
    await keyring.activateDkimKeys('demo.test');
    const signers = await keyring.dkimSigners(organization, 'demo.test', USER);
    assert.deepEqual(signers.map(({ algorithm }) => algorithm).sort(), ['ed25519', 'rsa']);
    assert.equal(await keyring.dkimSigners(organization, 'demo.test', USER), signers);
    keyring.forgetDkimKeys(organization);
    assert.notEqual(await keyring.dkimSigners(organization, 'demo.test', USER), signers);
    assert.deepEqual(keyring.verify(), []);
    // Its intent is durable with all before it.
    await keyring.createDkimKeys(organization, 'other.test', ['ed25519'], 'test');
    const leases = uses().filter(({ event, purpose }) => event === 'lease' && purpose === 'dkim');
    assert.equal(leases.length, 4);
  });

  it('are never in the file as they are, and not another’s', async () => {
    const { keyring, organization } = fixture;
    const [key] = await keyring.createDkimKeys(organization, 'demo.test', ['ed25519'], 'test');
    const [other] = await keyring.createDkimKeys(organization, 'other.test', ['ed25519'], 'test');
    await keyring.activateDkimKeys('demo.test');
    const [signer] = await keyring.dkimSigners(organization, 'demo.test', USER);
    const secret = signer!.key.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
    for (const name of readdirSync(join(fixture.directory, 'keys'))) {
      if (name.startsWith('keys.db'))
        assert.ok(!readFileSync(join(fixture.directory, 'keys', name)).includes(secret));
    }
    keyring.forgetDkimKeys(organization);
    const database = new DatabaseSync(join(fixture.directory, 'keys', 'keys.db'));
    database
      .prepare('UPDATE dkim_key SET wrapped = ? WHERE selector = ? AND domain = ?')
      .run(other!.secret.wrapped, key!.selector, 'demo.test');
    database.close();
    await assert.rejects(keyring.dkimSigners(organization, 'demo.test', USER), { code: 'context-mismatch' });
  });

  it('are at most twenty a domain, and go with the organization', async () => {
    const { keyring, organization } = fixture;
    for (let n = 0; n < 20; n++) await keyring.createDkimKeys(organization, 'demo.test', ['ed25519'], 'test');
    assert.equal(new Set(keyring.dkimKeys('demo.test').map(({ selector }) => selector)).size, 20);
    await assert.rejects(keyring.createDkimKeys(organization, 'demo.test', ['ed25519'], 'test'), {
      code: 'too-many',
    });
    await keyring.removeOrganizationKeys(organization, 'test');
    assert.deepEqual(keyring.dkimKeys(), []);
  });
});
