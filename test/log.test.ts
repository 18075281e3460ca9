import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { UnavailableError } from '../src/errors.ts';
import { openLog } from '../src/log.ts';
import { makeScratch, removeScratch } from './support/scratch.ts';

const run = promisify(execFile);
const LOG = join(import.meta.dirname, '../src/log.ts');

describe('the log', () => {
  let scratch: string;
  let file: string;
  const lines = async (path = file) =>
    (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  beforeEach(async () => {
    scratch = await makeScratch('log');
    file = join(scratch, 'logs', 'letterlock.log');
  });
  afterEach(() => removeScratch(scratch));

  it('is a file of JSON lines that only its owner may read', async () => {
    const log = await openLog({ level: 'info', file });
    log.logger.info({ mailbox: 'abc' }, 'opened');
    log.logger.debug('not at this level');
    await log.close();
    const [line, ...others] = await lines();
    assert.deepEqual(others, []);
    assert.equal(line!['level'], 'info');
    assert.equal(line!['msg'], 'opened');
    assert.equal(line!['mailbox'], 'abc');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('shows the public sentence of our errors and no word of any other', async () => {
    const log = await openLog({ level: 'info', file });
    const cause = Object.assign(new Error("ENOSPC: write 'Subject: canary'"), { code: 'ENOSPC' });
    log.logger.error({ err: new UnavailableError('disk-full', 'The disk is full.', cause) }, 'failed');
    log.logger.error({ err: new TypeError('canary is not a function\nin canary') }, 'bug');
    log.logger.error({ err: new Error('canary') });
    log.logger.error(new Error('canary'));
    await log.close();
    assert.doesNotMatch(await readFile(file, 'utf8'), /canary/);
    const [ours, bug] = (await lines()) as { err: Record<string, unknown> }[];
    assert.equal(ours!.err['code'], 'disk-full');
    assert.equal(ours!.err['message'], 'The disk is full.');
    assert.equal((ours!.err['cause'] as Record<string, unknown>)['code'], 'ENOSPC');
    assert.equal(bug!.err['type'], 'TypeError');
    assert.match(bug!.err['stack'] as string, /log\.test\.ts/);
  });

  it('hides credentials and addresses that are logged by mistake', async () => {
    const log = await openLog({ level: 'info', file });
    log.logger.info(
      { password: 'canary', auth: { password: 'canary' }, subject: 'canary', to: ['canary'] },
      'x',
    );
    await log.close();
    assert.doesNotMatch(await readFile(file, 'utf8'), /canary/);
  });

  it('goes on in a new file after the old one was moved away and it was told', async () => {
    const log = await openLog({ level: 'info', file });
    log.logger.info('before');
    await setTimeout(20);
    await rename(file, `${file}.1`);
    log.reopen();
    log.logger.info('after');
    await log.close();
    assert.deepEqual(
      (await lines(`${file}.1`)).map(({ msg }) => msg),
      ['before'],
    );
    assert.deepEqual(
      (await lines()).map(({ msg }) => msg),
      ['after'],
    );
  });

  it('has the last words of a process that ends at once', async () => {
    const script = `
      import { openLog } from ${JSON.stringify(LOG)};
      const log = await openLog({ level: 'info', file: process.argv[1] });
      for (let i = 0; i < 1000; i++) log.logger.info({ i }, 'work');
      log.fatal(new Error('canary'), 'a sync failed');
      process.kill(process.pid, 'SIGKILL');
      for (;;) {}
    `;
    await assert.rejects(run(process.execPath, ['--input-type=module', '-e', script, file]));
    const written = await lines();
    assert.equal(written.length, 1001);
    assert.equal(written.at(-1)!['msg'], 'a sync failed');
  });

  it('is written out when the process exits', async () => {
    const script = `
      import { openLog } from ${JSON.stringify(LOG)};
      const log = await openLog({ level: 'info', file: null });
      for (let i = 0; i < 1000; i++) log.logger.info({ i }, 'work');
      process.exit(0);
    `;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
    assert.equal(stdout.trimEnd().split('\n').length, 1000);
  });

  it('lets a process end whose disk is full, with its last words on standard error', async () => {
    const script = `
      import { openLog } from ${JSON.stringify(LOG)};
      const log = await openLog({ level: 'info', file: '/dev/full' });
      log.logger.info('work');
      await new Promise((resolve) => setTimeout(resolve, 20));
      log.logger.info('work');
      log.fatal(new Error('canary'), 'a sync failed');
      log.logger.info('work');
      process.exit(3);
    `;
    const ended = run(process.execPath, ['--input-type=module', '-e', script], { timeout: 10_000 });
    await assert.rejects(ended, (error: { code: number; stderr: string }) => {
      assert.equal(error.code, 3);
      assert.match(error.stderr, /^a sync failed/);
      assert.doesNotMatch(error.stderr, /canary/);
      return true;
    });
  });

  it('cannot be opened where nothing can be written', async () => {
    await assert.rejects(openLog({ level: 'info', file: '/dev/null/log' }));
    await assert.rejects(openLog({ level: 'info', file: scratch }), { code: 'EISDIR' });
  });
});
