/** Carries a request out where it can be: in the running server, or here when none runs on the data directory. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/load.ts';
import { UnavailableError } from '../errors.ts';
import { ADMIN_REACH_MS } from '../limits.ts';
import { type AdminRecord, adminSocketPath, askServer } from './admin-socket.ts';
import type { OperationName } from './administer.ts';

const RETRY_MS = 100;

/**
 * A server that starts or ends holds the data directory without answering yet, or any more: waits for it up to
 * ADMIN_REACH_MS.
 * @throws what the operation throws; UnavailableError 'locked-data-directory'.
 */
export async function carryOut(
  config: Config,
  name: OperationName,
  args: object,
): Promise<readonly AdminRecord[]> {
  const socket = adminSocketPath(config.dataDirectory);
  const deadline = performance.now() + ADMIN_REACH_MS;
  for (;;) {
    const answer = await askServer(socket, { name, args });
    if (answer !== null) return answer;
    try {
      return await carryOutHere(config, name, args);
    } catch (error) {
      const isLocked = error instanceof UnavailableError && error.code === 'locked-data-directory';
      if (!isLocked || performance.now() > deadline) throw error;
    }
    await sleep(RETRY_MS);
  }
}

/** Loads the server's parts only now: with a server that runs, a command needs none of them. */
async function carryOutHere(
  config: Config,
  name: OperationName,
  args: object,
): Promise<readonly AdminRecord[]> {
  const [{ openAlone }, { administer }] = await Promise.all([
    import('./alone.ts'),
    import('./administer.ts'),
  ]);
  const parts = await openAlone(config);
  try {
    return await administer(parts.accounts, { name, args }, parts);
  } finally {
    await parts.close();
  }
}
