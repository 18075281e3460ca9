import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { describe, it } from 'mocha';
import { IntegrityError } from '../../src/errors.ts';
import { type FolderId, newMailboxId, type Uid } from '../../src/ids.ts';
import { openName, sealName } from '../../src/store/embedded/sealed-names.ts';
import { message, StoreFixture } from './support.ts';

const FOLDER = 'Scheidungsanwalt';
const CHILD = 'Überweisungen';
const SUBSCRIPTION = 'AbgekündigterName';
const KEYWORD = '$Steuerhinterziehung';
const SUBJECT = 'Vertraulicher-Betreff';
const BODY = 'InhaltDerNachricht';

function* filesBelow(directory: string): Generator<string> {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

describe('names and mail at rest', () => {
  it('are in no file of the data directory, before and after the checkpoint, nor in any file’s name', async () => {
    const fixture = await StoreFixture.open({ snapshotIntervalMs: 0 });
    const id = await fixture.newMailbox();
    const mailbox = await fixture.open(id);
    const folder = await mailbox.createFolder([FOLDER, CHILD]);
    const inbox = (await mailbox.findFolder(['INBOX'])).id;
    await mailbox.setSubscribed([SUBSCRIPTION], true);
    await mailbox.renameFolder([FOLDER], [`${FOLDER}2`]);
    for (const size of [10, 200_000, 3_000_000]) {
      const text = message(SUBJECT, `${BODY} ${'x'.repeat(size)}`);
      await fixture.deliver(await fixture.sealed(text), [id]);
    }
    const uids = [1, 2, 3] as Uid[];
    await mailbox.storeFlags(inbox, uids, { operation: 'add', flags: { system: 0, keywords: [KEYWORD] } });
    await mailbox.copy(inbox, uids, folder.id);

    const secrets = [FOLDER, CHILD, SUBSCRIPTION, KEYWORD, SUBJECT, BODY, 'example.org'].flatMap((text) => [
      Buffer.from(text),
      Buffer.from(text, 'latin1'),
      Buffer.from(text, 'utf16le'),
      Buffer.from(
        Buffer.from(text)
          .toString('base64')
          .replace(/.{1,4}$/, ''),
      ),
      Buffer.from(Buffer.from(text).toString('hex')),
    ]);
    const assertSealed = (): void => {
      let files = 0;
      for (const path of filesBelow(fixture.directory)) {
        files++;
        const octets = readFileSync(path);
        const isSnapshot = path.endsWith('/snapshot');
        for (const content of isSnapshot ? [octets, zstdDecompressSync(octets)] : [octets]) {
          for (const secret of secrets) assert.ok(!content.includes(secret), `${secret} in ${path}`);
        }
        for (const secret of secrets) assert.ok(!Buffer.from(path).includes(secret), path);
      }
      assert.ok(files > 5);
    };
    assertSealed();
    await fixture.store.checkpoint();
    assertSealed();
    await fixture.store.close();
    assertSealed();
    await fixture.remove();
  });

  it('open under the id they were sealed for, and under no other', async () => {
    const fixture = await StoreFixture.open();
    const id = await fixture.newMailbox();
    const lease = await fixture.owner(id).lease();
    const sealed = sealName(lease, 'folder-name', 7, 'Work\0Old');
    assert.equal(openName(lease, 'folder-name', 7, sealed), 'Work\0Old');
    const isBroken = (error: unknown): boolean =>
      error instanceof IntegrityError && error.code === 'seal-broken';
    assert.throws(() => openName(lease, 'folder-name', 8 as FolderId, Buffer.from(sealed)), isBroken);
    assert.throws(() => openName(lease, 'keyword-name', 7, Buffer.from(sealed)), isBroken);
    const elsewhere = {
      ...lease,
      mailbox: newMailboxId(),
      identity: lease.identity,
      indexKey: lease.indexKey,
    };
    const memo = <T>(_: symbol, make: () => T): T => make();
    assert.throws(
      () => openName({ ...elsewhere, epoch: lease.epoch, memo, expiresAt: 0 }, 'folder-name', 7, sealed),
      isBroken,
    );
    await fixture.remove();
  });
});
