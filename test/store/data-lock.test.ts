import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { UnavailableError } from '../../src/errors.ts';
import { lockDataDirectory } from '../../src/store/embedded/data-lock.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const MODULE = new URL('../../src/store/embedded/data-lock.ts', import.meta.url).href;
const HOLD = `
  const { lockDataDirectory } = await import(process.argv[1]);
  lockDataDirectory(process.argv[2]);
  process.stdout.write('locked');
  setInterval(() => undefined, 1000);
`;

describe('the lock of a data directory', () => {
  let directory: string;
  let child: ChildProcess | null = null;

  beforeEach(async () => {
    directory = await makeScratch('lock');
  });

  afterEach(async () => {
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    child = null;
    await removeScratch(directory);
  });

  async function hold(): Promise<ChildProcess> {
    const started = spawn(process.execPath, ['--input-type=module', '-e', HOLD, MODULE, directory]);
    child = started;
    await once(started.stdout, 'data');
    return started;
  }

  const isLocked = (error: unknown): boolean =>
    error instanceof UnavailableError && error.code === 'locked-data-directory';

  it('is refused while another process holds it, and free once that was killed', async () => {
    const holder = await hold();
    assert.throws(() => lockDataDirectory(directory), isLocked);
    assert.throws(() => lockDataDirectory(directory), isLocked);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    lockDataDirectory(directory).release();
  });

  it('keeps another process out until it is released, and is refused twice in one process', async () => {
    const lock = lockDataDirectory(directory);
    assert.throws(() => lockDataDirectory(directory), isLocked);
    const refused = spawn(process.execPath, ['--input-type=module', '-e', HOLD, MODULE, directory]);
    const [code] = await once(refused, 'exit');
    assert.notEqual(code, 0);
    lock.release();
    await hold();
  });
});
