/**
 * Runs docs/operating.md, "With Docker Compose", as an operator would: every block, in its order, in one shell. Only what
 * lies outside of this machine is another: `docker` is docker.ts, `aws` asks our KMS endpoint, curl connects to the ports
 * that stand for the published ones.
 */
import assert from 'node:assert/strict';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { KmsEndpoint } from '../keys/kms-endpoint/server.ts';
import { freePortBase } from '../support/free-ports.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { ROOT, readDockerfile, readService } from './compose-file.ts';
import { blocksOf } from './page.ts';
import { Shell } from './shell.ts';

const SECTION = 'With Docker Compose';
/** The page's own, so that its settings are what the server gets. */
const SERVER_KEY = 'AKIAIOSFODNN7EXAMPLE';
const ADMINISTRATOR_KEY = 'AKIAI44QH8DHBEXAMPLE';
const role = (name: string) => `arn:aws:iam::111122223333:role/${name}`;
/** Offsets of the listeners from the container's port 2000, and of Redis. */
const OFFSETS = [25, 24, 587, 465, 143, 993, 80, 79];

const blocks = blocksOf(join(ROOT, 'docs/operating.md'), SECTION);
const commands = blocks.filter(({ mark }) => mark === '' || /^(shows|refused with) /.test(mark));
const composeFile = join(ROOT, 'config/compose.yaml');
const compose = readService(composeFile, 'letterlock', {
  LETTERLOCK_HOSTNAME: 'mail.example.com',
  LETTERLOCK_KEYS_AWS_KEY_ID: 'arn',
  LETTERLOCK_KEYS_CONTEXT_REGION: 'eu-central-1',
  LETTERLOCK_KEYS_CONTEXT_ACCOUNT: '111122223333',
});

