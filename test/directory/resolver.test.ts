import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'mocha';
import { localRecipient } from '../../src/delivery/recipients.ts';
import type { Directory } from '../../src/directory/directory.ts';
import type { Organization, Resolution } from '../../src/directory/types.ts';
import { CACHED_GROUP_MAILBOXES, GROUP_MEMBERS } from '../../src/limits.ts';
import { addUsers, cleanUp, newDirectory, reached } from './support.ts';

describe('mail to', () => {
  let directory: Directory;
  let organization: Organization;

  beforeEach(() => {
    ({ directory, organization } = newDirectory());
    addUsers(directory, 'alice', 'bob', 'carol');
  });
  after(cleanUp);

  const disable = (name: string): void =>
    directory.setUserState(directory.user(`${name}@demo.test`).id, 'disabled');

  it('a user goes to its mailbox with its quota, however the address is spelled', () => {
    const { id, mailbox } = directory.user('alice@demo.test');
    directory.setQuota(id, 5_000);
    for (const spelling of ['alice@demo.test', 'ALICE@Demo.TEST', '"alice"@demo.test', 'alice@demo.test.']) {
      const resolution = directory.resolve(spelling);
      assert.equal(resolution.kind, 'local');
      assert.deepEqual(resolution.mailboxes, [
        { organization: organization.id, mailbox, quotaOctets: 5_000 },
      ]);
    }
  });

  it('a domain of another script is found by U-labels and A-labels', () => {
    directory.createDomain(organization.id, 'bücher.example');
    addUsers(directory, 'dora@bücher.example');
    assert.equal(reached(directory, 'dora@BÜCHER.example'), 'dora');
    assert.equal(reached(directory, 'dora@xn--bcher-kva.example'), 'dora');
  });

  it('a sub-address goes to the user; an alias with a plus sign is found before', () => {
    directory.createAlias('alice+sales@demo.test', 'bob@demo.test');
    assert.equal(reached(directory, 'alice+x@demo.test'), 'alice');
    assert.equal(reached(directory, 'alice+x+y@demo.test'), 'alice');
    assert.equal(reached(directory, '"alice+x"@demo.test'), 'alice');
    assert.equal(reached(directory, 'alice+sales@demo.test'), 'bob');
    assert.equal(reached(directory, 'alice+sales+x@demo.test'), 'alice');
    assert.equal(reached(directory, '+x@demo.test'), 'unknown');
  });

  it('a group goes to everyone in it and in its groups once, also where groups hold each other', () => {
    directory.createGroup('outer@demo.test', ['alice@demo.test']);
    directory.createGroup('inner@demo.test', ['bob@demo.test', 'alice@demo.test', 'outer@demo.test']);
    directory.addMembers('outer@demo.test', ['inner@demo.test', 'outer@demo.test']);
    directory.createAlias('o@demo.test', 'outer@demo.test');
    for (const address of ['outer@demo.test', 'inner@demo.test', 'o@demo.test', 'o+x@demo.test']) {
      assert.equal(reached(directory, address), 'alice bob', address);
    }
  });

  it('a group passes over who is disabled, being made or removed', () => {
    directory.createGroup('all@demo.test', ['alice@demo.test', 'bob@demo.test', 'carol@demo.test']);
    disable('bob');
    directory.setUserState(directory.user('carol@demo.test').id, 'creating');
    assert.equal(reached(directory, 'all@demo.test'), 'alice');
    disable('alice');
    assert.equal(reached(directory, 'all@demo.test'), 'pending');
    directory.setUserState(directory.user('carol@demo.test').id, 'removing');
    assert.equal(reached(directory, 'all@demo.test'), 'disabled');
    directory.createGroup('nobody@demo.test', []);
    assert.equal(reached(directory, 'nobody@demo.test'), 'disabled');
  });

  it('a user that is just being made is put off, not refused for good', async () => {
    directory.createUsers([{ address: 'new@demo.test', passwordHash: null }]);
    const deps = {
      resolve: (address: string) => directory.resolve(address),
      deliverHandle: () => assert.fail('nothing to deliver to'),
      store: { hasRoom: async () => true },
    };
    await assert.rejects(localRecipient(deps, 'new@demo.test', null), { kind: 'unavailable', code: 'busy' });
    disable('alice');
    await assert.rejects(localRecipient(deps, 'alice@demo.test', null), { code: 'recipient-disabled' });
  });

  it('postmaster arrives in every domain that has a user, and without a domain', () => {
    const other = directory.createOrganization('Other', null);
    directory.createDomain(other.id, 'other.test');
    assert.equal(reached(directory, 'postmaster@other.test'), 'unknown');
    addUsers(directory, 'zoe@other.test');
    assert.equal(reached(directory, 'Postmaster@other.test'), 'zoe');
    assert.equal(reached(directory, 'PostMaster'), 'alice');
    disable('alice');
    assert.equal(reached(directory, 'postmaster@demo.test'), 'bob');
    directory.createAlias('postmaster@demo.test', 'carol@demo.test');
    for (const address of ['postmaster@demo.test', 'postmaster+x@demo.test', 'postmaster']) {
      assert.equal(reached(directory, address), 'carol', address);
    }
    assert.equal(reached(directory, 'postmaster@else.test'), 'foreign');
  });

  it('nobody is unknown in our domains and foreign in others', () => {
    for (const text of [
      'x@demo.test',
      '"a b"@demo.test',
      'a..b@demo.test',
      '@demo.test',
      '"x@y"@demo.test',
    ]) {
      assert.equal(reached(directory, text), 'unknown', text);
    }
    for (const text of [
      'x@else.test',
      'x@[192.0.2.1]',
      'x',
      '',
      'x@',
      'x@demo.test/y',
      'alice@demo%2etest',
    ]) {
      assert.equal(reached(directory, text), 'foreign', text);
    }
  });

  it('what was changed goes by the change at once', () => {
    directory.createGroup('all@demo.test', ['alice@demo.test']);
    assert.equal(reached(directory, 'all@demo.test'), 'alice');
    directory.addMembers('all@demo.test', ['bob@demo.test']);
    assert.equal(reached(directory, 'all@demo.test'), 'alice bob');
    disable('alice');
    assert.equal(reached(directory, 'all@demo.test'), 'bob');
    directory.deleteUser(directory.user('bob@demo.test').id);
    assert.equal(reached(directory, 'all@demo.test'), 'disabled');
    directory.deleteGroup('all@demo.test');
    assert.equal(reached(directory, 'all@demo.test'), 'unknown');
  });

  describe('large groups', function () {
    this.timeout(20_000);
    const groups = CACHED_GROUP_MAILBOXES / GROUP_MEMBERS + 1;
    const listOf = (address: string): Extract<Resolution, { kind: 'local' }>['mailboxes'] => {
      const resolution = directory.resolve(address);
      assert.equal(resolution.kind, 'local');
      return resolution.mailboxes;
    };

    beforeEach(() => {
      const names = Array.from({ length: GROUP_MEMBERS - 3 }, (_, index) => `u${index}`);
      addUsers(directory, ...names);
      directory.createGroup('g0@demo.test', ['alice@demo.test', 'bob@demo.test', 'carol@demo.test']);
      directory.addMembers(
        'g0@demo.test',
        names.map((name) => `${name}@demo.test`),
      );
      for (let index = 1; index < groups; index++)
        directory.createGroup(`g${index}@demo.test`, ['g0@demo.test']);
    });

    it('are expanded once, whatever sub-addresses they are asked for by', () => {
      const first = listOf('g0@demo.test');
      assert.equal(first.length, GROUP_MEMBERS);
      for (let index = 0; index < 100; index++) assert.equal(listOf(`g0+${index}@demo.test`), first);
    });

    it('that are used stay expanded; unknown addresses and groups less used make no difference', () => {
      const hot = listOf('g0@demo.test');
      const cold = listOf('g1@demo.test');
      for (let index = 2; index < groups; index++) {
        assert.equal(listOf('g0@demo.test'), hot);
        listOf(`g${index}@demo.test`);
        for (let guess = 0; guess < 100; guess++) directory.resolve(`x${index}-${guess}@demo.test`);
      }
      assert.equal(listOf('g0@demo.test'), hot);
      assert.notEqual(listOf('g1@demo.test'), cold);
    });
  });
});
