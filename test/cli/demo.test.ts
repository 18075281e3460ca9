import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'mocha';
import { freePortBase } from '../support/free-ports.ts';
import { runProgram } from '../support/run-program.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const PORT_OFFSETS = {
  ...{ mx: 25, lmtp: 24, submission: 587, submissions: 465, imap: 143, imaps: 993 },
  ...{ http: 80, metrics: 94 },
};

interface Demo {
  /** What it printed until it was ready. */
  readonly said: string;
  /** Sends the signal. @returns All that it printed, and how it ended. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly end: unknown; readonly stdout: string }>;
}

/** @param isReady Of what it printed so far. @throws Error with what it said when it ends before it is ready. */
async function startDemo(args: readonly string[], isReady: RegExp): Promise<Demo> {
  const child = spawn(process.execPath, [MAIN, 'demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const killWithUs = (): unknown => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  const closed = once(child, 'close').finally(() => process.off('exit', killWithUs));
  const stderr = text(child.stderr);
  let said = '';
  const ready = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      if (isReady.test(said)) resolve();
    });
  });
  const ended = closed.then(async () => {
    throw new Error(`The demo ended.\n${await stderr}`);
  });
  ended.catch(() => {});
  await Promise.race([ready, ended]);
  return {
    said,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const [exitCode, endSignal] = await closed;
      return { end: exitCode ?? endSignal, stdout: said };
    },
  };
}

const addressesOf = (users: readonly { readonly address: string }[]): string[] =>
  users.map(({ address }) => address);

