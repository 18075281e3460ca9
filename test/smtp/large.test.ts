import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { MIB, SPOOL_MESSAGE_OCTETS } from '../../src/limits.ts';
import { bodyFile } from '../../src/store/embedded/layout.ts';
import { SmtpFixture } from './support.ts';

const CANARY = 'There is a canary in this mine. ';
/** 64 KiB of lines. */
const PIECE = `${CANARY.repeat(2)}\r\n`.repeat(993);
const HEADER = 'Subject: large\r\n\r\n';

/** What the process has open in a directory, named or not. */
async function openFiles(directory: string): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const descriptor of await readdir('/proc/self/fd')) {
    const path = `/proc/self/fd/${descriptor}`;
    if ((await readlink(path).catch(() => '')).startsWith(directory)) found.push(await readFile(path));
  }
  return found;
}

const digest = (octets: string): string => createHash('sha256').update(octets, 'latin1').digest('hex');

describe('a message of 20 MB to a group', () => {
  let fixture: SmtpFixture;
  before(async () => {
    fixture = await SmtpFixture.open();
  });
  after(() => fixture.close());

  it('passes through little memory, lies nowhere in clear, and reaches each member', async () => {
    const client = await fixture.connect(await fixture.mx());
    await client.begin('all@demo.test');
    await client.send(HEADER);
    const pieces = Math.ceil((20 * MIB) / PIECE.length);
    for (let sent = 0; sent < pieces; sent++) await client.send(PIECE);
    // What was sent may still be on its way to the spool.
    const spooledOctets = async (): Promise<number> =>
      (await openFiles(fixture.spoolDirectory))[0]?.length ?? 0;
    const deadline = Date.now() + 15_000;
    while (process.platform === 'linux' && (await spooledOctets()) <= 17 * MIB && Date.now() < deadline) {
      await sleep(50);
    }

    assert.ok(fixture.budget.usedOctets <= SPOOL_MESSAGE_OCTETS);
    assert.deepEqual(await readdir(fixture.spoolDirectory), []);
    if (process.platform === 'linux') {
      const spooled = await openFiles(fixture.spoolDirectory);
      assert.equal(spooled.length, 1);
      assert.ok(spooled[0]!.length > 17 * MIB);
      assert.equal(spooled[0]!.includes('canary'), false);
    }

    await client.send('.\r\n');
    await client.talk('S: 250 2.0.0');
    assert.equal(fixture.budget.usedOctets, 0);
    if (process.platform === 'linux') assert.deepEqual(await openFiles(fixture.spoolDirectory), []);
    const wanted = digest(HEADER + PIECE.repeat(pieces));
    for (const user of ['alice', 'bob']) {
      const [body] = await fixture.bodies(user);
      assert.equal(digest(body!), wanted);
    }

    await fixture.store.store.checkpoint();
    assert.deepEqual(await readdir(fixture.spoolDirectory), []);
  });

  it('is one body on the disk, linked by each mailbox, as a small one is', async () => {
    const client = await fixture.connect(await fixture.mx());
    await client.begin('all@demo.test');
    await client.send('A: 1\r\n\r\nsmall\r\n.\r\n');
    await client.talk('S: 250 2.0.0');
    await fixture.store.store.checkpoint();
    const files = async (
      user: string,
    ): Promise<{ name: string; octets: Buffer; links: number; inode: number }[]> => {
      const { mailbox } = fixture.directory.user(`${user}@demo.test`);
      const directory = join(bodyFile(fixture.store.directory, mailbox, 'xx' as never), '../..');
      const names = await readdir(directory, { recursive: true, withFileTypes: true });
      return Promise.all(
        names
          .filter((entry) => entry.isFile())
          .map(async (entry) => {
            const path = join(entry.parentPath, entry.name);
            const { nlink, ino } = await stat(path);
            return { name: entry.name, octets: await readFile(path), links: nlink, inode: ino };
          }),
      );
    };
    const [alice, bob] = [await files('alice'), await files('bob')];
    assert.equal(alice.length, 2);
    for (const { name, octets, links, inode } of alice) {
      assert.equal(links, 2);
      assert.equal(inode, bob.find((other) => other.name === name)?.inode);
      assert.equal(octets.includes('canary'), false);
    }
  });
});
