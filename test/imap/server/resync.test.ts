import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { message } from '../../store/support.ts';
import { ImapFixture } from '../support.ts';

describe('a client that was away for longer than the folder remembers', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open();
    await fixture.store.reopen({ vanishedRanges: 2 });
  });
  after(() => fixture.close());

  it('is told of all that is not there, or of what lies behind the last message it has in its place', async () => {
    const mailbox = await fixture.addUser('away');
    for (let i = 1; i <= 12; i += 1) {
      await fixture.store.deliver(await fixture.store.sealed(message(`${i}`)), [mailbox]);
    }
    const client = await fixture.signIn('away');
    await client.run('ENABLE QRESYNC');
    const selected = (await client.run('SELECT INBOX')).join('\n');
    const uidValidity = Number(/UIDVALIDITY (\d+)/.exec(selected)![1]);
    const modSeq = Number(/HIGHESTMODSEQ (\d+)/.exec(selected)![1]);
    for (const uid of [10, 8, 3]) await client.run(`UID MOVE ${uid} Trash`);

    const resync = async (parameters: string): Promise<string[]> => {
      const lines = await client.run(`EXAMINE INBOX (QRESYNC (${uidValidity} ${parameters}))`);
      assert.match(lines.at(-1)!, /^t OK/);
      return lines.filter((line) => /VANISHED|FETCH/.test(line));
    };
    assert.deepEqual(await resync(`${modSeq}`), ['* VANISHED (EARLIER) 3,8,10']);
    assert.deepEqual(await resync(`${modSeq} 1:8`), ['* VANISHED (EARLIER) 3,8']);
    // Number 2 is UID 2 still, number 5 no longer UID 5: none up to 2 has gone.
    assert.deepEqual(await resync(`${modSeq} 1:12 (2,5 2,5)`), ['* VANISHED (EARLIER) 3,8,10']);
    await client.run('SELECT INBOX');
    for (const uid of [1, 12]) await client.run(`UID MOVE ${uid} Trash`);
    // The last two are remembered; of what went before them, only that it is not there.
    assert.deepEqual(await resync(`${modSeq + 3}`), ['* VANISHED (EARLIER) 1,3,8,10,12']);
    assert.deepEqual(await resync(`${modSeq + 3} 1:12 (1,2 2,4)`), ['* VANISHED (EARLIER) 8,10,12']);
    const { length } = await resync(`${modSeq} 1:12`);
    assert.equal(length, 1);
  });
});
