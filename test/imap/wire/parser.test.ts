import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type {
  AppendMessage,
  Command,
  FetchItem,
  SearchKey,
  Section,
  SortCriterion,
} from '../../../src/imap/wire/ast.ts';
import { CommandError } from '../../../src/imap/wire/command-error.ts';
import { classifyLiteral, parseCommand } from '../../../src/imap/wire/parser.ts';
import { printBodySectionName, printSection } from '../../../src/imap/wire/section.ts';
import { parseSequenceSet, SAVED_RESULT } from '../../../src/imap/wire/sequence-set.ts';
import { IMAP_LIST_ITEMS, IMAP_SEARCH_DEPTH, IMAP_SEARCH_KEYS } from '../../../src/limits.ts';
import { CUTS, octets, parseAll, parseOne } from './support.ts';

type Untagged<C> = C extends Command ? Omit<C, 'tag'> : never;
type Row = readonly [wire: string, expected: Untagged<Command>];

/** Each row is fed whole and in pieces, with a tag in front. */
function accepts(rows: readonly Row[], isUtf8 = false): void {
  for (const [wire, expected] of rows) {
    it(JSON.stringify(wire).slice(1, -1), () => {
      for (const cut of CUTS) {
        assert.deepEqual(parseOne(`A1 ${wire}`, cut, { isUtf8 }), { tag: 'A1', ...expected }, `cut ${cut}`);
      }
    });
  }
}

/** Each row is refused with its tag. */
function refuses(
  rows: readonly (readonly [wire: string, why: string, code?: string])[],
  isUtf8 = false,
): void {
  for (const [wire, why, code = 'syntax'] of rows) {
    it(`refuses ${JSON.stringify(wire)}: ${why}`, () => {
      assert.throws(
        () => parseOne(`A1 ${wire}`, [3], { isUtf8 }),
        (error) => error instanceof CommandError && error.tag === 'A1' && error.code === code,
      );
    });
  }
}

const set = (text: string) => parseSequenceSet(text)!;
const mailbox = (name: string, raw = name) => ({ name, raw });
const plain = (...items: Exclude<FetchItem['item'], 'BODY[]'>[]): FetchItem[] =>
  items.map((item) => ({ item }));
const section = (part: string, text: Section['text'] = null, fields: string[] = []): Section => ({
  part,
  text,
  fields,
});
const body = (
  of: Section,
  rest: { isPeek?: boolean; partial?: { offset: number; length: number } } = {},
): FetchItem => ({
  item: 'BODY[]',
  section: of,
  partial: rest.partial ?? null,
  isPeek: rest.isPeek ?? false,
});

