import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { adminSocketPath, startAdminSocket } from '../../src/cli/admin-socket.ts';
import { administer } from '../../src/cli/administer.ts';
import { openAlone } from '../../src/cli/alone.ts';
import { loadConfig } from '../../src/config/load.ts';
import { lockDataDirectory } from '../../src/store/embedded/data-lock.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type CommandEnd, runCommand } from './run-command.ts';

/** A server without listeners: the parts, and the socket in front of them. */
async function startServer(data: string): Promise<{ close(): Promise<void> }> {
  const config = await loadConfig({ overrides: { dataDirectory: data, roles: ['http'] }, environment: {} });
  const parts = await openAlone(config);
  const socket = await startAdminSocket(adminSocketPath(data), (request) =>
    administer(parts.accounts, request, parts),
  );
  return {
    async close() {
      await socket.close();
      await parts.close();
    },
  };
}

describe('administration', () => {
  let data: string;
  let server: { close(): Promise<void> } | null = null;
  beforeEach(async () => {
    data = join(await makeScratch('administration'), 'data');
    server = await startServer(data);
    await well('org', 'create', 'Example');
    await well('domain', 'create', 'Example.TEST');
  });
  afterEach(async () => {
    await server?.close();
    await removeScratch(join(data, '..'));
  });

  const run = (args: readonly string[], input?: string): Promise<CommandEnd> =>
    runCommand([...args, '--data', data], input);
  /** @returns Standard output. */
  async function well(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await run(args, 'secret\n');
    assert.deepEqual([exitCode, stderr], [0, '']);
    return stdout;
  }
  const json = async (...args: string[]) => JSON.parse(await well(...args, '--json'));
  async function refused(args: readonly string[], sentence: string, input?: string): Promise<void> {
    const end = await run(args, input);
    assert.deepEqual(end, { exitCode: 1, stdout: '', stderr: `letterlock: ${sentence}\n` });
  }

  it('creates, lists, shows and removes organizations', async () => {
    const [example] = await json('org', 'list');
    assert.match(example.id, /^m-[0-9a-f]{32}$/);
    assert.deepEqual(await json('org', 'show', example.id), {
      ...{ id: example.id, name: 'Example', keyId: null },
      ...{ domains: ['example.test'], users: 0, groups: 0, locks: [] },
    });
    await refused(['org', 'create', 'Example'], 'An organization of that name exists already.');
    await refused(['org', 'remove', 'Example'], 'The organization still has domains or users.');
    await well('domain', 'remove', 'example.test');
    assert.equal(await well('org', 'remove', 'Example'), 'Removed the organization Example.\n');
    assert.equal(await well('org', 'list'), '');
    assert.deepEqual(await json('org', 'list'), []);
  });

  it('takes the only organization for a new domain, and asks which when there are two', async () => {
    assert.deepEqual(
      (await json('domain', 'list')).map(({ name }: { name: string }) => name),
      ['example.test'],
    );
    await well('org', 'create', 'Other');
    const sentence = 'There are several organizations: name one with --org.';
    await refused(['domain', 'create', 'other.test'], sentence);
    await well('domain', 'create', 'other.test', '--org', 'Other');
    assert.equal((await json('domain', 'list', '--org', 'Other')).length, 1);
    assert.equal((await json('domain', 'show', 'OTHER.test')).users, 0);
    await refused(['domain', 'show', 'nowhere.test'], 'There is no such domain.');
  });

  it('makes DKIM keys, signs with them once the DNS has them, and says what the DNS should have', async () => {
    const said = await well('dkim', 'create', 'example.test');
    const [, selector] = /^(\S+-rsa)\._domainkey\.example\.test\. TXT "v=DKIM1; k=rsa; p=MII/m.exec(said)!;
    assert.match(said, /-ed25519\._domainkey\.example\.test\. TXT "v=DKIM1; k=ed25519; p=[\w+/]{43}="$/m);
    const states = async () =>
      (await json('dkim', 'list', 'example.test')).map(({ state }: { state: string }) => state);
    assert.deepEqual(await states(), ['waiting', 'waiting']);
    const records: { name: string; type: string; value: string }[] = await json(
      'domain',
      'dns',
      'example.test',
    );
    assert.deepEqual(records.map(({ type }) => type).sort(), [
      'CNAME',
      'MX',
      'SRV',
      'SRV',
      'SRV',
      'TXT',
      'TXT',
      'TXT',
      'TXT',
    ]);
    assert.ok(records.some(({ name, value }) => name === 'example.test' && value.startsWith('v=spf1')));
    const early = await run(['dkim', 'activate', 'example.test']);
    assert.equal(early.exitCode, 1);
    assert.match(early.stderr, /The DNS does not (have the record|answer)/);
    await well('dkim', 'activate', 'example.test', '--force');
    assert.deepEqual(await states(), ['active', 'active']);
    await well('dkim', 'remove', 'example.test', selector!);
    assert.equal((await states()).length, 1);
    await refused(['dkim', 'remove', 'example.test', selector!], 'The domain has no such DKIM key.');
    await well('domain', 'remove', 'example.test');
    assert.deepEqual(await json('dkim', 'list'), []);
    assert.match(await well('fsck', '--help'), /fsck/);
  });

  it('creates a user with the password that is piped in, shows and removes it', async () => {
    const said = await well(
      'user',
      'create',
      'Alice@example.test',
      '--name',
      'Alice \x07',
      '--quota',
      '1.5G',
    );
    assert.match(said, /^Created the user alice@example\.test, mailbox [0-9a-f]{32}\.\n$/);
    await well('alias', 'create', 'a@example.test', 'alice@example.test');
    await well('group', 'create', 'all@example.test', '--member', 'a@example.test');
    const { mailbox, organization, ...shown } = await json('user', 'show', 'a@example.test');
    assert.deepEqual(shown, {
      ...{ address: 'alice@example.test', displayName: 'Alice \x07', quotaOctets: 1_610_612_736 },
      ...{ state: 'active', locks: [], aliases: ['a@example.test'], groups: ['all@example.test'] },
    });
    const table = await well('user', 'list');
    assert.match(
      table,
      /^address +name +quota +state +locked +mailbox\nalice@example\.test +Alice \ufffd +1\.5G +active +- +/,
    );
    assert.equal(
      await well('user', 'remove', 'alice@example.test'),
      'Removed the user alice@example.test.\n',
    );
    await refused(['user', 'show', 'a@example.test'], 'There is no such user.');
  });

  it('locks and unlocks a mailbox and an organization, apart from each other, and shows by whom and why', async () => {
    await well('user', 'create', 'alice@example.test', '--no-password');
    const lock = ['mailbox', 'lock', 'alice@example.test', '--reason', 'lost\x07 phone'];
    assert.equal(await well(...lock), 'Locked the mailbox of alice@example.test.\n');
    assert.equal(await well('org', 'lock', 'Example'), 'Locked the organization Example.\n');
    const { locks } = await json('user', 'show', 'alice@example.test');
    assert.deepEqual(
      locks.map(({ of, reason }: Record<string, string>) => [of, reason]),
      [
        ['mailbox', 'lost\x07 phone'],
        ['organization', ''],
      ],
    );
    assert.deepEqual((await json('user', 'list'))[0].locks, locks);
    assert.match(await well('user', 'list'), /active +mailbox, organization +/);
    const shown = /^locked: mailbox since [\dT:.-]+Z: lost\ufffd phone; organization since [\dT:.-]+Z$/m;
    assert.match(await well('user', 'show', 'alice@example.test'), shown);
    assert.deepEqual((await json('org', 'show', 'Example')).locks, locks.slice(1));

    assert.equal(await well('org', 'unlock', 'Example'), 'Unlocked the organization Example.\n');
    assert.deepEqual((await json('user', 'show', 'alice@example.test')).locks, locks.slice(0, 1));
    await well(...lock.slice(0, 3), '--reason', 'found again');
    const [changed] = (await json('user', 'show', 'alice@example.test')).locks;
    assert.deepEqual(changed, { ...locks[0], reason: 'found again' });
    await server!.close();
    server = await startServer(data);
    assert.deepEqual((await json('user', 'show', 'alice@example.test')).locks, [changed]);
    await well('mailbox', 'unlock', 'alice@example.test');
    await well('mailbox', 'unlock', 'alice@example.test');
    assert.match(await well('user', 'show', 'alice@example.test'), /^locked: -$/m);
    await refused(['mailbox', 'lock', 'bob@example.test'], 'There is no such user.');
    await refused(['org', 'lock', 'Nowhere'], 'There is no such organization.');
    const long = ['mailbox', 'lock', 'alice@example.test', '--reason', 'x'.repeat(321)];
    await refused(long, 'The arguments of the request are not as expected.');
  });

  it('changes a password', async () => {
    await well('user', 'create', 'alice@example.test', '--no-password');
    assert.equal(
      await well('user', 'password', 'alice@example.test'),
      'Set the password of alice@example.test.\n',
    );
    await refused(['user', 'password', 'bob@example.test'], 'There is no such user.', 'x');
  });

  for (const [what, input, sentence] of [
    ['empty', '', 'The password is empty.'],
    ['of two lines', 'a\nb\n', 'The password has more than one line.'],
  ] as const) {
    it(`takes no password that is ${what}`, async () => {
      const { exitCode, stderr } = await run(['user', 'create', 'alice@example.test'], input);
      assert.deepEqual([exitCode, stderr], [2, `letterlock: ${sentence}\n`]);
      assert.deepEqual(await json('user', 'list'), []);
    });
  }

  it('imports all users of a file, or none and says why not', async () => {
    const rows = Array.from({ length: 40 }, (_, n) => `user${n}@example.test,shared,User ${n}`);
    const file = `address,password,display name\n${rows.join('\n')}\n`;
    const { stdout } = await run(['user', 'import', '-'], file);
    assert.equal(stdout, 'Created 40 users.\n');
    assert.equal((await json('user', 'list', '--domain', 'example.test')).length, 40);

    const header = 'address\n';
    for (const [bad, sentence] of [
      ['user7@example.test', 'Line 3: The address exists already.'],
      ['x@nowhere.test', 'Line 3: There is no such domain.'],
      ['x+y@example.test', 'Line 3: A user name has no plus sign: what follows one is a sub-address.'],
      ['x', 'Line 3: that is not an address: local-part@domain is expected.'],
    ] as const) {
      await refused(['user', 'import', '-'], sentence, `${header}new@example.test\n${bad}\n`);
    }
    await well('group', 'create', 'sales@example.test');
    const taken = 'Line 3: The address exists already.';
    await refused(['user', 'import', '-'], taken, `${header}postmaster@example.test\nSales@example.test\n`);
    assert.equal((await json('user', 'list')).length, 40);
  });

  it('changes the members of a group', async () => {
    for (const name of ['alice', 'bob']) await well('user', 'create', `${name}@example.test`);
    assert.equal(
      await well('group', 'create', 'all@example.test', '--member', 'alice@example.test'),
      'Created the group all@example.test with 1 member.\n',
    );
    await well('group', 'add', 'all@example.test', 'bob@example.test', 'alice@example.test');
    assert.deepEqual((await json('group', 'show', 'all@example.test')).members, [
      'alice@example.test',
      'bob@example.test',
    ]);
    await well('group', 'remove-member', 'all@example.test', 'alice@example.test');
    const absent = ['group', 'remove-member', 'all@example.test', 'alice@example.test'];
    await refused(absent, 'The group has no such member.');
    assert.match(await well('group', 'list'), /^address +name +members\nall@example\.test +- +1\n$/);
    await well('group', 'remove', 'all@example.test');
    assert.deepEqual(await json('group', 'list'), []);
  });

  it('creates, lists, shows and removes aliases', async () => {
    await well('user', 'create', 'alice@example.test');
    await well('alias', 'create', 'a@example.test', 'alice@example.test');
    const [{ organization, ...alias }] = await json('alias', 'list');
    assert.deepEqual(alias, { address: 'a@example.test', target: 'alice@example.test' });
    assert.equal((await json('alias', 'show', 'A@example.test')).target, 'alice@example.test');
    await well('alias', 'remove', 'a@example.test');
    await refused(['alias', 'show', 'a@example.test'], 'There is no such alias.');
    await refused(['alias', 'remove', 'a@example.test'], 'There is no such alias.');
  });

  it('works alone when no server runs, on the same data', async () => {
    await well('user', 'create', 'alice@example.test');
    assert.equal(await well('health'), 'The server works.\n');
    assert.deepEqual(await json('health'), { ready: true, pid: process.pid, status: 'ready' });
    const users = await json('user', 'list');
    await server!.close();
    server = null;
    await refused(['health'], 'No server runs on this data directory.');
    assert.deepEqual(await json('user', 'list'), users);
    await refused(['user', 'create', 'x@nowhere.test'], 'There is no such domain.', 'secret');
    await well('user', 'create', 'bob@example.test');
    server = await startServer(data);
    assert.equal((await json('user', 'list')).length, 2);
  });

  it('has many commands at once, each done or refused', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `d${n % 10}.example.test`);
    const ends = await Promise.all(names.map((name) => run(['domain', 'create', name])));
    assert.equal(ends.filter(({ exitCode }) => exitCode === 0).length, 10);
    assert.equal((await json('domain', 'list')).length, 11);
  });
});