describe('the demo', () => {
  let scratch: string;
  let data: string;
  let base: string;
  before(async () => {
    scratch = await makeScratch('demo');
    data = join(scratch, "Alice's data");
    base = String(await freePortBase(Object.values(PORT_OFFSETS)));
  });
  after(() => removeScratch(scratch));

  const demoArgs = (...more: string[]): string[] => ['--data', data, '--port-base', base, ...more];
  let password: string;

  it('prints, once all ports answer, two lines of curl that send a message and read it back from anywhere', async () => {
    const demo = await startDemo(demoArgs(), /Ctrl-C/);
    try {
      for (const [name, offset] of Object.entries(PORT_OFFSETS)) {
        assert.match(demo.said, new RegExp(`\\b${name} ${Number(base) + offset}\\b`));
      }
      password = /^ {2}password +(\S+)$/m.exec(demo.said)![1]!;
      const lines = demo.said.split('\n').filter((line) => line.startsWith('curl '));
      assert.equal(lines.length, 2);
      for (const shell of ['sh', 'bash']) {
        const { exitCode, stdout, stderr } = await runProgram(
          'env',
          ['-C', '/', shell],
          `${lines.join('\n')}\n`,
        );
        assert.deepEqual([exitCode, stderr], [0, '']);
        const sent = await readFile(join(data, 'first-message.eml'));
        assert.ok(stdout.subarray(-sent.length).equals(sent));
      }
    } finally {
      assert.equal((await demo.stop()).end, 0);
    }
  });

  it('keeps what it needs for the next start to itself', async () => {
    for (const name of [
      'demo.json',
      'first-message.eml',
      'directory.db',
      'logs/letterlock.log',
      'tls/key.pem',
    ]) {
      assert.equal((await stat(join(data, name))).mode & 0o077, 0, name);
    }
  });

  it('keeps accounts and password over a start, and makes the users that are asked for beyond them', async () => {
    const demo = await startDemo(demoArgs('--users', '3', '--json'), /\n/);
    const { end, stdout } = await demo.stop('SIGINT');
    assert.equal(end, 0);
    const { pid, ...ready } = JSON.parse(stdout);
    assert.equal(typeof pid, 'number');
    const names = ['alice', 'bob', 'u0001', 'u0002', 'u0003'];
    assert.deepEqual(ready, {
      ready: true,
      host: 'localhost',
      ports: Object.fromEntries(Object.entries(PORT_OFFSETS).map(([name, n]) => [name, Number(base) + n])),
      ca: join(data, 'tls/ca.pem'),
      domain: 'demo.test',
      users: names.map((name) => ({ address: `${name}@demo.test`, password })),
      group: 'everyone@demo.test',
      data,
      logs: [join(data, 'logs/letterlock.log')],
    });
    const group = await command('group', 'show', 'everyone@demo.test');
    assert.deepEqual(
      group.members,
      names.map((name) => `${name}@demo.test`),
    );
  });

  it('leaves removed what was removed', async () => {
    await runProgram(process.execPath, [MAIN, 'user', 'remove', 'u0002@demo.test', '--data', data]);
    const demo = await startDemo(demoArgs('--users', '4', '--json'), /\n/);
    const expected = ['alice', 'bob', 'u0001', 'u0003', 'u0004'].map((name) => `${name}@demo.test`);
    assert.deepEqual(addressesOf(JSON.parse((await demo.stop()).stdout).users), expected);
    assert.deepEqual(addressesOf(await command('user', 'list')), expected);
  });

  it('goes on where a first start was broken off', async () => {
    const file = join(data, 'demo.json');
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), users: null }));
    const demo = await startDemo(demoArgs('--users', '2', '--json'), /\n/);
    await demo.stop();
    assert.ok(addressesOf(await command('user', 'list')).includes('u0002@demo.test'));
  });

  it('takes another password, and lets a configuration file set every key', async () => {
    const file = join(scratch, 'config.yaml');
    await writeFile(file, 'listeners:\n  http: false\nroles: [submission, imap]\n');
    const demo = await startDemo(demoArgs('--password', "it's new", '--config', file), /Ctrl-C/);
    try {
      assert.doesNotMatch(demo.said, /\bmx \d|http \d/);
      const [, read] = demo.said.split('\n').filter((line) => line.startsWith('curl '));
      const { exitCode, stdout } = await runProgram('sh', ['-c', read!]);
      assert.equal(exitCode, 0);
      assert.match(stdout.toString(), /^Subject: The first message\r$/m);
    } finally {
      assert.equal((await demo.stop()).end, 0);
    }
  });

  it('refuses another domain on the same data, and a port that is taken, in one sentence each', async () => {
    const refusal = async (...args: string[]): Promise<unknown> => {
      const { exitCode, stderr } = await runProgram(process.execPath, [MAIN, 'demo', ...demoArgs(...args)]);
      return [exitCode, stderr];
    };
    assert.deepEqual(await refusal('--domain', 'other.test'), [
      2,
      `letterlock: The demo in ${data} has the domain demo.test; choose another --data for a demo with other.test.\n`,
    ]);
    const port = Number(base) + PORT_OFFSETS.imaps;
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    const sentence = `letterlock: Port ${port} of 127.0.0.1 is in use by another program.\n`;
    assert.deepEqual(await refusal(), [1, sentence]);
    other.close();
  });

  it('left to choose, takes other ports than those in use', async () => {
    const other = createServer().listen(2993, '127.0.0.1');
    // In use already is what is wanted here.
    await once(other, 'listening').catch(() => {});
    const demo = await startDemo(['--data', data, '--json'], /\n/).finally(() => other.close());
    const { stdout } = await demo.stop();
    const { ports } = JSON.parse(stdout);
    const chosen = ports.imaps - PORT_OFFSETS.imaps;
    assert.ok(chosen === 12_000 || chosen === 22_000, stdout);
    assert.deepEqual(
      ports,
      Object.fromEntries(Object.entries(PORT_OFFSETS).map(([name, n]) => [name, chosen + n])),
    );
  });

  /** A listing or showing command, alone. */
  async function command(...args: string[]) {
    const { stdout } = await runProgram(process.execPath, [MAIN, ...args, '--data', data, '--json']);
    return JSON.parse(stdout.toString());
  }
});
