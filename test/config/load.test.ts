import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { ConfigError, type LoadOptions, loadConfig } from '../../src/config/load.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const TLS = { certificateFile: '/c.pem', keyFile: '/k.pem' };
const load = (options: LoadOptions) => loadConfig({ base: { tls: TLS }, environment: {}, ...options });

async function problemsOf(options: LoadOptions): Promise<string[]> {
  try {
    await load(options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split('\n');
  }
  return [];
}

describe('loading the configuration', () => {
  let scratch: string;
  const file = async (name: string, content: string) => {
    const path = join(scratch, name);
    await writeFile(path, content);
    return path;
  };
  before(async () => {
    scratch = await makeScratch('config');
  });
  after(() => removeScratch(scratch));

  it('derives what follows from other keys and makes paths absolute', async () => {
    const config = await load({
      overrides: { dataDirectory: 'data', logging: { file: 'log/a' } },
      workingDirectory: '/srv',
    });
    assert.equal(config.dataDirectory, '/srv/data');
    assert.equal(config.keysDirectory, '/srv/data/keys');
    assert.equal(config.keys.rootKeyFile, '/srv/data/keys/root.key');
    assert.equal(config.logging.file, '/srv/log/a');
    assert.equal(config.hostname, hostname());
    assert.equal(config.smtp.authenticationServiceId, hostname());
  });

  it('lets later files win key by key, then the environment, then the command line', async () => {
    const first = await file(
      'a.yaml',
      'hostname: a.test\nlisteners:\n  mx: {port: 1}\n  imap: false\nimap:\n',
    );
    const second = await file(
      'b.yaml',
      'listeners:\n  mx: {host: 127.0.0.1}\n  imaps: {port: 2}\nroles: [imap]\n',
    );
    const config = await load({
      files: [first, second],
      environment: {
        LETTERLOCK_LISTENERS_IMAPS_PORT: '3',
        LETTERLOCK_ROLES: 'mx, imap',
        LETTERLOCK_QUOTA_DEFAULT_OCTETS: '9',
      },
      overrides: { quota: { defaultOctets: 10 } },
    });
    assert.equal(config.hostname, 'a.test');
    assert.deepEqual(config.listeners.mx, { host: '127.0.0.1', port: 1 });
    assert.equal(config.listeners.imap, false);
    assert.deepEqual(config.listeners.imaps, { host: '::', port: 3 });
    assert.deepEqual(config.roles, ['mx', 'imap']);
    assert.equal(config.quota.defaultOctets, 10);
  });

  it('cannot be changed afterwards', async () => {
    const config = await load({});
    assert.throws(() => Object.assign(config.keys.context, { region: 'x' }), TypeError);
    assert.throws(() => (config.roles as string[]).push('x'), TypeError);
  });

  it('names each wrong key with who set it and what was expected, all at once', async () => {
    const path = await file(
      'wrong.yaml',
      'listeners: {mx: {port: 70000, porz: 1}, imap: true}\nplaintextAuthNetworks: [10.0.0.0]\nkeys: {service: vault}\nkyes: {}\n',
    );
    assert.deepEqual(
      await problemsOf({
        files: [path],
        environment: { LETTERLOCK_IMAP_MAX_CONNECTIONS: 'many', LETTERLOCK_IMAPS: '1' },
      }),
      [
        'LETTERLOCK_IMAPS: no key of the configuration has this name',
        `${path}: listeners.mx.port: expected number to be <=65535`,
        `${path}: listeners.mx.porz: there is no such key`,
        `${path}: listeners.imap: expected false, or object`,
        `${path}: plaintextAuthNetworks.0: expected a network such as 10.1.0.0/16 or fd00::/8`,
        'LETTERLOCK_IMAP_MAX_CONNECTIONS: imap.maxConnections: expected number',
        `${path}: keys.service: expected one of "local"|"aws"`,
        `${path}: kyes: there is no such key`,
      ],
    );
  });

  it('names the file and line of what is not YAML, and files that cannot be read', async () => {
    const path = await file('broken.yaml', 'hostname: a.test\nroles: [mx\n');
    const problems = await problemsOf({ files: [path, '/nowhere.yaml', await file('list.yaml', '- a\n')] });
    assert.match(problems[0]!, /broken\.yaml: line \d is not YAML/);
    assert.equal(problems[1], '/nowhere.yaml: cannot be read (ENOENT)');
    assert.match(problems[2]!, /list\.yaml: expected keys and values/);
  });

  it('asks for a certificate exactly where users would log in', async () => {
    const without = { base: {} };
    assert.deepEqual(await problemsOf(without), [
      'tls.certificateFile: expected a file: needed by submissions, imaps, submission, imap',
      'tls.keyFile: expected a file: needed by submissions, imaps, submission, imap',
    ]);
    assert.deepEqual(await problemsOf({ ...without, overrides: { roles: ['mx', 'lmtp', 'http'] } }), []);
    const proxied = {
      plaintextAuthNetworks: ['10.0.0.0/8'],
      listeners: { imaps: false, submissions: false },
    };
    assert.deepEqual(await problemsOf({ ...without, overrides: proxied }), []);
    const half = { roles: ['mx'], tls: { keyFile: 'k' } };
    assert.deepEqual(await problemsOf({ ...without, overrides: half }), [
      'command line: tls.certificateFile: expected a file: the other of the two is set',
    ]);
  });

  it('asks for a key where AWS KMS is to wrap keys', async () => {
    const overrides = { roles: ['mx'], keys: { service: 'aws' } };
    assert.deepEqual(await problemsOf({ base: {}, overrides }), [
      'command line: keys.aws.keyId: expected the ARN of a key: needed by keys.service aws',
    ]);
  });

  it('never lengthens a lease beyond what keys may live', async () => {
    const problems = await problemsOf({
      overrides: { keys: { leaseIdleSeconds: 61, leaseAbsoluteSeconds: 301 } },
    });
    assert.equal(problems.length, 2);
  });

  it('takes one Redis: a URL, sentinels or a cluster, each with its own keys', async () => {
    const secret = await file('redis-url', 'rediss://mail:p%40ss@redis.test:6380/2\n');
    const { redis } = await load({
      environment: { LETTERLOCK_REDIS_URL_FILE: secret, LETTERLOCK_REDIS_CA_FILE: '/ca.pem' },
    });
    assert.deepEqual([redis.url, redis.caFile], ['rediss://mail:p%40ss@redis.test:6380/2', '/ca.pem']);
    const cluster = await load({
      environment: {
        LETTERLOCK_REDIS_CLUSTER_NODES: 'a.test:7000,[::1]:7001',
        LETTERLOCK_REDIS_PASSWORD_FILE: secret,
      },
    });
    assert.deepEqual(cluster.redis.clusterNodes, ['a.test:7000', '[::1]:7001']);
    const sentinels = {
      sentinels: ['a.test'],
      sentinelMaster: 'mail',
      password: 'p',
      tls: true,
      caFile: 'ca',
    };
    await load({ overrides: { redis: sentinels } });
    const url = 'redis://localhost';
    for (const [wrong, ...paths] of [
      [{ url: 'http://localhost' }, 'url'],
      [{ url: 'redis://secret-user@a@b' }, 'url'],
      [{ url: 'redis://a:secret%zz@b' }, 'url'],
      [{ url, sentinels: ['a'], sentinelMaster: 'm' }, 'sentinels'],
      [{ url, clusterNodes: ['a'] }, 'clusterNodes'],
      [{ sentinels: ['a'], sentinelMaster: 'm', clusterNodes: ['a'] }, 'clusterNodes'],
      [{ sentinels: ['a'] }, 'sentinelMaster'],
      [{ sentinels: ['a:b'], sentinelMaster: 'm' }, 'sentinels.0'],
      [{ url, sentinelMaster: 'm' }, 'sentinelMaster'],
      [{ clusterNodes: ['a'], sentinelPassword: 'p' }, 'sentinelPassword'],
      [{ url, username: 'u', password: 'secret' }, 'username', 'password'],
      [{ clusterNodes: ['a'], username: 'u' }, 'password'],
      [{ url, tls: true }, 'tls'],
      [{ url, caFile: 'ca.pem' }, 'caFile'],
    ] as const) {
      const problems = await problemsOf({ overrides: { redis: wrong } });
      assert.deepEqual(
        problems.map((problem) => problem.split(': ')[1]),
        paths.map((path) => `redis.${path}`),
        problems.join(),
      );
      assert.doesNotMatch(problems.join(), /secret/);
    }
  });
});