describe('imap/wire/parser', () => {
  describe('tags and names (RFC 9051 §2.2.1, §9)', () => {
    accepts([
      ['NOOP', { name: 'NOOP' }],
      ['noop', { name: 'NOOP' }],
      ['  NoOp  ', { name: 'NOOP' }],
      ['CAPABILITY', { name: 'CAPABILITY' }],
      ['LOGOUT', { name: 'LOGOUT' }],
      ['STARTTLS', { name: 'STARTTLS' }],
      ['NAMESPACE', { name: 'NAMESPACE' }],
      ['IDLE', { name: 'IDLE' }],
      ['CHECK', { name: 'CHECK' }],
      ['CLOSE', { name: 'CLOSE' }],
      ['UNSELECT', { name: 'UNSELECT' }],
    ]);
    refuses([
      ['', 'no command'],
      ['NOOP x', 'NOOP takes no arguments'],
      ['FROBNICATE', 'unknown', 'unknown-command'],
      ['UID NOOP', 'UID is for commands on messages', 'unknown-command'],
      ['UID', 'nothing after UID'],
      ['(NOOP)', 'no command'],
      ['NO\xd6P', 'an 8-bit octet ends the name', 'unknown-command'],
      ['\xd6', 'an 8-bit octet is no name'],
    ]);

    for (const line of [
      '',
      ' NOOP',
      '* NOOP',
      '+ NOOP',
      'a+b NOOP',
      'a"b NOOP',
      '{1} NOOP',
      '\xe4 NOOP',
      `${'t'.repeat(65)} NOOP`,
      'a\tNOOP',
    ]) {
      it(`${JSON.stringify(line).slice(0, 30)} has no tag to answer`, () => {
        assert.throws(
          () => parseOne(line),
          (error) => error instanceof CommandError && error.tag === null,
        );
      });
    }

    it('a tag alone is answered with that tag', () => {
      assert.throws(
        () => parseOne('A1'),
        (error) => error instanceof CommandError && error.tag === 'A1',
      );
    });

    it('tags keep their case and their punctuation', () => {
      assert.equal(parseOne("a.b-c]:1'~ NOOP").tag, "a.b-c]:1'~");
    });

    it('errors never repeat what the client sent', () => {
      for (const wire of [
        'SECRET',
        'LOGIN SECRET (',
        'SEARCH SECRET',
        'FETCH 1 SECRET',
        'STORE 1 FLAGS \\SECRET',
        'SELECT &SECRET',
      ]) {
        assert.throws(
          () => parseOne(`A1 ${wire}`),
          (error) => error instanceof CommandError && !error.message.includes('SECRET'),
        );
      }
    });
  });

  describe('LOGIN, AUTHENTICATE, ID, ENABLE, COMPRESS', () => {
    accepts([
      ['LOGIN SMITH SESAME', { name: 'LOGIN', username: 'SMITH', password: 'SESAME' }],
      ['LOGIN "a@b.test" "p\\"w\\\\d"', { name: 'LOGIN', username: 'a@b.test', password: 'p"w\\d' }],
      [
        'LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man',
        { name: 'LOGIN', username: 'FRED FOOBAR', password: 'fat man' },
      ],
      [
        'LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man',
        { name: 'LOGIN', username: 'FRED FOOBAR', password: 'fat man' },
      ],
      ['LOGIN "j\xc3\xb8rn" {3}\r\n\xe2\x82\xac', { name: 'LOGIN', username: 'jørn', password: '€' }],
      ['LOGIN a ""', { name: 'LOGIN', username: 'a', password: '' }],
      // resp-specials belong to astrings, and NIL is no nothing there.
      ['LOGIN a] NIL', { name: 'LOGIN', username: 'a]', password: 'NIL' }],
      ['AUTHENTICATE GSSAPI', { name: 'AUTHENTICATE', mechanism: 'GSSAPI', initialResponse: null }],
      // RFC 4959 §4.
      [
        'AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=',
        { name: 'AUTHENTICATE', mechanism: 'PLAIN', initialResponse: octets('test\0test\0test') },
      ],
      [
        'authenticate  external  =',
        { name: 'AUTHENTICATE', mechanism: 'EXTERNAL', initialResponse: octets('') },
      ],
      // RFC 2971 §3.1.
      ['ID NIL', { name: 'ID', parameters: null }],
      ['ID nil', { name: 'ID', parameters: null }],
      ['ID ()', { name: 'ID', parameters: new Map() }],
      [
        'ID ("name" "sodr" "Version" "19.34" "vendor" NIL)',
        {
          name: 'ID',
          parameters: new Map([
            ['name', 'sodr'],
            ['version', '19.34'],
            ['vendor', null],
          ]),
        },
      ],
      [
        `ID ("a" "1" "a" "2" "b" "${'x'.repeat(1025)}" "${'f'.repeat(31)}" "x" "c" "\xff")`,
        {
          name: 'ID',
          parameters: new Map([
            ['a', '1'],
            ['c', 'ÿ'],
          ]),
        },
      ],
      ['ENABLE condstore X-GOOD-IDEA', { name: 'ENABLE', capabilities: ['CONDSTORE', 'X-GOOD-IDEA'] }],
      ['ENABLE UTF8=ACCEPT', { name: 'ENABLE', capabilities: ['UTF8=ACCEPT'] }],
      ['COMPRESS deflate', { name: 'COMPRESS', mechanism: 'DEFLATE' }],
    ]);
    refuses([
      ['LOGIN a', 'one argument'],
      ['LOGIN a b c', 'three arguments'],
      ['LOGIN a "b', 'a string that does not end'],
      ['LOGIN a "b\\"', 'a string that ends in an escape'],
      ['LOGIN a "b"c', 'text behind a string'],
      ['LOGIN a "b\0c"', 'NUL in a quoted string'],
      ['LOGIN a {3}\r\nb\0c', 'NUL in a literal (CHAR8)'],
      ['LOGIN a "b\rc"', 'CR in a quoted string'],
      ['LOGIN a ~{3}\r\nabc', 'literal8 (RFC 9051 §9) where none may be'],
      ['LOGIN a \xff', 'an 8-bit octet in an atom'],
      ['LOGIN "\xff" b', 'octets that are no UTF-8'],
      ['AUTHENTICATE', 'no mechanism'],
      ['AUTHENTICATE PLAIN dGVzdA', 'base64 without padding'],
      ['AUTHENTICATE PLAIN dGV*dA==', 'no base64'],
      ['AUTHENTICATE PLAIN dGVzdA== x', 'a second response'],
      ['ID', 'no argument'],
      ['ID ("name")', 'a field without a value'],
      ['ID "name"', 'no list'],
      ['ENABLE', 'nothing to enable'],
      ['ENABLE (X)', 'a list'],
      ['COMPRESS', 'no mechanism'],
    ]);
  });

  describe('commands on mailbox names', () => {
    const plainSelect = { isCondstore: false, qresync: null } as const;
    accepts([
      ['SELECT INBOX', { name: 'SELECT', mailbox: mailbox('INBOX'), ...plainSelect }],
      ['SELECT "inBox"', { name: 'SELECT', mailbox: mailbox('INBOX', 'inBox'), ...plainSelect }],
      ['EXAMINE blurdybloop', { name: 'EXAMINE', mailbox: mailbox('blurdybloop'), ...plainSelect }],
      ['SELECT {5}\r\nINBOX', { name: 'SELECT', mailbox: mailbox('INBOX'), ...plainSelect }],
      [
        'SELECT Entw&APw-rfe',
        { name: 'SELECT', mailbox: mailbox('Entwürfe', 'Entw&APw-rfe'), ...plainSelect },
      ],
      ['SELECT ""', { name: 'SELECT', mailbox: mailbox(''), ...plainSelect }],
      // RFC 7162 §3.1.8.
      [
        'SELECT INBOX (CONDSTORE)',
        { name: 'SELECT', mailbox: mailbox('INBOX'), isCondstore: true, qresync: null },
      ],
      // RFC 7162 §3.2.5.2; the modseq there does not fit a double, and stands for "later than all" here.
      [
        'SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))',
        {
          name: 'SELECT',
          mailbox: mailbox('INBOX'),
          isCondstore: false,
          qresync: {
            uidValidity: 67890007,
            modSeq: Number.MAX_SAFE_INTEGER,
            knownUids: set('41:211,214:541'),
            match: null,
          },
        },
      ],
      [
        'SELECT INBOX (QRESYNC (67890007 715194045000 1:29997 (5000,7500,9000 15000,22500,27000)) CONDSTORE)',
        {
          name: 'SELECT',
          mailbox: mailbox('INBOX'),
          isCondstore: true,
          qresync: {
            uidValidity: 67890007,
            modSeq: 715194045000,
            knownUids: set('1:29997'),
            match: { sequenceNumbers: set('5000,7500,9000'), uids: set('15000,22500,27000') },
          },
        },
      ],
      [
        'EXAMINE INBOX (QRESYNC (7 8 (1 2)))',
        {
          name: 'EXAMINE',
          mailbox: mailbox('INBOX'),
          isCondstore: false,
          qresync: {
            uidValidity: 7,
            modSeq: 8,
            knownUids: null,
            match: { sequenceNumbers: set('1'), uids: set('2') },
          },
        },
      ],
      ['CREATE owatagusiam/', { name: 'CREATE', mailbox: mailbox('owatagusiam/'), specialUse: [] }],
      // RFC 6154 §5.3.
      [
        'CREATE MySpecial (USE (\\drafts \\SENT))',
        { name: 'CREATE', mailbox: mailbox('MySpecial'), specialUse: ['\\Drafts', '\\Sent'] },
      ],
      [
        'CREATE Everything (USE (\\Important))',
        { name: 'CREATE', mailbox: mailbox('Everything'), specialUse: ['\\Important'] },
      ],
      ['DELETE foo/bar', { name: 'DELETE', mailbox: mailbox('foo/bar') }],
      [
        'RENAME blurdybloop sarasoon',
        { name: 'RENAME', from: mailbox('blurdybloop'), to: mailbox('sarasoon') },
      ],
      ['SUBSCRIBE #news.comp.mail.mime', { name: 'SUBSCRIBE', mailbox: mailbox('#news.comp.mail.mime') }],
      ['UNSUBSCRIBE "two words"', { name: 'UNSUBSCRIBE', mailbox: mailbox('two words') }],
      ['GETQUOTAROOT INBOX', { name: 'GETQUOTAROOT', mailbox: mailbox('INBOX') }],
      ['GETQUOTA ""', { name: 'GETQUOTA', root: '' }],
      // RFC 9208 §4.1.3.
      [
        'SETQUOTA "" (STORAGE 512 message 9)',
        {
          name: 'SETQUOTA',
          root: '',
          limits: [
            { resource: 'STORAGE', limit: 512 },
            { resource: 'MESSAGE', limit: 9 },
          ],
        },
      ],
      ['SETQUOTA "" ()', { name: 'SETQUOTA', root: '', limits: [] }],
    ]);
    refuses([
      ['SELECT', 'no name'],
      ['SELECT INBOX x', 'text behind the name'],
      ['SELECT INBOX (ANNOTATE)', 'an unknown parameter'],
      ['SELECT INBOX (CONDSTORE', 'a list that does not end'],
      ['SELECT INBOX (QRESYNC (0 1))', 'UIDVALIDITY is not zero'],
      ['SELECT INBOX (QRESYNC (1 2 1:*))', 'a star in what is known (RFC 7162 §3.2.5)'],
      ['SELECT INBOX (QRESYNC (1 2 $))', 'a saved result'],
      ['SELECT INBOX (QRESYNC (1 2 1:9 (1:3 4:5)))', 'fewer UIDs than message numbers'],
      ['SELECT INBOX (QRESYNC (1 2 3 4))', 'too many values'],
      ['SELECT a&b', 'no modified UTF-7', 'mailbox-name'],
      ['SELECT "Entw\xc3\xbcrfe"', 'UTF-8 that was not enabled', 'mailbox-name'],
      ['SELECT &AA0ACg-', 'CR and LF in a name', 'mailbox-name'],
      ['SELECT "a\tb"', 'a control character', 'mailbox-name'],
      ['SELECT a%b', 'a wildcard in an atom'],
      ['CREATE x (USE ())x', 'text behind the parameters'],
      ['CREATE x (USE (Sent))', 'a use without a backslash'],
      ['CREATE x (SIZE 3)', 'an unknown parameter'],
      ['RENAME a', 'one name'],
      ['SETQUOTA "" (STORAGE)', 'a resource without a limit'],
      ['SETQUOTA "" (STORAGE -1)', 'no number'],
      ['SETQUOTA "" (STORAGE 99999999999999999999)', 'more than 63 bits'],
    ]);
  });

  describe('mailbox names with UTF-8 enabled (RFC 9755 §3, RFC 9051 §5.1)', () => {
    accepts(
      [
        ['DELETE "Entw\xc3\xbcrfe"', { name: 'DELETE', mailbox: mailbox('Entwürfe', 'Entw\xc3\xbcrfe') }],
        [
          'DELETE {9}\r\nEntw\xc3\xbcrfe',
          { name: 'DELETE', mailbox: mailbox('Entwürfe', 'Entw\xc3\xbcrfe') },
        ],
        ['DELETE a&b', { name: 'DELETE', mailbox: mailbox('a&b') }],
        ['DELETE &APw-', { name: 'DELETE', mailbox: mailbox('&APw-') }],
        ['DELETE inbox', { name: 'DELETE', mailbox: mailbox('INBOX', 'inbox') }],
      ],
      true,
    );
    refuses(
      [
        ['DELETE "\xfc"', 'Latin-1'],
        ['DELETE {1+}\r\n\xfc', 'Latin-1', 'mailbox-name'],
        ['DELETE "\xc0\xaf"', 'UTF-8 longer than needed'],
        ['DELETE "\xed\xa0\x80"', 'a surrogate'],
        ['DELETE "\xc2\x85"', 'a C1 control character', 'mailbox-name'],
        ['DELETE "\xe2\x80\xa8"', 'a line separator (RFC 9051 §5.1)', 'mailbox-name'],
      ],
      true,
    );
  });

  describe('LIST, LSUB, XLIST, STATUS', () => {
    const list = (reference: string, patterns: string[], rest: object = {}): Untagged<Command> => ({
      name: 'LIST',
      reference: mailbox(reference),
      patterns: patterns.map((pattern) => mailbox(pattern)),
      selection: [],
      returns: [],
      status: null,
      isExtended: false,
      ...rest,
    });
    accepts([
      // RFC 9051 §6.3.9.8.
      ['LIST "" ""', list('', [''])],
      ['LIST #news.comp.mail.misc ""', list('#news.comp.mail.misc', [''])],
      ['LIST /usr/staff/jones ""', list('/usr/staff/jones', [''])],
      ['LIST ~/Mail/ %', list('~/Mail/', ['%'])],
      ['LIST "" *', list('', ['*'])],
      ['LIST "" "*"', list('', ['*'])],
      ['LIST "" {1}\r\n%', list('', ['%'])],
      ['LIST (SUBSCRIBED) "" "*"', list('', ['*'], { selection: ['SUBSCRIBED'], isExtended: true })],
      ['LIST () "" "%" RETURN (CHILDREN)', list('', ['%'], { returns: ['CHILDREN'], isExtended: true })],
      [
        'LIST (REMOTE) "" "%" RETURN (SUBSCRIBED CHILDREN)',
        list('', ['%'], { selection: ['REMOTE'], returns: ['SUBSCRIBED', 'CHILDREN'], isExtended: true }),
      ],
      [
        'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"',
        list('', ['%'], { selection: ['SUBSCRIBED', 'RECURSIVEMATCH'], isExtended: true }),
      ],
      ['LIST "" ("INBOX" "Drafts" "Sent/%")', list('', ['INBOX', 'Drafts', 'Sent/%'], { isExtended: true })],
      // RFC 5819 §3.
      [
        'LIST "" % RETURN (STATUS (MESSAGES UNSEEN))',
        list('', ['%'], { status: ['MESSAGES', 'UNSEEN'], isExtended: true }),
      ],
      // RFC 6154 §5.
      ['LIST (SPECIAL-USE) "" "*"', list('', ['*'], { selection: ['SPECIAL-USE'], isExtended: true })],
      [
        'list "" "%" return (special-use special-use status (size))',
        list('', ['%'], { returns: ['SPECIAL-USE'], status: ['SIZE'], isExtended: true }),
      ],
      ['LIST  "" "*" ', list('', ['*'])],
      ['LIST "" &APw-%', list('', [], { patterns: [mailbox('ü%', '&APw-%')] })],
      // RFC 3501 §6.3.9.
      [
        'LSUB "#news." "comp.mail.*"',
        { name: 'LSUB', reference: mailbox('#news.'), pattern: mailbox('comp.mail.*') },
      ],
      ['XLIST "" *', { name: 'XLIST', reference: mailbox(''), pattern: mailbox('*') }],
      // RFC 9051 §6.3.11.
      [
        'STATUS blurdybloop (UIDNEXT MESSAGES)',
        { name: 'STATUS', mailbox: mailbox('blurdybloop'), items: ['UIDNEXT', 'MESSAGES'] },
      ],
      [
        'STATUS x ( messages recent uidnext uidvalidity unseen deleted size highestmodseq appendlimit mailboxid size )',
        {
          name: 'STATUS',
          mailbox: mailbox('x'),
          items: [
            'MESSAGES',
            'RECENT',
            'UIDNEXT',
            'UIDVALIDITY',
            'UNSEEN',
            'DELETED',
            'SIZE',
            'HIGHESTMODSEQ',
            'APPENDLIMIT',
            'MAILBOXID',
          ],
        },
      ],
    ]);
    refuses([
      ['LIST ""', 'no pattern'],
      ['LIST "" ()', 'no pattern in the list'],
      ['LIST (RECURSIVEMATCH) "" "*"', 'RECURSIVEMATCH alone (RFC 5258 §3.1)'],
      ['LIST (X) "" "*"', 'an unknown selection option'],
      ['LIST "" "*" RETURN', 'no options'],
      ['LIST "" "*" RETURN (X)', 'an unknown return option'],
      ['LIST "" "*" (CHILDREN)', 'options without RETURN'],
      ['LSUB "" ("a" "b")', 'LSUB has one pattern'],
      ['STATUS x', 'no items'],
      ['STATUS x ()', 'an empty list of items'],
      ['STATUS x (FOO)', 'an unknown item'],
      ['STATUS x MESSAGES', 'no list'],
    ]);
  });

  describe('FETCH (RFC 9051 §6.4.5)', () => {
    const fetch = (text: string, items: FetchItem[], rest: object = {}): Untagged<Command> => ({
      name: 'FETCH',
      isUid: false,
      set: set(text),
      items,
      changedSince: null,
      isVanished: false,
      partial: null,
      ...rest,
    });
    accepts([
      [
        'FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])',
        fetch('2:4', [...plain('FLAGS'), body(section('', 'HEADER.FIELDS', ['DATE', 'FROM']))]),
      ],
      ['UID FETCH 4827313:* FLAGS', fetch('4827313:*', plain('FLAGS'), { isUid: true })],
      ['FETCH 1 ALL', fetch('1', plain('FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE'))],
      ['FETCH 1 fast', fetch('1', plain('FLAGS', 'INTERNALDATE', 'RFC822.SIZE'))],
      ['FETCH 1 FULL', fetch('1', plain('FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY'))],
      [
        'FETCH 1 ( uid  BODY bodystructure RFC822 rfc822.size RFC822.HEADER RFC822.TEXT MODSEQ UID )',
        fetch(
          '1',
          plain(
            'UID',
            'BODY',
            'BODYSTRUCTURE',
            'RFC822',
            'RFC822.SIZE',
            'RFC822.HEADER',
            'RFC822.TEXT',
            'MODSEQ',
          ),
        ),
      ],
      ['FETCH 1 BODY[]', fetch('1', [body(section(''))])],
      ['FETCH 1 (BODY.PEEK[])', fetch('1', [body(section(''), { isPeek: true })])],
      ['FETCH 1 BODY[]<0.2048>', fetch('1', [body(section(''), { partial: { offset: 0, length: 2048 } })])],
      [
        'FETCH 1 body.peek[header.fields ("From")]',
        fetch('1', [body(section('', 'HEADER.FIELDS', ['From']), { isPeek: true })]),
      ],
      [
        'FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT ( {4}\r\nDate  subject )]<7.1>',
        fetch('1', [
          body(section('', 'HEADER.FIELDS.NOT', ['Date', 'subject']), {
            isPeek: true,
            partial: { offset: 7, length: 1 },
          }),
        ]),
      ],
      // The section examples of RFC 9051 §6.4.5.1.
      ...(
        [
          ['HEADER', section('', 'HEADER')],
          ['TEXT', section('', 'TEXT')],
          ['1', section('1')],
          ['3.HEADER', section('3', 'HEADER')],
          ['3.TEXT', section('3', 'TEXT')],
          ['4.1.MIME', section('4.1', 'MIME')],
          ['4.2.2.1', section('4.2.2.1')],
          ['4.2.HEADER.FIELDS (To)', section('4.2', 'HEADER.FIELDS', ['To'])],
        ] as const
      ).map(([text, expected]): Row => [`FETCH 1 (BODY[${text}])`, fetch('1', [body(expected)])]),
      [
        'FETCH 1 (BODY.PEEK[1] BODY[1] BODY.PEEK[1]<0.5> BODY.PEEK[1]<0.6>)',
        fetch('1', [
          body(section('1')),
          body(section('1'), { isPeek: true, partial: { offset: 0, length: 5 } }),
          body(section('1'), { isPeek: true, partial: { offset: 0, length: 6 } }),
        ]),
      ],
      // RFC 7162 §3.1.4.1, §3.2.6.
      ['FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)', fetch('1:*', plain('FLAGS'), { changedSince: 12345 })],
      [
        'UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)',
        fetch('300:500', plain('FLAGS'), { isUid: true, changedSince: 12345, isVanished: true }),
      ],
      ['FETCH  1  FLAGS ', fetch('1', plain('FLAGS'))],
      // RFC 5182 §2.1.
      ['UID FETCH $ FLAGS', fetch('1', plain('FLAGS'), { isUid: true, set: SAVED_RESULT })],
      // RFC 9394 §3.3.
      [
        'UID FETCH 25900:26600 (UID FLAGS) (PARTIAL -1:-30 CHANGEDSINCE 98305)',
        fetch('25900:26600', [...plain('UID'), ...plain('FLAGS')], {
          isUid: true,
          partial: { from: -1, to: -30 },
          changedSince: 98305,
        }),
      ],
      // RFC 8474 §5, RFC 8514 §3, RFC 8970 §3.
      [
        'FETCH 1 (EMAILID threadid SAVEDATE)',
        fetch('1', [...plain('EMAILID'), ...plain('THREADID'), ...plain('SAVEDATE')]),
      ],
      ['FETCH 1 PREVIEW', fetch('1', plain('PREVIEW'))],
      ['FETCH 1 preview (lazy)', fetch('1', plain('PREVIEW'))],
      ['FETCH 1 (PREVIEW (LAZY) UID PREVIEW)', fetch('1', [...plain('PREVIEW'), ...plain('UID')])],
      ['FETCH 1 PREVIEW (CHANGEDSINCE 7)', fetch('1', plain('PREVIEW'), { changedSince: 7 })],
    ]);
    refuses([
      ['FETCH', 'no arguments'],
      ['FETCH 1', 'no items'],
      ['FETCH 1 ()', 'an empty list'],
      ['FETCH 0 FLAGS', 'zero in a set'],
      ['FETCH 1:2:3 FLAGS', 'no set'],
      ['FETCH 1,$ FLAGS', 'a saved result beside numbers (RFC 5182 §2.1)'],
      ['FETCH $$ FLAGS', 'no set'],
      ['FETCH 1 FLAGS (PARTIAL 1:5)', 'a page without UID FETCH (RFC 9394 §3.3)'],
      ['UID FETCH 1 FLAGS (PARTIAL 1:-5)', 'a page from both ends'],
      ['UID FETCH 1 FLAGS (PARTIAL 0:5)', 'a page that begins before the first'],
      ['UID FETCH 1 FLAGS (PARTIAL 1:5 PARTIAL 6:9)', 'two pages'],
      ['FETCH 1 PREVIEW (EAGER)', 'an unknown preview modifier'],
      ['FETCH x FLAGS', 'no set at all'],
      ['FETCH 1 FOO', 'an unknown item'],
      ['FETCH 1 (ALL)', 'a macro in a list'],
      ['FETCH 1 FLAGS UID', 'two items without parentheses'],
      ['FETCH 1 (FLAGS', 'a list that does not end'],
      ['FETCH 1 (FLAGS))', 'one parenthesis too many'],
      ['FETCH 1 (FLAGS(UID))', 'a list in a list'],
      ['FETCH 1 BODY[', 'a section that does not end'],
      ['FETCH 1 BODY.PEEK', 'BODY.PEEK without a section'],
      ['FETCH 1 BODY[0]', 'part zero'],
      ['FETCH 1 BODY[1.]', 'a dot at the end'],
      ['FETCH 1 BODY[1..2]', 'two dots'],
      ['FETCH 1 BODY[.1]', 'a dot at the start'],
      ['FETCH 1 BODY[MIME]', 'MIME without a part'],
      ['FETCH 1 BODY[1HEADER]', 'no dot'],
      ['FETCH 1 BODY[FOO]', 'an unknown section'],
      ['FETCH 1 BODY[HEADER (From)]', 'fields that HEADER does not have'],
      ['FETCH 1 BODY[HEADER.FIELDS]', 'no fields'],
      ['FETCH 1 BODY[HEADER.FIELDS ()]', 'an empty list of fields'],
      ['FETCH 1 BODY[HEADER.FIELDS ("a b")]', 'a space in a field name'],
      ['FETCH 1 BODY[HEADER.FIELDS ("From:")]', 'a colon in a field name'],
      ['FETCH 1 BODY[HEADER.FIELDS ({6}\r\nA\r\nB: )]', 'a line end in a field name'],
      ['FETCH 1 BODY[]<0.0>', 'a length of zero'],
      ['FETCH 1 BODY[]<0>', 'no length'],
      ['FETCH 1 BODY[]<-1.5>', 'a negative offset'],
      ['FETCH 1 BINARY[1]', 'BINARY (RFC 3516), which is not announced'],
      ['FETCH 1 FLAGS (FOO 1)', 'an unknown modifier'],
      [`FETCH 1 (${'UID '.repeat(IMAP_LIST_ITEMS + 1)})`, 'too many items', 'too-many'],
    ]);

    const printed: readonly (readonly [asked: string, answered: string])[] = [
      ['BODY.PEEK[]', 'BODY[]'],
      ['body[header.fields ("From" Date)]<0.10>', 'BODY[HEADER.FIELDS (From Date)]<0>'],
      ['BODY[1.2.HEADER.FIELDS.NOT (X-A "X]B" "a\\"b")]', 'BODY[1.2.HEADER.FIELDS.NOT (X-A "X]B" "a\\"b")]'],
      ['BODY[4.1.MIME]', 'BODY[4.1.MIME]'],
      ['BODY[text]<7.9>', 'BODY[TEXT]<7>'],
    ];
    for (const [asked, answered] of printed) {
      it(`${asked} is answered as ${answered} (RFC 9051 §7.5.2)`, () => {
        const command = parseOne(`a FETCH 1 ${asked}`);
        const item = command.name === 'FETCH' ? command.items[0] : undefined;
        assert.ok(item?.item === 'BODY[]');
        assert.equal(printBodySectionName(item), answered);
      });
    }
  });

  it('any section printed is parsed as that section', () => {
    const part = fc
      .array(fc.integer({ min: 1, max: 99 }), { maxLength: 5 })
      .map((numbers) => numbers.join('.'));
    const field = fc.string({ unit: fc.constantFrom(...'aZ0-_]["\\(){%*'), minLength: 1, maxLength: 8 });
    const fields = fc.array(field, { minLength: 1, maxLength: 4 });
    const any = fc.oneof(
      part.map((numbers) => section(numbers)),
      fc
        .tuple(part, fc.constantFrom('HEADER' as const, 'TEXT' as const))
        .map(([p, text]) => section(p, text)),
      fc
        .tuple(part, fc.constantFrom('HEADER.FIELDS' as const, 'HEADER.FIELDS.NOT' as const), fields)
        .map(([p, text, names]) => section(p, text, names)),
      part.filter((numbers) => numbers !== '').map((numbers) => section(numbers, 'MIME')),
    );
    fc.assert(
      fc.property(any, (value) => {
        const command = parseOne(`a FETCH 1 BODY[${printSection(value)}]`);
        assert.deepEqual(command.name === 'FETCH' && command.items, [body(value)]);
      }),
    );
  });

  describe('STORE, COPY, MOVE, EXPUNGE', () => {
    const store = (text: string, rest: object): Untagged<Command> =>
      ({
        name: 'STORE',
        isUid: false,
        set: set(text),
        operation: 'replace',
        isSilent: false,
        unchangedSince: null,
        ...rest,
      }) as Untagged<Command>;
    accepts([
      // RFC 9051 §6.4.6.
      ['STORE 2:4 +FLAGS (\\Deleted)', store('2:4', { operation: 'add', flags: ['\\Deleted'] })],
      [
        'UID STORE 7 -flags.silent (\\seen $Forwarded)',
        store('7', { isUid: true, operation: 'remove', isSilent: true, flags: ['\\Seen', '$Forwarded'] }),
      ],
      ['STORE 1 FLAGS ()', store('1', { flags: [] })],
      ['STORE 1 FLAGS \\Seen \\Flagged Work', store('1', { flags: ['\\Seen', '\\Flagged', 'Work'] })],
      [
        'STORE 1 FLAGS (\\Answered \\ANSWERED \\Draft Work work NonJunk)',
        store('1', { flags: ['\\Answered', '\\Draft', 'Work', 'NonJunk'] }),
      ],
      // RFC 7162 §3.1.3.
      [
        'STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)',
        store('7,5,9', {
          operation: 'add',
          isSilent: true,
          flags: ['\\Deleted'],
          unchangedSince: 320162338,
        }),
      ],
      ['COPY 2:4 MEETING', { name: 'COPY', isUid: false, set: set('2:4'), mailbox: mailbox('MEETING') }],
      [
        'UID COPY 4:1 inbox',
        { name: 'COPY', isUid: true, set: set('4:1'), mailbox: mailbox('INBOX', 'inbox') },
      ],
      // RFC 6851 §3.3.
      ['UID MOVE 42:69 foo', { name: 'MOVE', isUid: true, set: set('42:69'), mailbox: mailbox('foo') }],
      ['MOVE 1,* "a b"', { name: 'MOVE', isUid: false, set: set('1,*'), mailbox: mailbox('a b') }],
      ['EXPUNGE', { name: 'EXPUNGE', set: null }],
      // RFC 4315 §2.1.
      ['UID EXPUNGE 3000:3002', { name: 'EXPUNGE', set: set('3000:3002') }],
    ]);
    refuses([
      ['STORE 1 FLAGS', 'no flags'],
      ['STORE 1 FLAGS (\\Recent)', '\\Recent cannot be stored (RFC 3501 §2.3.2)'],
      ['STORE 1 FLAGS (\\Foo)', 'an unknown system flag'],
      ['STORE 1 FLAGS (\\*)', '\\* is for PERMANENTFLAGS'],
      ['STORE 1 FLAGS ("a")', 'a keyword is an atom'],
      ['STORE 1 *FLAGS (a)', 'no operation'],
      ['STORE 1 FLAGS.LOUD (a)', 'no FLAGS.SILENT'],
      ['STORE 1 FLAGS (a) b', 'text behind the list'],
      ['STORE 1 (X 1) FLAGS (a)', 'an unknown modifier'],
      ['COPY 1', 'no mailbox'],
      ['COPY MEETING', 'no set'],
      ['EXPUNGE 1', 'EXPUNGE takes no arguments'],
      ['UID EXPUNGE', 'no UIDs'],
    ]);
  });

  describe('SORT (RFC 5256 §5)', () => {
    const sort = (criteria: SortCriterion[], key: SearchKey, rest: object = {}): Untagged<Command> => ({
      name: 'SORT',
      isUid: false,
      returns: null,
      partial: null,
      criteria,
      key,
      ...rest,
    });
    const by = (key: SortCriterion['key'], isReverse = false): SortCriterion => ({ key, isReverse });
    accepts([
      [
        'SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994',
        sort([by('SUBJECT')], { key: 'SINCE', day: Date.UTC(1994, 1, 1) / 86_400_000 }),
      ],
      ['sort (subject reverse date) us-ascii all', sort([by('SUBJECT'), by('DATE', true)], { key: 'ALL' })],
      [
        'UID SORT RETURN (COUNT PARTIAL 1:50) (REVERSE ARRIVAL SIZE) UTF-8 UID 4:*',
        sort(
          [by('ARRIVAL', true), by('SIZE')],
          { key: 'UID', set: set('4:*') },
          { isUid: true, returns: ['COUNT', 'PARTIAL'], partial: { from: 1, to: 50 } },
        ),
      ],
      [
        'SORT (REVERSE DISPLAYFROM DISPLAYTO) "UTF-8" $',
        sort([by('DISPLAYFROM', true), by('DISPLAYTO')], { key: 'SEQUENCE', set: SAVED_RESULT }),
      ],
    ]);
    refuses([
      ['SORT', 'nothing to sort by'],
      ['SORT () UTF-8 ALL', 'an empty list of criteria'],
      ['SORT (REVERSE) UTF-8 ALL', 'nothing to reverse'],
      ['SORT (BCC) UTF-8 ALL', 'an unknown sort key'],
      ['SORT (DATE) ALL', 'no charset, or no search key', 'badcharset'],
      ['SORT (DATE) UTF-8', 'no search key'],
      ['SORT (DATE) KOI8-R ALL', 'another charset', 'badcharset'],
    ]);
  });

  describe('UIDBATCHES (RFC 10022 §3.1)', () => {
    accepts([
      ['UIDBATCHES 2000', { name: 'UIDBATCHES', size: 2000, batches: null }],
      ['UIDBATCHES 2000 10:20', { name: 'UIDBATCHES', size: 2000, batches: { from: 10, to: 20 } }],
    ]);
    refuses([
      ['UIDBATCHES', 'no size'],
      ['UIDBATCHES 0', 'nothing in a batch'],
      ['UIDBATCHES 2000 1', 'no range'],
      ['UIDBATCHES 2000 1:*', 'a star'],
      ['UID UIDBATCHES 2000', 'no command of UID', 'unknown-command'],
    ]);
  });

  describe('SEARCH (RFC 9051 §6.4.4)', () => {
    const search = (key: SearchKey, rest: object = {}): Untagged<Command> => ({
      name: 'SEARCH',
      isUid: false,
      returns: null,
      partial: null,
      key,
      ...rest,
    });
    const and = (...keys: SearchKey[]): SearchKey => ({ key: 'AND', keys });
    const flag = (name: string, isSet: boolean): SearchKey => ({ key: 'FLAG', flag: name, isSet });
    const day = (year: number, month: number, date: number) => Date.UTC(year, month - 1, date) / 86_400_000;
    accepts([
      [
        'SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM "Smith"',
        search(
          and(
            flag('\\Flagged', true),
            { key: 'SINCE', day: day(1994, 2, 1) },
            { key: 'NOT', operand: { key: 'FROM', text: 'Smith' } },
          ),
        ),
      ],
      ['SEARCH TEXT "string not in mailbox"', search({ key: 'TEXT', text: 'string not in mailbox' })],
      [
        'SEARCH CHARSET UTF-8 TEXT {12}\r\n\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0',
        search({ key: 'TEXT', text: 'москва' }),
      ],
      ['SEARCH CHARSET "us-ascii" ALL', search({ key: 'ALL' })],
      ['SEARCH SUBJECT "\xc3\xbc"', search({ key: 'SUBJECT', text: 'ü' })],
      [
        'UID SEARCH 1:* UID 4:*',
        search(and({ key: 'SEQUENCE', set: set('1:*') }, { key: 'UID', set: set('4:*') }), { isUid: true }),
      ],
      ['SEARCH *', search({ key: 'SEQUENCE', set: set('*') })],
      ['SEARCH ( ALL )', search({ key: 'ALL' })],
      [
        'SEARCH OR (SEEN DRAFT) OR UNSEEN NOT NOT 7',
        search({
          key: 'OR',
          left: and(flag('\\Seen', true), flag('\\Draft', true)),
          right: {
            key: 'OR',
            left: flag('\\Seen', false),
            right: { key: 'NOT', operand: { key: 'NOT', operand: { key: 'SEQUENCE', set: set('7') } } },
          },
        }),
      ],
      // What iOS Mail asks for when its user searches.
      [
        'UID SEARCH RETURN () CHARSET UTF-8 OR FROM x OR SUBJECT x OR TO x OR CC x BODY x NOT DELETED',
        search(
          and(
            {
              key: 'OR',
              left: { key: 'FROM', text: 'x' },
              right: {
                key: 'OR',
                left: { key: 'SUBJECT', text: 'x' },
                right: {
                  key: 'OR',
                  left: { key: 'TO', text: 'x' },
                  right: { key: 'OR', left: { key: 'CC', text: 'x' }, right: { key: 'BODY', text: 'x' } },
                },
              },
            },
            { key: 'NOT', operand: flag('\\Deleted', true) },
          ),
          { isUid: true, returns: ['ALL'] },
        ),
      ],
      [
        'SEARCH ANSWERED DELETED RECENT UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN OLD NEW',
        search(
          and(
            flag('\\Answered', true),
            flag('\\Deleted', true),
            flag('\\Recent', true),
            flag('\\Answered', false),
            flag('\\Deleted', false),
            flag('\\Draft', false),
            flag('\\Flagged', false),
            flag('\\Seen', false),
            flag('\\Recent', false),
            and(flag('\\Recent', true), flag('\\Seen', false)),
          ),
        ),
      ],
      ['SEARCH KEYWORD $Junk UNKEYWORD Work', search(and(flag('$Junk', true), flag('Work', false)))],
      [
        'SEARCH HEADER "Message-ID" <a@b> HEADER X ""',
        search(
          and({ key: 'HEADER', field: 'Message-ID', text: '<a@b>' }, { key: 'HEADER', field: 'X', text: '' }),
        ),
      ],
      [
        'SEARCH LARGER 1000 smaller 5000000000',
        search(and({ key: 'LARGER', sizeOctets: 1000 }, { key: 'SMALLER', sizeOctets: 5_000_000_000 })),
      ],
      [
        'SEARCH BEFORE 01-Jan-2020 ON "2-Feb-2020" SENTBEFORE 3-MAR-2020 SENTON 4-apr-2020 SENTSINCE 5-May-2020',
        search(
          and(
            { key: 'BEFORE', day: day(2020, 1, 1) },
            { key: 'ON', day: day(2020, 2, 2) },
            { key: 'SENTBEFORE', day: day(2020, 3, 3) },
            { key: 'SENTON', day: day(2020, 4, 4) },
            { key: 'SENTSINCE', day: day(2020, 5, 5) },
          ),
        ),
      ],
      ['SEARCH BCC a', search({ key: 'BCC', text: 'a' })],
      // RFC 5182 §2.1.
      [
        'UID SEARCH UID $ $ SMALLER 4096',
        search(
          and(
            { key: 'UID', set: SAVED_RESULT },
            { key: 'SEQUENCE', set: SAVED_RESULT },
            { key: 'SMALLER', sizeOctets: 4096 },
          ),
          { isUid: true },
        ),
      ],
      // RFC 5032, RFC 8514 §4, RFC 8474 §6.
      [
        'SEARCH OLDER 86400 YOUNGER 604800',
        search(and({ key: 'OLDER', seconds: 86_400 }, { key: 'YOUNGER', seconds: 604_800 })),
      ],
      [
        'SEARCH SAVEDBEFORE 1-Jan-2020 SAVEDON 2-Feb-2020 SAVEDSINCE "3-Mar-2020" SAVEDATESUPPORTED',
        search(
          and(
            { key: 'SAVEDBEFORE', day: day(2020, 1, 1) },
            { key: 'SAVEDON', day: day(2020, 2, 2) },
            { key: 'SAVEDSINCE', day: day(2020, 3, 3) },
            { key: 'ALL' },
          ),
        ),
      ],
      [
        'SEARCH OR EMAILID M6d99ac3275bb4e THREADID T64b478a75b7ea9',
        search({
          key: 'OR',
          left: { key: 'EMAILID', id: 'M6d99ac3275bb4e' },
          right: { key: 'THREADID', id: 'T64b478a75b7ea9' },
        }),
      ],
      // RFC 7162 §3.1.5.
      ['SEARCH MODSEQ 620162338', search({ key: 'MODSEQ', modSeq: 620162338 })],
      [
        'SEARCH OR NOT MODSEQ "/flags/\\\\draft" all 720162338 LARGER 50000',
        search({
          key: 'OR',
          left: { key: 'NOT', operand: { key: 'MODSEQ', modSeq: 720162338 } },
          right: { key: 'LARGER', sizeOctets: 50000 },
        }),
      ],
      // RFC 9051 §6.4.4.4.
      ['SEARCH RETURN (MIN COUNT) FLAGGED', search(flag('\\Flagged', true), { returns: ['MIN', 'COUNT'] })],
      ['SEARCH RETURN (SAVE ALL MAX ALL) ALL', search({ key: 'ALL' }, { returns: ['SAVE', 'ALL', 'MAX'] })],
      // RFC 9394 §3.1.
      [
        'UID SEARCH RETURN (PARTIAL -1:-100) UNDELETED',
        search(flag('\\Deleted', false), {
          isUid: true,
          returns: ['PARTIAL'],
          partial: { from: -1, to: -100 },
        }),
      ],
      [
        'SEARCH RETURN (COUNT partial 500:1 SAVE) ALL',
        search({ key: 'ALL' }, { returns: ['COUNT', 'PARTIAL', 'SAVE'], partial: { from: 500, to: 1 } }),
      ],
    ]);
    refuses([
      ['SEARCH', 'no keys'],
      ['SEARCH FOO', 'an unknown key'],
      ['SEARCH FOO x', 'an unknown key with an argument'],
      ['SEARCH ()', 'an empty list'],
      ['SEARCH (ALL', 'a list that does not end'],
      ['SEARCH ALL)', 'a parenthesis too many'],
      ['SEARCH NOT', 'nothing to negate'],
      ['SEARCH OR ALL', 'half an OR'],
      ['SEARCH FROM', 'no text'],
      ['SEARCH HEADER x', 'no text to look for'],
      ['SEARCH KEYWORD \\Seen', 'a system flag is no keyword'],
      ['SEARCH SINCE 31-Feb-2020', 'no such day'],
      ['SEARCH SINCE yesterday', 'no date'],
      ['SEARCH LARGER x', 'no number'],
      ['SEARCH $,1', 'a saved result beside numbers'],
      ['SEARCH YOUNGER 0', 'no interval (RFC 5032 §3)'],
      ['SEARCH SAVEDON 31-Feb-2020', 'no such day'],
      ['SEARCH EMAILID', 'no id'],
      ['SEARCH 0', 'zero'],
      ['SEARCH RETURN (FOO) ALL', 'an unknown return option'],
      ['SEARCH RETURN (ALL)', 'no keys behind RETURN'],
      ['SEARCH RETURN (PARTIAL) ALL', 'no page'],
      ['SEARCH RETURN (PARTIAL 1:2 ALL) ALL', 'a page and all (RFC 9394 §3.1)'],
      ['SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL', 'two pages'],
      ['SEARCH CHARSET KOI8-R TEXT x', 'another charset', 'badcharset'],
      ['SEARCH CHARSET UTF-8 TEXT "\xff"', 'octets that are no UTF-8', 'badcharset'],
      ['SEARCH CHARSET UTF-8', 'no keys behind CHARSET'],
      ['SEARCH MODSEQ "/flags/x" some 1', 'an unknown entry type'],
      [
        `SEARCH ${'('.repeat(IMAP_SEARCH_DEPTH + 1)}ALL${')'.repeat(IMAP_SEARCH_DEPTH + 1)}`,
        'too deep',
        'too-many',
      ],
      [`SEARCH ${'NOT '.repeat(IMAP_SEARCH_DEPTH + 1)}ALL`, 'too deep', 'too-many'],
      [`SEARCH ${'OR ALL '.repeat(IMAP_SEARCH_DEPTH + 1)}ALL`, 'too deep', 'too-many'],
      [`SEARCH${' ALL'.repeat(IMAP_SEARCH_KEYS + 1)}`, 'too many keys', 'too-many'],
    ]);

    it('keys may be nested up to the limit, and be as many as the limit', () => {
      const deep = `${'('.repeat(IMAP_SEARCH_DEPTH)}ALL${')'.repeat(IMAP_SEARCH_DEPTH)}`;
      assert.equal(parseOne(`a SEARCH ${deep}`).name, 'SEARCH');
      assert.equal(parseOne(`a SEARCH${' ALL'.repeat(IMAP_SEARCH_KEYS)}`).name, 'SEARCH');
    });
  });

  describe('APPEND (RFC 9051 §6.3.12, RFC 3502)', () => {
    const streamed = (sizeOctets: number, rest: Partial<AppendMessage> = {}): AppendMessage => ({
      flags: [],
      internalDate: null,
      message: { kind: 'streamed', sizeOctets },
      ...rest,
    });
    const appends = (name: string, ...messages: AppendMessage[]): Untagged<Command> => ({
      name: 'APPEND',
      mailbox: mailbox(name),
      messages,
    });
    const append = (name: string, sizeOctets: number, rest?: Partial<AppendMessage>): Untagged<Command> =>
      appends(name, streamed(sizeOctets, rest));
    accepts([
      ['APPEND saved-messages (\\Seen) {3}\r\nabc', append('saved-messages', 3, { flags: ['\\Seen'] })],
      ['APPEND INBOX {3+}\r\na\0c', append('INBOX', 3)],
      ['APPEND {3}\r\nfoo {5+}\r\na\r\nbc', append('foo', 5)],
      [
        'APPEND "a b" (\\seen $Sent) "17-Jul-1996 02:44:25 -0700" {0}\r\n',
        append('a b', 0, { flags: ['\\Seen', '$Sent'], internalDate: new Date('1996-07-17T09:44:25Z') }),
      ],
      [
        'APPEND x " 7-Feb-1994 21:52:25 -0800" {1}\r\nx ',
        append('x', 1, { internalDate: new Date('1994-02-08T05:52:25Z') }),
      ],
      [
        // RFC 3502 §6.3.11, its example.
        'APPEND saved-messages (\\Seen) {3}\r\nabc (\\Seen) " 7-Feb-1994 22:43:04 -0800" {2+}\r\nde',
        appends(
          'saved-messages',
          streamed(3, { flags: ['\\Seen'] }),
          streamed(2, { flags: ['\\Seen'], internalDate: new Date('1994-02-08T06:43:04Z') }),
        ),
      ],
      ['APPEND {1}\r\nx {0+}\r\n {1+}\r\n( {2}\r\n"" ', appends('x', streamed(0), streamed(1), streamed(2))],
    ]);
    describe('after ENABLE UTF8=ACCEPT (RFC 6855 §4)', () => {
      accepts(
        [
          ['APPEND x UTF8 (~{3+}\r\na\0c)', append('x', 3)],
          [
            'APPEND "\xc3\xbc" (\\Seen) utf8 (~{3}\r\nabc) (\\Draft) {1}\r\n) UTF8 (~{2}\r\nde) ',
            {
              name: 'APPEND',
              mailbox: mailbox('\u00fc', '\xc3\xbc'),
              messages: [
                streamed(3, { flags: ['\\Seen'] }),
                streamed(1, { flags: ['\\Draft'] }),
                streamed(2),
              ],
            },
          ],
        ],
        true,
      );
      refuses(
        [
          ['APPEND x UTF8 ({3}\r\nabc)', 'no literal8'],
          ['APPEND x UTF8 ~{3}\r\nabc', 'no parentheses'],
          ['APPEND x UTF8 (~{3}\r\nabc', 'an open parenthesis'],
          ['APPEND x UTF8 (~{3}\r\nabc {1}\r\nx', 'an open parenthesis before the next message'],
          ['APPEND x ~{3}\r\nabc', 'a literal8 alone (RFC 3516)'],
          ['APPEND x {3}\r\nabc)', 'a parenthesis that was not opened'],
        ],
        true,
      );
    });
    refuses([
      ['APPEND', 'no arguments'],
      ['APPEND x', 'no message'],
      ['APPEND x "message"', 'a quoted message'],
      ['APPEND x (\\Recent) {1}\r\nx', '\\Recent'],
      ['APPEND x "yesterday" {1}\r\nx', 'no date'],
      ['APPEND x NIL {1}\r\nx', 'text before the message'],
      ['APPEND a&b {1}\r\nx', 'no modified UTF-7', 'mailbox-name'],
      ['APPEND x {1}\r\nx y', 'text behind the message'],
      ['APPEND x {1}\r\nx (\\Seen)', 'flags without a message'],
      ['APPEND x {1}\r\nx{1}\r\ny', 'no space between messages'],
      ['APPEND x {1}\r\nx (\\Foo) {1}\r\ny', 'flags of the second message'],
      ['APPEND x ~{1}\r\nx', 'a binary literal (RFC 3516)'],
      ['APPEND x UTF8 (~{1}\r\nx)', 'UTF8 data, which was not enabled (RFC 6855 §4)'],
    ]);

    it('bad arguments are found before the message is sent', () => {
      const prefix = { lines: ['A1 APPEND x (\\Foo) {999}'], literals: [] };
      assert.throws(
        () => classifyLiteral(prefix, { isUtf8: false }),
        (error) => error instanceof CommandError && error.tag === 'A1',
      );
    });

    it('the arguments are known before the message is sent', () => {
      const what = classifyLiteral({ lines: ['A1 append x {999}'], literals: [] }, { isUtf8: false });
      assert.deepEqual(what, { kind: 'message', append: { tag: 'A1', ...append('x', 999) } });
    });

    it('the arguments of a further message are known before it is sent', () => {
      const prefix = {
        lines: ['A1 APPEND x {5+}', ' (\\Draft) {7}'],
        literals: [{ kind: 'streamed', sizeOctets: 5 } as const],
      };
      assert.deepEqual(classifyLiteral(prefix, { isUtf8: false }), {
        kind: 'message',
        append: { tag: 'A1', ...appends('x', streamed(5), streamed(7, { flags: ['\\Draft'] })) },
      });
    });

    it('other literals are arguments, whatever the command', () => {
      for (const [line, tag] of [
        ['A1 APPEND {3}', 'A1'],
        ['A1 LOGIN {3}', 'A1'],
        ['A1 FOO {3}', 'A1'],
        ['A1 {3}', 'A1'],
        ['(( {3}', null],
        ['{3}', null],
      ] as const) {
        assert.deepEqual(classifyLiteral({ lines: [line], literals: [] }, { isUtf8: false }), {
          kind: 'argument',
          tag,
        });
      }
    });

    it('a message that was buffered comes with its octets', () => {
      const message = { kind: 'buffered', octets: octets('a\0b') } as const;
      const command = parseCommand(
        { lines: ['A1 APPEND x {3}', ''], literals: [message] },
        { isUtf8: false },
      );
      assert.deepEqual(command, { tag: 'A1', ...append('x', 3, { message }) });
    });

    it('a streamed literal cannot stand for a string', () => {
      const framed = {
        lines: ['A1 SELECT {3}', ''],
        literals: [{ kind: 'streamed', sizeOctets: 3 } as const],
      };
      assert.throws(() => parseCommand(framed, { isUtf8: false }), CommandError);
    });
  });

  describe('strings after ENABLE UTF8=ACCEPT (RFC 9755 §3)', () => {
    accepts(
      [
        ['DELETE "\xc3\xbc&-"', { name: 'DELETE', mailbox: mailbox('\u00fc&-', '\xc3\xbc&-') }],
        // RFC 5198 §2: u and a combining diaeresis are one letter.
        ['DELETE "u\xcc\x88"', { name: 'DELETE', mailbox: mailbox('\u00fc', 'u\xcc\x88') }],
        [
          'SEARCH SUBJECT "\xf0\x9f\x92\x8c"',
          {
            name: 'SEARCH',
            isUid: false,
            returns: null,
            partial: null,
            key: { key: 'SUBJECT', text: '\u{1f48c}' },
          },
        ],
      ],
      true,
    );
    refuses(
      [
        ['DELETE \xc3\xbc', '8-bit octets in an atom'],
        ['SEARCH SUBJECT "\xfc"', 'no UTF-8'],
        ['ID ("name" "\xfc")', 'no UTF-8'],
        ['SEARCH CHARSET UTF-8 ALL', 'CHARSET'],
        ['UID SEARCH RETURN (COUNT) CHARSET US-ASCII ALL', 'CHARSET'],
      ],
      true,
    );
    accepts([
      // The same letter in modified UTF-7, decomposed.
      ['DELETE u&Awg-', { name: 'DELETE', mailbox: mailbox('\u00fc', 'u&Awg-') }],
    ]);
  });

  it('pipelined commands with literals are parsed alike however they are cut', () => {
    const wire =
      'a1 LOGIN {5+}\r\nalice {6}\r\nsecret\r\na2 SELECT INBOX\r\na3 APPEND INBOX (\\Seen) {6+}\r\na\r\nb\r\n\r\na4 UID FETCH 1:* (FLAGS)\r\n';
    const names = CUTS.map((cut) => parseAll(wire, cut).map((command) => `${command.tag} ${command.name}`));
    for (const list of names) assert.deepEqual(list, ['a1 LOGIN', 'a2 SELECT', 'a3 APPEND', 'a4 FETCH']);
  });
});