describe(`docs/operating.md, "${SECTION}"`, function () {
  this.timeout(120_000);
  let scratch: string;
  let endpoint: KmsEndpoint;
  let shell: Shell;
  let openShell: () => Shell;

  before(async () => {
    scratch = await makeScratch('walk');
    endpoint = await KmsEndpoint.start({
      principals: { [SERVER_KEY]: role('Letterlock'), [ADMINISTRATOR_KEY]: role('KeyAdministrator') },
    });
    const base = await freePortBase(OFFSETS);
    const [programs, desk] = [join(scratch, 'bin'), join(scratch, 'desk')];
    await Promise.all([programs, desk].map((directory) => mkdir(directory)));
    await symlink(ROOT, join(desk, 'letterlock'));
    const isRoot = process.getuid!() === 0;
    const { PATH = '' } = process.env;
    await program('docker', `exec node '${join(import.meta.dirname, 'docker.ts')}' "$@"`);
    await program('sudo', isRoot ? 'exec "$@"' : `PATH='${PATH}' exec sudo -n "$@"`);
    await program(
      'aws',
      `export AWS_ACCESS_KEY_ID=${ADMINISTRATOR_KEY} AWS_SECRET_ACCESS_KEY=secret AWS_PAGER=
       PATH='${PATH}' exec aws --endpoint-url '${endpoint.url}' "$@"`,
    );
    const connect = compose.ports.map((published) => {
      const [inner, outer, address = 'mail.example.com'] = published.split(':').reverse();
      return `connect-to = "${address}:${outer}:127.0.0.1:${base + Number(inner) - 2000}"\n`;
    });
    await writeFile(join(scratch, '.curlrc'), connect.join(''));
    const own = Object.entries(process.env).filter(([name]) => !/^(AWS|LETTERLOCK)_/.test(name));
    const env = {
      ...Object.fromEntries(own),
      PATH: `${programs}${delimiter}${PATH}`,
      HOME: scratch,
      CURL_HOME: scratch,
      WALK_ROOT: join(scratch, 'containers'),
      WALK_PORT_BASE: String(base),
      WALK_ENDPOINT: endpoint.url,
    };
    openShell = () => new Shell({ cwd: desk, scratch, env });
    shell = openShell();

    async function program(name: string, line: string): Promise<void> {
      await writeFile(join(programs, name), `#!/usr/bin/env bash\n${line}\n`);
      await chmod(join(programs, name), 0o755);
    }
  });

  after(async () => {
    await shell?.end();
    // The shell of the page may have ended early.
    const last = openShell();
    await last.run('docker compose down --volumes', true);
    await last.end();
    await endpoint?.down();
    await removeScratch(scratch);
  });

  for (const { mark, text, line } of commands) {
    const [, kind, words = ''] = /^(shows|refused with) (.+)$/.exec(mark) ?? [];
    const first = text.split('\n', 1)[0]!;
    it(`line ${line}, ${first.slice(0, 60)}: ${mark === '' ? 'works' : mark}`, async () => {
      const { exitCode, said } = await shell.run(text, kind === 'refused with');
      if (kind === 'refused with') assert.notEqual(exitCode, 0, said);
      else assert.equal(exitCode, 0, said);
      assert.ok(said.includes(words), said);
    });
  }

  it('locks the mailbox of the key policy, and no other', () => {
    const denied = endpoint.calls.filter(({ outcome }) => outcome === 'AccessDeniedException');
    assert.ok(denied.length > 0);
    for (const { operation, principal } of denied) {
      assert.deepEqual([operation, principal], ['Decrypt', role('Letterlock')]);
    }
    assert.equal(new Set(denied.map(({ context }) => context['letterlock:mailbox'])).size, 1);
    const others = endpoint.calls.filter(({ outcome }) => !['ok', 'AccessDeniedException'].includes(outcome));
    assert.deepEqual(others, []);
  });

  it('has the server use the key and the administrator manage it, and neither the other', () => {
    const by = (name: string) =>
      new Set(
        endpoint.calls.filter(({ principal }) => principal === role(name)).map((call) => call.operation),
      );
    const managing = ['CreateKey', 'CreateAlias', 'PutKeyPolicy', 'GetKeyPolicy'];
    assert.deepEqual([...by('KeyAdministrator')].sort(), managing.sort());
    assert.ok(by('Letterlock').has('Decrypt'));
    assert.ok([...by('Letterlock')].every((operation) => !managing.includes(operation)));
  });

  it('knows every mark of the page', () => {
    const known = new Set([...commands, ...blocks.filter(({ mark }) => mark === 'zone')]);
    assert.deepEqual(
      blocks.filter((block) => !known.has(block)),
      [],
    );
  });

  it('has records of the DNS that lead clients and senders to the published ports', () => {
    const records = blocks.find(({ mark }) => mark === 'zone')!.text.split('\n');
    const published = compose.ports.map((port) => port.split(':').at(-2)!);
    const hosts = new Set(records.flatMap((record) => /^(\S+)\.\s+(?:A|CNAME) /.exec(record)?.[1] ?? []));
    const services = records.flatMap((record) => {
      const [, service, port, host] =
        /^(_\S+)\._tcp\.example\.com\. +SRV +\d+ \d+ (\d+) (\S+)\.$/.exec(record) ?? [];
      return service === undefined ? [] : [{ service, port, host }];
    });
    assert.deepEqual(
      services.map(({ service, port }) => `${service} ${port}`),
      ['_imaps 993', '_submissions 465', '_autodiscover 443'],
    );
    for (const { service, port, host } of services) {
      assert.ok(hosts.has(host!));
      assert.ok(service === '_autodiscover' || published.includes(port!));
    }
    assert.ok(records.some((record) => /^example\.com\. +MX +10 mail\.example\.com\.$/.test(record)));
    assert.ok(published.includes('25'));
    assert.ok(records.some((record) => /^example\.com\. +TXT +"v=spf1 mx -all"$/.test(record)));
  });
});

describe('config/compose.yaml', () => {
  const image = readDockerfile();

  it('publishes ports of the image, which a user without capabilities may bind', () => {
    const inner = compose.ports.map((port) => Number(port.split(':').at(-1)));
    assert.deepEqual(inner.sort(), [...image.ports].sort());
    assert.ok(inner.every((port) => port >= 1024));
  });

  it('tells clients the ports that it publishes', () => {
    const of = (name: string) => image.environment[`LETTERLOCK_AUTOCONFIG_${name}_PORT`];
    const inner = (name: string) => image.environment[`LETTERLOCK_LISTENERS_${name}_PORT`];
    assert.ok(compose.ports.includes(`${of('IMAP')}:${inner('IMAPS')}`));
    assert.ok(compose.ports.includes(`${of('SMTP')}:${inner('SUBMISSIONS')}`));
  });

  it('lets the server end in its own time', () => {
    const seconds = Number(/^(\d+)s$/.exec(compose.stop_grace_period)![1]);
    assert.ok(seconds > 2 * Number(compose.environment['LETTERLOCK_SHUTDOWN_SECONDS']));
  });

  it('gives no capability, no way to one, no core dump, no endless log, and a root that is read only', () => {
    assert.equal(compose.read_only, true);
    assert.deepEqual(compose.cap_drop, ['ALL']);
    assert.deepEqual(compose.security_opt, ['no-new-privileges:true']);
    assert.equal(compose.ulimits['core'], 0);
    assert.ok(compose.logging.options['max-size'] !== undefined);
  });
});
