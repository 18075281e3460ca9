import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { Uid } from '../../../src/ids.ts';
import { message } from '../../store/support.ts';
import { type Client, ImapFixture } from '../support.ts';

const LIMIT = 1_000;
const MESSAGES = 2_400;

describe('a client without message numbers in a large folder', () => {
  let fixture: ImapFixture;
  let client: Client;
  before(async () => {
    fixture = await ImapFixture.open({ messageLimit: LIMIT });
    const id = await fixture.addUser('large');
    await fixture.store.deliver(await fixture.store.sealed(message('one')), [id]);
    const mailbox = await fixture.store.open(id);
    const inbox = (await mailbox.findFolder(['INBOX'])).id;
    const view = await mailbox.openFolder(inbox, () => undefined);
    while (view.uids().length < 2 * MESSAGES) {
      await mailbox.copy(inbox, [...view.uids()].slice(0, 2 * MESSAGES - view.uids().length) as Uid[], inbox);
    }
    // Every second UID is free: a message's number is half its UID.
    const trash = (await mailbox.findFolder(['Trash'])).id;
    await mailbox.move(inbox, [...view.uids()].filter((uid) => uid % 2 === 1) as Uid[], trash);
    mailbox.close();
    client = await fixture.signIn('large');
    await client.run('SELECT INBOX');
  });
  after(() => fixture.close());

  it('gets batches that touch, hold what was asked for, and reach UID 1', async () => {
    assert.deepEqual(
      (await client.run('UIDBATCHES 1000'))[0],
      '* UIDBATCHES (TAG "t") 4800:2802,2801:802,801:1',
    );
    assert.deepEqual(
      (await client.run('UIDBATCHES 500 2:3'))[0],
      '* UIDBATCHES (TAG "t") 3801:2802,2801:1802',
    );
    assert.deepEqual((await client.run('UIDBATCHES 600 4:9'))[0], '* UIDBATCHES (TAG "t") 1201:1');
    assert.equal(
      (await client.run('UID SEARCH RETURN (COUNT) UID 2801:802'))[0],
      '* ESEARCH (TAG "t") UID COUNT 1000',
    );
  });

  it('is limited only once it has enabled UIDONLY, with the lowest UID that was taken', async () => {
    assert.equal((await client.run('UID FETCH 1:* UID')).length, MESSAGES + 1);
    assert.match((await client.run('CAPABILITY'))[0]!, / MESSAGELIMIT=1000( |$)/);
    await client.run('ENABLE UIDONLY');
    const seen = new Set<string>();
    let high = '*';
    for (let round = 0; round < 2; round += 1) {
      const lines = await client.run(`UID FETCH 1:${high} (FLAGS)`);
      for (const line of lines.slice(0, -1)) seen.add(/^\* (\d+) UIDFETCH/.exec(line)![1]!);
      const [, lowest] = /^t OK \[MESSAGELIMIT 1000 (\d+)\]/.exec(lines.at(-1)!)!;
      high = String(Number(lowest) - 1);
    }
    const last = await client.run(`UID FETCH 1:${high} (FLAGS)`);
    assert.match(last.at(-1)!, /^t OK Fetch/);
    for (const line of last.slice(0, -1)) seen.add(/^\* (\d+) UIDFETCH/.exec(line)![1]!);
    assert.equal(seen.size, MESSAGES);
  });

  it('searches on below the limit by UID, and copies all or nothing', async () => {
    const first = await client.run('UID SEARCH RETURN (COUNT) UNDELETED');
    assert.deepEqual(first, [
      '* ESEARCH (TAG "t") UID COUNT 1000',
      't OK [MESSAGELIMIT 1000 2802] Search completed.',
    ]);
    const last = await client.run('UID SEARCH RETURN (COUNT) UID 1:801 UNDELETED');
    assert.deepEqual(last, ['* ESEARCH (TAG "t") UID COUNT 400', 't OK Search completed.']);
    for (const command of ['COPY', 'MOVE']) {
      assert.match((await client.run(`UID ${command} 1:* Archive`)).at(-1)!, /^t NO \[MESSAGELIMIT 1000\]/);
    }
    assert.equal((await client.run('STATUS Archive (MESSAGES)'))[0], '* STATUS Archive (MESSAGES 0)');
    assert.match((await client.run('UIDBATCHES 1001')).at(-1)!, /^t NO \[MESSAGELIMIT 1000\]/);
  });

  it('stores and expunges as many as the limit, and EXPUNGE all', async () => {
    const stored = await client.run('UID STORE 1:* +FLAGS.SILENT (\\Deleted)');
    assert.equal(stored.at(-1), 't OK [MESSAGELIMIT 1000 2802] Store completed.');
    await client.run('UID STORE 802:2801 +FLAGS.SILENT (\\Deleted)');
    const some = await client.run('UID EXPUNGE 1:*');
    assert.match(some.at(-1)!, /^t OK \[MESSAGELIMIT 1000 2802\]/);
    assert.match(some[0]!, /^\* VANISHED 2802,2804,/);
    assert.equal((await client.run('EXPUNGE')).at(-1), 't OK Expunge completed.');
    assert.equal((await client.run('STATUS INBOX (MESSAGES)'))[0], '* STATUS INBOX (MESSAGES 400)');
  });
});
