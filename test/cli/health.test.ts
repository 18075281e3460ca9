import assert from 'node:assert/strict';
import { rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { openAlone } from '../../src/cli/alone.ts';
import { probesOf } from '../../src/cli/probes.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startHttp } from '../../src/http/server.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { runCommand } from './run-command.ts';

describe('the parts of a server', () => {
  it('are essential where it can do nothing without them: keys only where nobody receives', async () => {
    const scratch = await makeScratch('probes');
    const essential = async (roles: readonly string[]): Promise<string[]> => {
      const overrides = { dataDirectory: join(scratch, 'data'), roles };
      const config = await loadConfig({ overrides, environment: {} });
      const parts = await openAlone(config);
      const probes = probesOf(config, parts, null);
      assert.ok(probes.every((probe) => probe.isWorking()));
      await parts.close();
      return probes.filter(({ isEssential }) => isEssential).map(({ name }) => name);
    };
    assert.deepEqual(await essential(['http']), ['store', 'accept-journal', 'keys']);
    for (const role of ['mx', 'lmtp']) {
      assert.deepEqual(await essential([role, 'http']), ['store', 'accept-journal']);
    }
    await removeScratch(scratch);
  });
});

/** With a real server, in whose place for key-use journals no file can be made. */
describe('a server whose key uses cannot be recorded', function () {
  this.timeout(30_000);
  let scratch: string;
  let data: string;
  let server: Letterlock;
  before(async () => {
    scratch = await makeScratch('health');
    data = join(scratch, 'data');
    await (await startLetterlock({ data })).stop();
    const journals = join(data, 'keys/journal');
    await rename(journals, join(scratch, 'journals'));
    await symlink('/proc/self', journals);
    server = await startLetterlock({ data, config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });
  });
  after(async () => {
    await server.stop();
    await removeScratch(scratch);
  });

  it('is ready for mail, and says what it lacks', async () => {
    const sender = await RawSmtp.connect(server.ports.mx);
    await sender.send('s@elsewhere.test', [server.users[0]!.address], 'Subject: x\r\n\r\nHello.\r\n');
    sender.destroy();
    const { address, password } = server.users[0]!;
    const reader = await RawImap.connect(server.ports.imap);
    assert.match((await reader.command(`LOGIN ${address} "${password}"`)).text, /^\[UNAVAILABLE\]/);
    await reader.ok('LOGOUT');

    const answer = { status: 'ready', degraded: ['keys', 'audit'] };
    const url = `http://127.0.0.1:${server.ports.http}/readyz`;
    const response = await fetch(url);
    assert.deepEqual([response.status, await response.json()], [200, answer]);
    for (const options of [
      ['--data', data],
      ['--url', url],
    ]) {
      const said = await runCommand(['health', ...options]);
      assert.deepEqual(said, {
        exitCode: 0,
        stdout: 'The server works, without: keys, audit.\n',
        stderr: '',
      });
      const json = JSON.parse((await runCommand(['health', '--json', ...options])).stdout);
      assert.partialDeepStrictEqual(json, { ready: true, ...answer });
    }
  });

  it('is told from one that cannot work, by exit code and sentence', async () => {
    const probes = [
      { name: 'store', isEssential: true, isWorking: () => false },
      { name: 'keys', isEssential: false, isWorking: () => false },
    ];
    const full = await startHttp({ host: '127.0.0.1', port: 0, clients: null }, { probes, log: console });
    const said = await runCommand(['health', '--url', `http://127.0.0.1:${full.port}/readyz`]);
    await full.close();
    assert.deepEqual(said, { exitCode: 1, stdout: 'The server does not work: store, keys.\n', stderr: '' });
  });

  it('is told from what is no server of ours', async () => {
    const url = `http://127.0.0.1:${server.ports.metrics}/readyz`;
    const { exitCode, stderr } = await runCommand(['health', '--url', url]);
    assert.deepEqual(
      [exitCode, stderr],
      [1, 'letterlock: The server answers with status 404, which is no /readyz of ours.\n'],
    );
  });
});
