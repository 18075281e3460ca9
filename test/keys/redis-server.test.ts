import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { eventually, type RedisServer, startRedis } from '../support/redis.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('a server with a Redis', function () {
  this.timeout(60_000);
  let scratch: string;
  let data: string;
  let redis: RedisServer;
  let server: Letterlock;
  let alice: LetterlockUser;

  before(async () => {
    scratch = await makeScratch('redis-server');
    data = join(scratch, 'data');
    redis = await startRedis(['requirepass p@ss']);
    await writeFile(join(scratch, 'url'), `redis://:p%40ss@127.0.0.1:${redis.port}/0\n`);
    server = await start();
    alice = server.users[0]!;
  });
  after(async () => {
    await server?.stop();
    await redis?.stop();
    await removeScratch(scratch);
  });

  const start = (): Promise<Letterlock> =>
    startLetterlock({
      data,
      config: { plaintextAuthNetworks: ['127.0.0.0/8'] },
      environment: { LETTERLOCK_REDIS_URL_FILE: join(scratch, 'url') },
    });
  const login = async (): Promise<string> => {
    const client = await RawImap.connect(server.ports.imap);
    const { status, text } = await client.command(`LOGIN ${alice.address} "${alice.password}"`);
    client.destroy();
    return `${status} ${text}`;
  };
  /** Where the keys of the last lease came from, as the journal of the last start says once it is stopped. */
  async function lastSource(): Promise<unknown> {
    const journals = join(data, 'keys', 'journal');
    const last = (await readdir(journals)).sort().at(-1)!;
    const lines = (await readFile(join(journals, last), 'utf8')).trim().split('\n');
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return records.findLast(({ event }) => event === 'lease')?.['source'];
  }
  const entries = () => redis.admin.keys('*');

  it('opens a mailbox from Redis after a restart, not after a lock, though its entry was put back', async () => {
    assert.match(await login(), /^OK/);
    await eventually(async () => (await entries()).length === 1);
    const [name] = await entries();
    assert.match(name!, /^letterlock:1:lease:[0-9a-f]{32}:1$/);
    await server.stop();
    assert.equal(await lastSource(), 'key-service');

    server = await start();
    assert.match(await login(), /^OK/);
    const entry = (await redis.admin.getBuffer(name!))!;
    await server.administer(['mailbox', 'lock', alice.address]);
    assert.deepEqual(await entries(), []);
    await redis.admin.set(name!, entry);
    assert.match(await login(), /^NO \[CONTACTADMIN\]/);
    await server.stop();
    assert.equal(await lastSource(), 'redis');

    server = await start();
    await server.administer(['mailbox', 'unlock', alice.address]);
    await redis.admin.set(name!, entry);
    assert.match(await login(), /^OK/);
    await server.stop();
    assert.equal(await lastSource(), 'key-service');
    server = await start();
  });

  it('is ready and lets users in while Redis is gone, and says so once in its log for each start', async () => {
    await redis.kill();
    for (let logins = 0; logins < 5; logins++) assert.match(await login(), /^OK/);
    const { status } = await fetch(`http://127.0.0.1:${server.ports.http}/readyz`);
    assert.equal(status, 200);
    const log = () => readFile(server.logs[0]!, 'utf8');
    const complaints = async () => (await log()).match(/"msg":"the lease cache does not answer"/g)!.length;
    assert.equal(await complaints(), 1);
    await server.stop();
    server = await start();
    assert.match(await login(), /^OK/);
    assert.equal(await complaints(), 2, 'of the second start');
    assert.doesNotMatch((await log()) + server.said(), /p@ss|p%40ss/);
    await redis.start();
  });
});
