import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type AccountParts, Accounts } from '../../src/directory/accounts.ts';
import { Directory } from '../../src/directory/directory.ts';
import { verifyPassword } from '../../src/directory/password.ts';
import { UnavailableError } from '../../src/errors.ts';
import type { OrganizationId } from '../../src/ids.ts';
import { contents, StoreFixture } from '../store/support.ts';

const DOWN = { kind: 'unavailable', code: 'key-service-down' };

type Step = keyof AccountParts['keyring'] | keyof AccountParts['store'];

describe('accounts', function () {
  this.timeout(20_000);
  let fixture: StoreFixture;
  let directory: Directory;
  let accounts: Accounts;
  /** Steps taken on keys and mailboxes, in order. */
  let steps: Step[];
  /** Called before each step: one that throws stands for what is down, or for a process that ends there. */
  let before: (step: Step, args: readonly unknown[]) => void;

  const observed = <T extends object>(part: T): T =>
    new Proxy(part, {
      get: (_, name) => {
        const method = Reflect.get(part, name) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          steps.push(name as Step);
          before(name as Step, args);
          return method.apply(part, args);
        };
      },
    });
  const failAt =
    (failing: Step, which: (args: readonly unknown[]) => boolean = () => true) =>
    (step: Step, args: readonly unknown[]): void => {
      if (step === failing && which(args)) throw new UnavailableError('key-service-down', 'down');
    };
  const restarted = (): Accounts =>
    new Accounts({
      directory,
      keyring: observed(fixture.keyring),
      store: observed(fixture.store),
      defaultQuotaOctets: 5_000_000,
    });

  beforeEach(async () => {
    fixture = await StoreFixture.open();
    directory = Directory.open(join(fixture.directory, 'directory.db'));
    steps = [];
    before = () => {};
    accounts = restarted();
  });
  afterEach(async () => {
    directory.close();
    await fixture.remove();
  });

  const newOrganization = async (name = 'Demo', domain = 'demo.test') => {
    const organization = await accounts.createOrganization(name, null, 'test');
    directory.createDomain(organization.id, domain);
    return organization;
  };
  const request = (name: string, password: string | null = null) => ({
    address: name.includes('@') ? name : `${name}@demo.test`,
    password,
  });
  const create = (...names: readonly string[]) =>
    accounts.createUsers(
      names.map((name) => request(name)),
      'test',
    );
  const states = () => directory.users().map(({ address, state }) => `${address.split('@')[0]} ${state}`);

  /** Delivers to the user and reads it back. */
  const assertWorks = async (address: string): Promise<void> => {
    const { organization, mailbox, quotaOctets } = directory.user(address);
    const handle = fixture.keyring.deliverHandle(organization, mailbox, quotaOctets);
    const [outcome] = await fixture.store.deliver(await fixture.sealed('A: 1\r\n\r\nx\r\n'), [
      { handle, folder: 'inbox' },
    ]);
    assert.equal(outcome?.error, undefined);
    const who = { principal: 'test', protocol: 'test', address: 'local', reason: 'test' };
    const opened = await fixture.store.openMailbox(
      fixture.keyring.ownerHandle({ organization, mailbox, quotaOctets, ...who }),
    );
    assert.equal((await contents(opened)).length, 1);
    opened.close();
  };

  it('are made with keys and a mailbox, and removed with them', async () => {
    await newOrganization();
    const [alice] = await accounts.createUsers(
      [request('alice', 'secret'), request('bob', 'secret')],
      'test',
    );
    assert.equal(alice?.state, 'active');
    await assertWorks('alice@demo.test');
    const { passwordHash } = directory.credential('alice@demo.test')!;
    assert.ok(await verifyPassword('secret', passwordHash!));
    await accounts.setPassword('alice@demo.test', 'other');
    assert.ok(await verifyPassword('other', directory.credential('alice@demo.test')!.passwordHash!));
    await accounts.removeUser('alice@demo.test', 'test');
    assert.ok(!fixture.keyring.hasMailboxKeys(alice.mailbox));
    assert.deepEqual(states(), ['bob active']);
    await assert.rejects(accounts.setPassword('alice@demo.test', 'x'), { code: 'nonexistent' });
  });

  it('have the default quota unless they are given their own, or none', async () => {
    await newOrganization();
    const users = await accounts.createUsers(
      [
        request('alice'),
        { ...request('bob'), quotaOctets: 9_000_000 },
        { ...request('carol'), quotaOctets: null },
      ],
      'test',
    );
    assert.deepEqual(
      users.map(({ quotaOctets }) => quotaOctets),
      [5_000_000, 9_000_000, null],
    );
  });

  it('with equal passwords have hashes that do not tell', async () => {
    await newOrganization();
    await accounts.createUsers([request('alice', 'secret'), request('bob', 'secret')], 'test');
    const [alice, bob] = ['alice', 'bob'].map(
      (name) => directory.credential(`${name}@demo.test`)!.passwordHash!,
    );
    assert.notEqual(alice, bob);
    assert.ok(await verifyPassword('secret', bob!));
  });

  it('of an organization go before it does', async () => {
    const { id } = await newOrganization();
    await create('alice');
    await assert.rejects(accounts.removeOrganization('Demo', 'test'), { code: 'in-use' });
    await accounts.removeUser('alice@demo.test', 'test');
    directory.removeDomain('demo.test');
    await accounts.removeOrganization('Demo', 'test');
    assert.equal(fixture.keyring.directoryKey(id), null);
    assert.deepEqual(directory.organizations(), []);
  });

  it('an organization whose keys cannot be made is not made', async () => {
    before = failAt('createOrganizationKeys');
    await assert.rejects(accounts.createOrganization('Demo', null, 'test'), DOWN);
    assert.deepEqual(directory.organizations(), []);
  });

  for (const step of ['createManyMailboxKeys', 'ownerHandle', 'createMailbox'] as const) {
    it(`that break off at ${step} are finished at the next start`, async () => {
      await newOrganization();
      before = failAt(step);
      await assert.rejects(create('alice', 'bob'), DOWN);
      assert.deepEqual(states(), ['alice creating', 'bob creating']);
      assert.equal(directory.resolve('alice@demo.test').kind, 'pending');
      before = () => {};
      assert.deepEqual(await restarted().finish('test'), []);
      assert.deepEqual(states(), ['alice active', 'bob active']);
      await assertWorks('alice@demo.test');
      await assertWorks('bob@demo.test');
    });

    it(`that break off at ${step} are finished by asking again`, async () => {
      await newOrganization();
      before = failAt(step);
      await assert.rejects(accounts.createUsers([request('alice', 'first')], 'test'), DOWN);
      const { mailbox } = directory.user('alice@demo.test');
      before = () => {};
      const [alice] = await accounts.createUsers([request('alice', 'second')], 'test');
      assert.equal(alice?.mailbox, mailbox);
      assert.ok(await verifyPassword('second', directory.credential('alice@demo.test')!.passwordHash!));
      await assertWorks('alice@demo.test');
      await assert.rejects(create('alice'), { code: 'already-exists' });
    });
  }

  for (const step of ['removeMailbox', 'removeMailboxKeys'] as const) {
    it(`whose removal breaks off at ${step} take no mail and are gone after the next start`, async () => {
      await newOrganization();
      const [alice] = await create('alice');
      before = failAt(step);
      await assert.rejects(accounts.removeUser('alice@demo.test', 'test'), DOWN);
      assert.equal(directory.resolve('alice@demo.test').kind, 'disabled');
      before = () => {};
      assert.deepEqual(await restarted().finish('test'), []);
      assert.deepEqual(states(), []);
      assert.ok(!fixture.keyring.hasMailboxKeys(alice!.mailbox));
    });
  }

  it('of an organization that a crash left without keys can be made', async () => {
    const { id } = directory.createOrganization('Demo', null);
    directory.createDomain(id, 'demo.test');
    assert.deepEqual(await accounts.finish('test'), []);
    assert.notEqual(fixture.keyring.directoryKey(id), null);
    const other = directory.createOrganization('Other', null);
    directory.createDomain(other.id, 'other.test');
    await create('alice', 'carol@other.test');
    await assertWorks('carol@other.test');
  });

  it('what fails for one organization or user stops no other', async () => {
    const broken = await newOrganization('Broken', 'broken.test');
    await newOrganization();
    before = failAt('createMailbox');
    await assert.rejects(create('x@broken.test', 'alice', 'bob', 'carol'), DOWN);
    const bob = directory.user('bob@demo.test').mailbox;
    before = (step, args) => {
      failAt('createManyMailboxKeys', ([keys]) => JSON.stringify(keys).includes(broken.id))(step, args);
      failAt('createMailbox', ([owner]) => (owner as { mailbox: string }).mailbox === bob)(step, args);
    };
    const failures = await restarted().finish('test');
    assert.equal(failures.length, 2);
    assert.deepEqual(states(), ['x creating', 'alice active', 'bob creating', 'carol active']);
    before = () => {};
    assert.deepEqual(await restarted().finish('test'), []);
    assert.deepEqual(new Set(directory.users().map(({ state }) => state)), new Set(['active']));
  });

  /** As after the loss of keys.db. */
  const keyringWithout = (organization: string): AccountParts['keyring'] => {
    const keyring = observed(fixture.keyring);
    return new Proxy(keyring, {
      get: (_, name) =>
        name === 'directoryKey'
          ? (asked: OrganizationId) => (asked === organization ? null : keyring.directoryKey(asked))
          : Reflect.get(keyring, name),
    });
  };

  it('whose organization lost its keys are not given new ones in silence', async () => {
    const { id } = await newOrganization();
    const robbed = new Accounts({
      directory,
      keyring: keyringWithout(id),
      store: fixture.store,
      defaultQuotaOctets: null,
    });
    await assert.rejects(robbed.createUsers([request('alice')], 'test'), {
      kind: 'integrity',
      code: 'missing-key',
    });
    const [failure] = await robbed.finish('test');
    assert.equal((failure as { code: string }).code, 'missing-key');
    assert.equal(steps.filter((step) => step === 'createOrganizationKeys').length, 1);
  });

  it('are changed one call after the other', async () => {
    await newOrganization();
    const begun = steps.length;
    const others: Promise<unknown>[] = [];
    before = (step) => {
      if (step !== 'createMailbox' || others.length > 0) return;
      others.push(accounts.removeUser('alice@demo.test', 'test'), accounts.finish('test'), create('alice'));
    };
    await create('alice', 'bob');
    await Promise.all(others);
    assert.deepEqual(states(), ['bob active', 'alice active']);
    await assertWorks('alice@demo.test');
    const order = steps.slice(begun).filter((step) => step === 'createMailbox' || step === 'removeMailbox');
    assert.deepEqual(order, ['createMailbox', 'createMailbox', 'removeMailbox', 'createMailbox']);
  });

  it('of an organization come with a queue that takes mail, and nobody can own as a user', async () => {
    const { id: organization } = await newOrganization();
    const mailbox = directory.queueMailbox(organization)!;
    assert.equal(directory.organizationOfQueue(mailbox), organization);
    assert.equal(directory.userOfMailbox(mailbox), null);
    const handle = fixture.keyring.deliverHandle(organization, mailbox, null);
    const envelope = Buffer.from('x');
    const [outcome] = await fixture.store.deliver(await fixture.sealed('A: 1\r\n\r\nx\r\n'), [
      { handle, folder: 'inbox', envelope },
    ]);
    assert.equal(outcome?.error, undefined);
    fixture.keyring.endLease(mailbox);
    const who = { principal: 'test', protocol: 'test', address: 'local', reason: 'test' };
    const asUser = fixture.keyring.ownerHandle({ organization, mailbox, quotaOctets: null, ...who });
    await assert.rejects(asUser.lease(), { code: 'context-mismatch' });
    directory.removeDomain('demo.test');
    await accounts.removeOrganization('Demo', 'test');
    assert.ok(!fixture.keyring.hasMailboxKeys(mailbox));
  });

  for (const failing of ['createManyMailboxKeys', 'createMailbox'] as const) {
    it(`of an organization whose queue was not made (${failing}) are finished at the next start`, async () => {
      before = failAt(failing);
      await assert.rejects(newOrganization(), DOWN);
      const { id } = directory.organization('Demo');
      assert.equal(directory.queueMailbox(id), null);
      before = () => {};
      assert.deepEqual(await restarted().finish('test'), []);
      const mailbox = directory.queueMailbox(id)!;
      assert.ok(fixture.keyring.hasMailboxKeys(mailbox));
      steps = [];
      assert.deepEqual(await restarted().finish('test'), []);
      assert.ok(!steps.includes('createMailbox'));
    });
  }

  it('are left for the next start when the server is to stop', async () => {
    await newOrganization();
    before = failAt('createMailbox');
    await assert.rejects(create('alice', 'bob'), DOWN);
    const stopping = new AbortController();
    before = (step) => {
      if (step === 'createManyMailboxKeys') stopping.abort();
    };
    assert.deepEqual(await accounts.finish('test', stopping.signal), []);
    await accounts.idle();
    assert.deepEqual(states(), ['alice creating', 'bob creating']);
  });

  it('with a password that cannot be are not begun', async () => {
    await newOrganization();
    await assert.rejects(accounts.createUsers([request('alice', 'x'), request('bob', '')], 'test'), {
      code: 'invalid',
    });
    assert.deepEqual(states(), []);
  });
});
