import assert from 'node:assert/strict';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import { message } from '../../store/support.ts';
import { ImapFixture } from '../support.ts';

/** Commands that are right but for what stands in for SET and WORD. */
const TEMPLATES = [
  'FETCH SET (FLAGS WORD)',
  'UID FETCH SET (BODY.PEEK[WORD] ENVELOPE)',
  'FETCH SET BODY[1]<0.5>',
  'FETCH SET FULL',
  'STORE SET +FLAGS (\\Seen WORD)',
  'UID STORE SET FLAGS.SILENT (\\Deleted)',
  'SEARCH WORD',
  'SEARCH NOT SEEN OR SUBJECT WORD SET',
  'UID SEARCH RETURN (MIN COUNT) TEXT WORD UID SET',
  'COPY SET WORD',
  'UID MOVE SET Trash',
  'UID EXPUNGE SET',
  'EXPUNGE',
  'SELECT WORD',
  'EXAMINE INBOX',
  'CLOSE',
  'CREATE WORD',
  'RENAME WORD WORD',
  'DELETE WORD',
  'LIST "" WORD',
  'LIST (SUBSCRIBED) "" (WORD %) RETURN (STATUS (MESSAGES))',
  'LSUB "" WORD',
  'SUBSCRIBE WORD',
  'STATUS WORD (MESSAGES UIDNEXT SIZE)',
  'APPEND WORD (\\Seen) {3+}\r\nabc',
  'APPEND INBOX {5}',
  'IDLE\r\nDONE',
  'IDLE',
  'ENABLE CONDSTORE',
  'ID ("name" WORD)',
  'GETQUOTAROOT WORD',
  'AUTHENTICATE PLAIN WORD',
  'LOGIN fuzz WORD',
  'LOGIN fuzz secret',
  'UNSELECT',
  'NOOP',
];
const set = fc.constantFrom('1:*', '1', '2,3', '*', '3:1', '0', '4294967295', '7:*');
const word = fc.constantFrom(
  ...'INBOX Sent a/b "" "x y" % * (  ) {3}\r\nabc {0+}\r\n NIL \\Recent $Junk TEXT HEADER 1.2 HEADER.FIELDS'.split(
    ' ',
  ),
  'ALL',
  'HEADER.FIELDS (From)',
  '&',
  '\xff',
);
const line = fc
  .tuple(fc.constantFrom(...TEMPLATES), set, word, word)
  .map(([template, numbers, first, second]) => {
    const command = template.replace('SET', numbers).replace('WORD', first).replace('WORD', second);
    return `f ${command}\r\n`;
  });
const noise = fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets).toString('latin1'));

describe('an IMAP server, sent anything', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open();
    const mailbox = await fixture.addUser('fuzz');
    for (const subject of ['a', 'b', 'c']) {
      await fixture.store.deliver(await fixture.store.sealed(message(subject)), [mailbox]);
    }
  });
  after(() => fixture.close());

  it('answers or closes, and meets no bug, in every state', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(fc.oneof({ weight: 9, arbitrary: line }, noise), { maxLength: 12 }),
        async (signsIn, sent) => {
          const client = signsIn ? await fixture.signIn('fuzz') : await fixture.connect();
          if (signsIn) await client.run('SELECT INBOX');
          client.write(sent.join(''));
          // Ends an IDLE, a literal or a response that the noise began; then the connection, from our side.
          client.write(`\r\n${'x'.repeat(8)}\r\nDONE\r\nz LOGOUT\r\n`);
          client.socket.end();
          await client.ended();
        },
      ),
      { numRuns: 150 },
    );
    const bugs = fixture.logged.filter(
      ({ level, fields }) => level === 'error' || ('code' in fields && fields.code === 'SERVERBUG'),
    );
    assert.deepEqual(bugs, []);
  });
});
