import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { readEnvironment, variableOf } from '../../src/config/environment.ts';
import { outline } from '../../src/config/outline.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('configuration from the environment', () => {
  let scratch: string;
  before(async () => {
    scratch = await makeScratch('config');
  });
  after(() => removeScratch(scratch));

  const values = async (environment: NodeJS.ProcessEnv) => {
    const { settings, problems } = await readEnvironment(environment);
    assert.deepEqual(problems, []);
    return Object.fromEntries(settings.map(({ path, value }) => [path.join('.'), value]));
  };

  it('gives every key a variable of its own', () => {
    const variables = outline().map(({ path }) => variableOf(path));
    assert.equal(new Set(variables).size, variables.length);
    assert.ok(variables.includes('LETTERLOCK_SMTP_BANNER_DELAY_MS'));
  });

  it('parses a value by the type of its key', async () => {
    assert.deepEqual(
      await values({
        LETTERLOCK_DATA_DIRECTORY: '5',
        LETTERLOCK_LISTENERS_MX: 'false',
        LETTERLOCK_QUOTA_DEFAULT_OCTETS: 'null',
        LETTERLOCK_IMAP_STALL_SECONDS: '5',
        LETTERLOCK_KEYS_CONTEXT_ACCOUNT: '000000000001',
        LETTERLOCK_PLAINTEXT_AUTH_NETWORKS: '10.0.0.0/8, fd00::/8',
        LETTERLOCK_ROLES: '',
        PATH: '/bin',
      }),
      {
        dataDirectory: '5',
        roles: [],
        'listeners.mx': false,
        plaintextAuthNetworks: ['10.0.0.0/8', 'fd00::/8'],
        'imap.stallSeconds': 5,
        'keys.context.account': '000000000001',
        'quota.defaultOctets': null,
      },
    );
  });

  it('reads the value of a _FILE variable from the file, without its last line end', async () => {
    const path = join(scratch, 'name');
    await writeFile(path, 'mail.test\n');
    assert.deepEqual(await values({ LETTERLOCK_HOSTNAME_FILE: path, LETTERLOCK_TLS_KEY_FILE: '/k' }), {
      hostname: 'mail.test',
      'tls.keyFile': '/k',
    });
  });

  it('refuses a _FILE beside its variable, one that cannot be read, and names of no key', async () => {
    const { problems } = await readEnvironment({
      LETTERLOCK_HOSTNAME: 'a',
      LETTERLOCK_HOSTNAME_FILE: '/a',
      LETTERLOCK_DATA_DIRECTORY_FILE: '/nowhere/at/all',
      LETTERLOCK_DATADIRECTORY: '/x',
    });
    assert.deepEqual(
      problems.map(({ source }) => source),
      ['LETTERLOCK_DATA_DIRECTORY_FILE', 'LETTERLOCK_HOSTNAME_FILE', 'LETTERLOCK_DATADIRECTORY'],
    );
  });

  it('passes over what Kubernetes sets for a Service of our name', async () => {
    const links = {
      LETTERLOCK_PORT: 'tcp://10.0.0.1:25',
      LETTERLOCK_PORT_25_TCP_ADDR: '10.0.0.1',
      LETTERLOCK_SERVICE_PORT_IMAPS: '993',
      LETTERLOCK_IMAP_SERVICE_HOST: '10.0.0.1',
    };
    assert.deepEqual(await values(links), {});
  });
});
