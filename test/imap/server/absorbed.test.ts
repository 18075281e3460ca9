import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { MailboxId } from '../../../src/ids.ts';
import { KEPT_FIELDS_OCTETS } from '../../../src/limits.ts';
import { type Client, ImapFixture } from '../support.ts';

const MESSAGES = [
  'From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n folded\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nReceived: from a by b\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n',
  'From: "A \\"quoted\\" name" <x@example.org>\r\nSubject: raw \xe9\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\npart\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: inner@example.org\r\nSubject: inner\r\n\r\nin\r\n--b--\r\n',
  '',
  'no header at all',
  'Subject: cut',
  `To: ${'someone@example.org, '.repeat(KEPT_FIELDS_OCTETS / 20)}last@example.org\r\nSubject: many\r\n\r\nx\r\n`,
  `From: big@example.org\r\nSubject: large\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n${'line of text\r\n'.repeat(20_000)}`,
];

const FETCHES = [
  'ALL',
  'FULL',
  '(ENVELOPE BODYSTRUCTURE BODY)',
  '(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)',
  '(UID BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID References In-Reply-To Content-Type)])',
  '(BODY.PEEK[HEADER.FIELDS (subject)] BODY.PEEK[HEADER.FIELDS (X-Missing)])',
  'BODY.PEEK[HEADER.FIELDS (Subject Received)]',
  'BODY.PEEK[HEADER.FIELDS.NOT (Subject)]',
  'BODY.PEEK[HEADER.FIELDS (From Subject)]<5.20>',
  'BODY.PEEK[HEADER.FIELDS (From Subject)]<5000.20>',
  '(BODY.PEEK[HEADER] BODY.PEEK[1] BODY.PEEK[2.HEADER.FIELDS (Subject)])',
  'BODY.PEEK[]',
  '(UID MODSEQ ENVELOPE)',
];

/** A term outside ASCII goes as a literal. */
const utf8 = (term: string): string => {
  const octets = Buffer.from(term);
  return `{${octets.length}+}\r\n${octets.toString('latin1')}`;
};
const FIRST = [`CHARSET UTF-8 SUBJECT ${utf8('GRÜ')}`, `CHARSET UTF-8 SUBJECT ${utf8('grüße folded')}`];

const SEARCHES = [
  ...FIRST,
  'SUBJECT many',
  'FROM ann',
  'NOT FROM ann',
  'HEADER Received from',
  'HEADER Message-ID ""',
  'SENTON 23-Nov-2026',
  'OR SUBJECT cut SENTSINCE 24-Nov-2026',
  'TEXT inner',
  'BODY part',
];

describe('a mailbox whose mail was absorbed', () => {
  let fixture: ImapFixture;
  let client: Client;
  let id: MailboxId;

  before(async () => {
    fixture = await ImapFixture.open();
    id = await fixture.addUser('alice');
    for (const octets of MESSAGES) {
      await fixture.store.deliver(await fixture.store.sealed(Buffer.from(octets, 'latin1')), [id]);
    }
    client = await fixture.signIn('alice');
    await client.run('SELECT INBOX');
  });
  after(() => fixture.close());

  it('answers FETCH and SEARCH as it did before, octet for octet', async () => {
    const ask = async (): Promise<Map<string, string[]>> => {
      const answers = new Map<string, string[]>();
      for (const items of FETCHES) answers.set(items, await client.run(`FETCH 1:* ${items}`));
      for (const keys of SEARCHES) answers.set(keys, await client.run(`SEARCH ${keys}`));
      return answers;
    };
    const opened = await ask();
    for (const [what, lines] of opened) assert.match(lines.at(-1)!, /^t OK/, what);
    for (const keys of FIRST) assert.equal(opened.get(keys)![0], '* SEARCH 1', keys);
    await fixture.store.absorb(id);
    assert.deepEqual(await ask(), opened);
  });

  it('sets \\Seen, and says so, as before', async () => {
    const lines = await client.run('FETCH 1 (ENVELOPE BODY[HEADER.FIELDS (Message-ID)])');
    assert.match(lines.join(' '), /FLAGS \(\\Seen/);
  });
});
