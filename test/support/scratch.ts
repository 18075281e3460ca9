/** Temporary directories of a test, removed with all that is in them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const makeScratch = (purpose: string): Promise<string> =>
  mkdtemp(join(tmpdir(), `letterlock-${purpose}-`));

/** Daemons that are just ending may still write, hence the retries. */
export const removeScratch = (directory: string): Promise<void> =>
  rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
