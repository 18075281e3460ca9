import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, beforeEach, describe, it } from 'mocha';
import { Directory } from '../../src/directory/directory.ts';
import type { Organization } from '../../src/directory/types.ts';
import { GROUP_MEMBERS } from '../../src/limits.ts';
import { addUsers, cleanUp, newDirectory, temporaryDirectory } from './support.ts';

const refused = (code: string) => ({ kind: 'refused', code });

describe('directory', () => {
  let directory: Directory;
  let organization: Organization;

  beforeEach(() => {
    ({ directory, organization } = newDirectory());
  });
  after(cleanUp);

  it('keeps its file and WAL from everyone but its owner: password hashes are in it', () => {
    const file = join(temporaryDirectory(), 'below', 'directory.db');
    const opened = Directory.open(file);
    opened.createOrganization('O', null);
    for (const path of [file, `${file}-wal`, `${file}-shm`]) {
      assert.equal(statSync(path).mode & 0o777, 0o600, path);
    }
    opened.close();
  });

  it('refuses a file that a later version wrote', () => {
    const file = join(temporaryDirectory(), 'directory.db');
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 99');
    database.close();
    assert.throws(() => Directory.open(file), { kind: 'integrity', code: 'format' });
  });

  it('has everything still when it is opened again', () => {
    const file = join(temporaryDirectory(), 'directory.db');
    const first = Directory.open(file);
    const { id } = first.createOrganization('O', 'alias/key');
    first.createDomain(id, 'o.test');
    addUsers(first, 'alice@o.test');
    first.createGroup('all@o.test', ['alice@o.test'], 'All');
    first.createAlias('al@o.test', 'alice@o.test');
    const seen = (from: Directory) =>
      JSON.stringify([from.organizations(), from.domains(), from.users(), from.groups(), from.aliases()]);
    const before = seen(first);
    first.close();
    const second = Directory.open(file);
    assert.equal(seen(second), before);
    second.close();
  });

  describe('organizations and domains', () => {
    it('are found by id and by name, and names are taken once', () => {
      assert.equal(directory.organization('Demo').id, organization.id);
      assert.equal(directory.organization(organization.id).name, 'Demo');
      assert.throws(() => directory.organization('Nobody'), refused('nonexistent'));
      assert.throws(() => directory.createOrganization('Demo', null), refused('already-exists'));
      assert.throws(() => directory.createOrganization(' ', null), refused('invalid'));
    });

    it('a domain belongs to one organization, however it is spelled', () => {
      const other = directory.createOrganization('Other', null);
      assert.equal(directory.createDomain(other.id, 'BÜCHER.example').name, 'xn--bcher-kva.example');
      assert.throws(
        () => directory.createDomain(organization.id, 'bücher.example.'),
        refused('already-exists'),
      );
      for (const name of ['a/b', 'a%2etest', '1', '192.0.2.1', '']) {
        assert.throws(() => directory.createDomain(other.id, name), refused('invalid'), name);
      }
    });

    it('stay while something is in them', () => {
      assert.throws(() => directory.removeOrganization(organization.id), refused('in-use'));
      const [alice] = addUsers(directory, 'alice');
      assert.throws(() => directory.removeDomain('demo.test'), refused('in-use'));
      directory.deleteUser(alice!.id);
      directory.removeDomain('Demo.Test');
      directory.removeOrganization(organization.id);
      assert.deepEqual(directory.organizations(), []);
    });

    it('keep the copy of the key that recipients are signed with', () => {
      assert.equal(directory.directoryKey(organization.id), null);
      directory.setDirectoryKey(organization.id, Buffer.alloc(32, 7));
      assert.deepEqual(Buffer.from(directory.directoryKey(organization.id)!), Buffer.alloc(32, 7));
    });
  });

  describe('users', () => {
    it('are made all or none', () => {
      addUsers(directory, 'alice');
      const passwordHash = null;
      for (const [address, code] of [
        ['alice@demo.test', 'already-exists'],
        ['new@demo.test', 'already-exists'],
        ['bob@nowhere.test', 'nonexistent'],
        ['b+ob@demo.test', 'invalid'],
        ['b ob@demo.test', 'invalid'],
      ] as const) {
        const users = [
          { address: 'new@demo.test', passwordHash },
          { address, passwordHash },
        ];
        assert.throws(() => directory.createUsers(users), refused(code), address);
      }
      assert.deepEqual(
        directory.users().map(({ address }) => address),
        ['alice@demo.test'],
      );
    });

    it('that were left half made are taken up again with the same mailbox', () => {
      const [first] = directory.createUsers([{ address: 'alice@demo.test', passwordHash: 'old' }]);
      const [again] = directory.createUsers([
        { address: 'Alice@demo.test', passwordHash: 'new', displayName: 'Alice', quotaOctets: 5 },
      ]);
      assert.deepEqual({ ...again }, { ...first, displayName: 'Alice', quotaOctets: 5 });
      assert.deepEqual({ ...directory.user('alice@demo.test') }, { ...again });
      const { passwordHash, version } = directory.credential('alice@demo.test')!;
      assert.deepEqual([passwordHash, version], ['new', 2]);
    });

    it('are found by any of their addresses and by filters', () => {
      const other = directory.createOrganization('Other', null);
      directory.createDomain(other.id, 'other.test');
      const [alice, carol] = addUsers(directory, 'alice', 'carol@other.test');
      directory.createAlias('al@demo.test', 'alice@demo.test');
      directory.setUserState(carol!.id, 'disabled');
      const names = (filter: Parameters<Directory['users']>[0]) =>
        directory.users(filter).map(({ address }) => address.split('@')[0]);
      assert.equal(directory.user('AL@demo.test').id, alice!.id);
      assert.equal(directory.userOfMailbox(alice!.mailbox)?.id, alice!.id);
      assert.deepEqual(names({}), ['alice', 'carol']);
      assert.deepEqual(names({ organization: organization.id }), ['alice']);
      assert.deepEqual(names({ domain: 'Other.test' }), ['carol']);
      assert.deepEqual(names({ state: 'disabled' }), ['carol']);
      assert.throws(() => directory.user('bob@demo.test'), refused('nonexistent'));
    });

    it('take their addresses, memberships and credential along when they go', () => {
      const [alice] = addUsers(directory, 'alice', 'bob');
      directory.createAlias('al@demo.test', 'alice@demo.test');
      directory.createGroup('all@demo.test', ['alice@demo.test', 'bob@demo.test']);
      directory.deleteUser(alice!.id);
      assert.deepEqual(directory.group('all@demo.test').members, ['bob@demo.test']);
      assert.deepEqual(directory.aliases(), []);
      assert.equal(directory.credential('alice@demo.test'), null);
    });

    it('may send as their addresses and sub-addresses, but not as an alias of another that looks like one', () => {
      const [alice, bob] = addUsers(directory, 'alice', 'bob');
      directory.createAlias('alice+sales@demo.test', 'bob@demo.test');
      directory.createAlias('al@demo.test', 'alice@demo.test');
      directory.createGroup('all@demo.test', ['alice@demo.test']);
      const may = (user: typeof alice, address: string) => directory.maySendAs(user!.id, address);
      for (const own of ['Alice@demo.test', 'alice+x@demo.test', 'al@demo.test', 'al+x@demo.test']) {
        assert.ok(may(alice, own), own);
      }
      for (const foreign of ['bob@demo.test', 'alice+sales@demo.test', 'all@demo.test', 'x@else.test', 'x']) {
        assert.ok(!may(alice, foreign), foreign);
      }
      assert.ok(may(bob, 'alice+sales@demo.test'));
    });
  });

  describe('groups and aliases', () => {
    beforeEach(() => {
      addUsers(directory, 'alice', 'bob');
      directory.createGroup('all@demo.test', ['alice@demo.test', 'bob@demo.test'], 'All');
    });

    it('share one space of addresses with users', () => {
      directory.createAlias('a@demo.test', 'all@demo.test');
      for (const taken of ['alice@demo.test', 'all@demo.test', 'a@demo.test']) {
        assert.throws(() => directory.createGroup(taken, []), refused('already-exists'));
        assert.throws(() => directory.createAlias(taken, 'bob@demo.test'), refused('already-exists'));
        const user = { address: taken, passwordHash: null };
        assert.throws(() => directory.createUsers([user]), refused('already-exists'));
      }
    });

    it('members are added once and removed when they are there', () => {
      directory.createAlias('al@demo.test', 'alice@demo.test');
      directory.addMembers('all@demo.test', ['AL@demo.test', 'bob@demo.test']);
      assert.deepEqual(directory.group('all@demo.test').members, ['alice@demo.test', 'bob@demo.test']);
      directory.removeMembers('all@demo.test', ['alice@demo.test']);
      assert.throws(
        () => directory.removeMembers('all@demo.test', ['bob@demo.test', 'alice@demo.test']),
        refused('nonexistent'),
      );
      assert.deepEqual(directory.group('all@demo.test').members, ['bob@demo.test']);
      assert.throws(
        () => directory.addMembers('all@demo.test', ['alice@demo.test', 'x@demo.test']),
        refused('nonexistent'),
      );
      assert.deepEqual(directory.group('all@demo.test').members, ['bob@demo.test']);
      directory.deleteGroup('all@demo.test');
      assert.throws(() => directory.group('all@demo.test'), refused('nonexistent'));
    });

    it('an alias names the primary address of its target, and goes alone', () => {
      const alias = directory.createAlias('a+b@demo.test', 'all@demo.test');
      assert.deepEqual(
        { ...alias },
        { address: 'a+b@demo.test', organization: organization.id, target: 'all@demo.test' },
      );
      directory.deleteAlias('A+B@demo.test');
      assert.throws(() => directory.deleteAlias('a+b@demo.test'), refused('nonexistent'));
      assert.throws(() => directory.deleteAlias('alice@demo.test'), refused('nonexistent'));
      assert.throws(() => directory.createAlias('x@demo.test', 'nobody@demo.test'), refused('nonexistent'));
    });

    it('a group, with all groups in it, has no more users than one delivery can take', function () {
      this.timeout(10_000);
      const half = (name: string, size: number) => {
        const names = Array.from({ length: size }, (_, index) => `${name}${index}`);
        return addUsers(directory, ...names).map(({ address }) => address);
      };
      directory.createGroup('first@demo.test', half('f', GROUP_MEMBERS - 1));
      directory.createGroup('second@demo.test', half('s', 1));
      directory.createGroup('both@demo.test', ['first@demo.test', 'second@demo.test']);
      directory.createGroup('above@demo.test', ['both@demo.test']);
      assert.throws(() => directory.addMembers('second@demo.test', ['alice@demo.test']), refused('too-many'));
      assert.throws(() => directory.addMembers('above@demo.test', ['all@demo.test']), refused('too-many'));
      assert.equal(directory.group('second@demo.test').members.length, 1);
    });
  });

  describe('keeps organizations apart', () => {
    beforeEach(() => {
      const other = directory.createOrganization('Other', null);
      directory.createDomain(other.id, 'other.test');
      addUsers(directory, 'alice', 'carol@other.test');
      directory.createGroup('all@demo.test', ['alice@demo.test']);
    });

    it('a group has members elsewhere, compared without case and kept as they are spelled', () => {
      directory.addMembers('all@demo.test', ['Some.One@Example.ORG', 'x@b\u00fccher.example']);
      directory.addMembers('all@demo.test', ['some.one@example.org']);
      const { members } = directory.group('all@demo.test');
      assert.deepEqual(members, ['alice@demo.test', 'Some.One@example.org', 'x@xn--bcher-kva.example']);
      const resolution = directory.resolve('all@demo.test');
      assert.ok(resolution.kind === 'local');
      assert.deepEqual(resolution.outside?.addresses, ['Some.One@example.org', 'x@xn--bcher-kva.example']);
      directory.createGroup('outer@demo.test', ['all@demo.test', 'SOME.one@example.org']);
      const outer = directory.resolve('outer@demo.test');
      assert.equal(outer.kind === 'local' && outer.outside?.addresses.length, 2);
      directory.removeMembers('all@demo.test', ['SOME.ONE@example.org', 'alice@demo.test']);
      assert.deepEqual(directory.group('all@demo.test').members, ['x@xn--bcher-kva.example']);
      assert.equal(directory.resolve('all@demo.test').kind, 'local');
      assert.throws(
        () => directory.removeMembers('all@demo.test', ['nobody@example.org']),
        refused('nonexistent'),
      );
      directory.deleteGroup('all@demo.test');
    });

    it('no member, alias or target is another organization’s', () => {
      const permitted = refused('not-permitted');
      assert.throws(() => directory.addMembers('all@demo.test', ['carol@other.test']), permitted);
      assert.throws(() => directory.createGroup('g@other.test', ['all@demo.test']), permitted);
      assert.throws(() => directory.createAlias('x@demo.test', 'carol@other.test'), permitted);
    });

    it('nor could a row say so', () => {
      directory.close();
      const file = join(temporaryDirectory(), 'directory.db');
      Directory.open(file).close();
      const database = new DatabaseSync(file);
      database.exec(`
        INSERT INTO organization (organization_id, name) VALUES ('a', 'A'), ('b', 'B');
        INSERT INTO domain VALUES ('a.test', 'a'), ('b.test', 'b');
        INSERT INTO user VALUES (1, 'a', '', 'm1', NULL, 'active'), (2, 'b', '', 'm2', NULL, 'active');
        INSERT INTO "group" VALUES (1, 'a', '');`);
      for (const row of [
        `address VALUES ('x@b.test', 'b.test', 'a', 1, NULL, 1)`,
        `address VALUES ('x@a.test', 'a.test', 'a', 2, NULL, 1)`,
        `address VALUES ('x@b.test', 'b.test', 'b', NULL, 1, 1)`,
        `member VALUES (1, 'a', 2, NULL)`,
        `member VALUES (1, 'b', 2, NULL)`,
      ]) {
        assert.throws(() => database.exec(`INSERT INTO ${row}`), /FOREIGN KEY/, row);
      }
      database.close();
    });
  });
});
