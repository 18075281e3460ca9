/** SEARCH of absorbed mail finds what opening every message finds: docs/format.md, "Search". */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import type { MailboxId } from '../../../src/ids.ts';
import { SEARCH_TEXT_OCTETS, SIGNATURE_MESSAGES } from '../../../src/limits.ts';
import { type Client, ImapFixture } from '../support.ts';

const WORDS = [
  'Grüße',
  'STRASSE',
  'straße',
  'ﬁsh',
  'Привет',
  '漢字',
  '😀😁',
  '𝓪bc',
  'a',
  'ab',
  'é',
  'e\u0301',
  'ΑΣ',
  'x=y',
  '<b>',
  // More marks than are put in order together.
  `a${'\u0301\u0316'.repeat(40)}b`,
  '\uff8a\uff9e',
];
const CHARSETS = ['utf-8', 'iso-8859-1', 'koi8-r', 'utf-16le', 'us-ascii', 'x-unknown'] as const;

const PHRASE = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 6 })), { maxLength: 8 })
  .map((words) => words.join(' '));

const base64 = (octets: Buffer): string => octets.toString('base64').replace(/.{76}/g, '$&\r\n');
const quotedPrintable = (octets: Buffer): string =>
  [...octets]
    .map((octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')
    .replace(/.{72}/g, '$&=\r\n');
const encoded = (text: string, charset: string): Buffer =>
  charset === 'utf-16le'
    ? Buffer.from(text, 'utf16le')
    : Buffer.from(text, charset === 'iso-8859-1' ? 'latin1' : 'utf8');

/** A text part, its header first. */
const PART = fc
  .record({ text: PHRASE, charset: fc.constantFrom(...CHARSETS), encoding: fc.nat(2), isHtml: fc.boolean() })
  .map(({ text, charset, encoding, isHtml }) => {
    const shown = isHtml ? `<p>${text}<br>&uuml;<i>in</i>side<script>no</script></p>` : text;
    const octets = encoded(shown, charset);
    const name = ['8bit', 'base64', 'quoted-printable'][encoding];
    const body = [(o: Buffer) => o.toString('latin1'), base64, quotedPrintable][encoding]!(octets);
    const type = isHtml ? 'text/html' : 'text/plain';
    return `Content-Type: ${type}; charset=${charset}\r\nContent-Transfer-Encoding: ${name}\r\n\r\n${body}\r\n`;
  });

const HEADER = fc.record({ subject: PHRASE, from: PHRASE, how: fc.nat(2) }).map(({ subject, from, how }) => {
  const raw = Buffer.from(subject.replace(/[\r\n]/g, ''));
  const shown = [
    `=?utf-8?b?${raw.toString('base64')}?=`,
    `=?UTF-8?Q?${quotedPrintable(raw).replace(/=\r\n/g, '')}?=`,
    raw.toString('latin1'),
  ][how];
  const name = Buffer.from(from.replace(/[\r\n"]/g, '')).toString('latin1');
  return `From: "${name}" <f@example.org>\r\nSubject: ${shown}\r\nX-Trace: t\r\nReceived: from ${name}\r\n`;
});

const MESSAGE = fc
  .tuple(HEADER, fc.array(PART, { minLength: 1, maxLength: 3 }), fc.nat(3))
  .map(([header, parts, kind]) => {
    if (kind === 0) return `${header}MIME-Version: 1.0\r\n${parts[0]}`;
    const embedded = `Content-Type: message/rfc822\r\n\r\nSubject: inner ${header.length}\r\n${parts[0]}`;
    const all = kind === 1 ? [...parts, embedded] : parts;
    return `${header}Content-Type: multipart/mixed; boundary=b\r\n\r\n${all.map((part) => `--b\r\n${part}`).join('')}--b--\r\n`;
  });

/** Terms that some message has, and terms that cross from one source to the next, or are nowhere. */
const TERM = fc.oneof(
  fc.constantFrom(
    ...WORDS,
    '',
    ' ',
    'inside',
    'inner',
    'üin',
    'no',
    'SUBJECT: ',
    'received',
    'example.org>\n',
    'x-trace: t\nreceived',
  ),
  fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...WORDS)).map(([a, b]) => `${a} ${b}`),
  fc
    .tuple(fc.constantFrom(...WORDS), fc.nat(3))
    .map(([word, from]) => [...word].slice(from, from + 3).join('')),
);

const literal = (term: string): string => {
  const octets = Buffer.from(term.replace(/[\0\r]/g, '')).toString('latin1');
  return `{${octets.length}+}\r\n${octets}`;
};

const KEY = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('TEXT', 'BODY', 'SUBJECT', 'FROM', 'HEADER X-Trace', 'HEADER Received', 'TEXT', 'BODY'),
      TERM,
    )
    .map(([key, term]) => `${key} ${literal(term)}`),
  fc.constantFrom('UNSEEN', 'UID 1:50', 'LARGER 400'),
);
const QUERY = fc.oneof(
  KEY,
  KEY.map((key) => `NOT ${key}`),
  fc.tuple(KEY, KEY).map(([a, b]) => `OR ${a} ${b}`),
  fc.tuple(KEY, KEY).map(([a, b]) => `${a} NOT ${b}`),
);

describe('SEARCH of mail that was absorbed', function () {
  this.timeout(120_000);
  let fixture: ImapFixture;
  let client: Client;
  let id: MailboxId;

  before(async () => {
    fixture = await ImapFixture.open();
    id = await fixture.addUser('alice');
    client = await fixture.signIn('alice');
  });
  after(() => fixture.close());

  const deliver = async (octets: string): Promise<unknown> =>
    fixture.store.deliver(await fixture.store.sealed(Buffer.from(octets, 'latin1')), [id]);

  const search = async (query: string): Promise<string[]> => client.run(`UID SEARCH CHARSET UTF-8 ${query}`);

  it('finds what it found when every message was opened, whatever the mail and the term', async () => {
    const corpora = fc.array(MESSAGE, {
      minLength: SIGNATURE_MESSAGES + 10,
      maxLength: SIGNATURE_MESSAGES + 20,
    });
    await fc.assert(
      fc.asyncProperty(
        corpora,
        fc.array(QUERY, { minLength: 40, maxLength: 40 }),
        async (messages, queries) => {
          for (const octets of messages) await deliver(octets);
          // As opened, those of earlier runs in pages and the new ones not; then all in pages; then with new ones behind.
          await client.run('SELECT INBOX');
          const opened: string[][] = [];
          for (const query of queries) opened.push(await search(query));
          await fixture.store.absorb(id);
          for (const [index, query] of queries.entries()) {
            assert.match(opened[index]!.at(-1)!, /^t OK/);
            assert.deepEqual(await search(query), opened[index], JSON.stringify(query));
          }
        },
      ),
      { numRuns: 2, endOnFailure: true },
    );
  });

  it('looks into mail that has just arrived, and into texts that are too long to be kept', async () => {
    await deliver('Subject: late\r\n\r\nthe newest needle\r\n');
    const part = (text: string): string => `--b\r\n\r\n${text}\r\n`;
    const filling = 'filling line\r\n'.repeat(30_000);
    const parts = Array.from({ length: Math.ceil(SEARCH_TEXT_OCTETS / filling.length) }, () => part(filling));
    const large = `Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts.join('')}${part('a longest needle')}--b--\r\n`;
    await deliver(large);
    await client.run('SELECT INBOX');
    const found = await search(`TEXT ${literal('st needle')}`);
    assert.match(found[0]!, /^\* SEARCH \d+ \d+$/);
    await fixture.store.absorb(id);
    assert.deepEqual(await search(`TEXT ${literal('st needle')}`), found);
    await deliver('Subject: later\r\n\r\nanother newest needle\r\n');
    await client.run('NOOP');
    assert.match((await search(`BODY ${literal('NEWEST NEEDLE')}`))[0]!, /^\* SEARCH \d+ \d+$/);
  });
});