describe('a request that is none of the command line', () => {
  let data: string;
  let server: { close(): Promise<void> };
  beforeEach(async () => {
    data = join(await makeScratch('administration'), 'data');
    await mkdir(data);
    server = await startServer(data);
  });
  afterEach(async () => {
    await server.close();
    await removeScratch(join(data, '..'));
  });

  it('is refused before anything is done', async () => {
    const { askServer } = await import('../../src/cli/admin-socket.ts');
    for (const [name, args] of [
      ['org destroy', {}],
      ['constructor', {}],
      ['org create', {}],
      ['org create', { name: 'x' }],
      ['org create', { name: 'x', keyId: null, more: 1 }],
      ['org create', null],
      ['user import', { users: [{ line: 1 }] }],
      ['user create', { address: 'a@b', displayName: '', quotaOctets: 1.5, password: null }],
    ] as const) {
      await assert.rejects(askServer(adminSocketPath(data), { name, args }), { kind: 'protocol' });
    }
    assert.deepEqual(await askServer(adminSocketPath(data), { name: 'org list', args: {} }), []);
  });
});

describe('a data directory in use', () => {
  it('is waited for, because whoever has it may be about to listen or to end', async () => {
    const data = join(await makeScratch('administration'), 'data');
    const lock = lockDataDirectory(data);
    setTimeout(() => lock.release(), 300);
    const { exitCode, stdout } = await runCommand(['org', 'list', '--json', '--data', data]);
    assert.deepEqual([exitCode, stdout], [0, '[]\n']);
    await removeScratch(join(data, '..'));
  });

  it('is left alone by fsck', async () => {
    const data = join(await makeScratch('administration'), 'data');
    const lock = lockDataDirectory(data);
    const { exitCode, stderr } = await runCommand(['fsck', '--data', data]);
    assert.deepEqual(
      [exitCode, stderr],
      [1, 'letterlock: The data directory is in use by another Letterlock process.\n'],
    );
    lock.release();
    await removeScratch(join(data, '..'));
  });
});
