/** The Redis that the configuration names, for the lease cache. */
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/load.ts';
import { type RedisAddress, RedisLink, type RedisLinkOptions } from '../keys/redis-link.ts';

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

/**
 * Does not fail when Redis does not answer.
 * @returns null when none is configured. @throws the file system's error when `caFile` cannot be read.
 */
export async function openLeaseRedis({ redis }: Config, log: Logger): Promise<RedisLink | null> {
  const place = placeOf(redis);
  if (place === null) return null;
  const ca = redis.caFile === null ? null : await readFile(redis.caFile, 'utf8');
  const { isTls, ...where } = place;
  return RedisLink.open({ ...where, tls: isTls ? { ca } : null, log });
}

type Place = Pick<RedisLinkOptions, 'where' | 'username' | 'password'> & { readonly isTls: boolean };

/** The configuration was checked: at most one of the three is there, whole. */
function placeOf(redis: Config['redis']): Place | null {
  const { username, password, tls: isTls } = redis;
  if (redis.url !== null) {
    const url = new URL(redis.url);
    const address = { host: unbracketed(url.hostname), port: Number(url.port || REDIS_PORT) };
    return {
      where: { kind: 'single', address, database: Number(url.pathname.slice(1)) },
      username: decodeURIComponent(url.username) || null,
      password: decodeURIComponent(url.password) || null,
      isTls: url.protocol === 'rediss:',
    };
  }
  if (redis.sentinels.length > 0) {
    const addresses = redis.sentinels.map((text) => addressOf(text, SENTINEL_PORT));
    const master = redis.sentinelMaster!;
    return {
      where: { kind: 'sentinels', addresses, master, password: redis.sentinelPassword },
      ...{ username, password, isTls },
    };
  }
  if (redis.clusterNodes.length > 0) {
    const addresses = redis.clusterNodes.map((text) => addressOf(text, REDIS_PORT));
    return { where: { kind: 'cluster', addresses }, username, password, isTls };
  }
  return null;
}

function addressOf(text: string, standardPort: number): RedisAddress {
  const [, host, port] = /^(.*?)(?::(\d{1,5}))?$/.exec(text)!;
  return { host: unbracketed(host!), port: port === undefined ? standardPort : Number(port) };
}

/** `[::1]` is `::1`. */
const unbracketed = (host: string): string => host.replace(/^\[(.*)\]$/, '$1');
