/**
 * Free TCP ports on 127.0.0.1, below the range that the kernel hands to outgoing connections (32768 and up), so that
 * no connection takes one between our look and the server's bind.
 */
import { createServer } from 'node:net';

const LOWEST_BASE = 10_000;
const HIGHEST_BASE = 31_000;
/** Each try is random, so that suites that run side by side do not walk over the same ports. */
const TRIES = 50;

/**
 * Finds a base for which every base + offset can be bound.
 * @throws Error when no base was free in 50 tries.
 */
export async function freePortBase(offsets: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const base = LOWEST_BASE + Math.floor(Math.random() * (HIGHEST_BASE - LOWEST_BASE));
    const free = await Promise.all(offsets.map((offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('No free ports were found.');
}

export const freePort = (): Promise<number> => freePortBase([0]);

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
