/** Messages that no program should write, and many do. Names say what is wrong with them. CRLF where lines end. */
import type { Random } from '../../durability/random.ts';

export interface Sample {
  readonly name: string;
  /** One character an octet. */
  readonly octets: string;
}

const lines = (...text: string[]): string => text.map((line) => `${line}\r\n`).join('');
const MIXED = 'Content-Type: multipart/mixed; boundary=b';

const WRITTEN: Readonly<Record<string, string>> = {
  'one octet': 'x',
  'only an empty line': '\r\n',
  'header without an empty line behind it': lines('Subject: alone', 'From: a@b.test'),
  'header without a line end': 'Subject: alone',
  'body behind an empty line at once': lines('', 'body'),
  'mbox From line before the header': lines(
    'From a@b.test Mon Jan  1 00:00:00 2024',
    'Subject: x',
    '',
    'body',
  ),
  'a line without a colon within the header': lines(
    'Subject: one',
    'no colon here',
    'From: a@b.test',
    '',
    'body',
  ),
  'white space before the colon': lines('Subject : one', 'From\t: a@b.test', '', 'body'),
  'a folded first line': lines(' folded', 'Subject: one', '', 'body'),
  'a field folded over a line of white space': lines('Subject: one', ' \t', ' two', '', 'body'),
  'the same field twice': lines(
    'Subject: one',
    'Subject: two',
    'From: a@b.test',
    'From: c@d.test',
    '',
    'body',
  ),
  'Content-Type twice': lines('Content-Type: text/html', 'Content-Type: text/plain', '', 'body'),
  'empty fields': lines('Subject:', 'From:', 'To: ', 'Date:', 'Message-ID:', '', 'body'),
  '8-bit octets in fields': lines(
    'Subject: J\xf6rg \xe4\xb8\xad',
    'From: "J\xf6rg" <j\xf6@b.test>',
    '',
    '\xff\xfe body',
  ),
  'quotes and backslashes in fields': lines(
    'Subject: "a\\b" \\',
    'From: "a \\"b\\" \\\\" <"x y"@b.test>',
    '',
    'body',
  ),
  'a group, an empty group, a route': lines(
    'To: Friends: a@b.test, "C" <c@d.test>;, Nobody:;, <@r1.test,@r2.test:e@f.test>',
    'From: (comment) a (more) @ (and) b.test (Name)',
    '',
    'body',
  ),
  'addresses that are none': lines(
    'To: undisclosed recipients',
    'From: <>',
    'Cc: ,,;',
    'Sender: <a',
    '',
    'body',
  ),
  'semicolons between addresses': lines('To: a@b.test; c@d.test; "E" <e@f.test>', '', 'body'),
  'a display name in encoded-words': lines(
    'From: =?utf-8?B?SsO2cmc=?= =?utf-8?Q?_M?= <j@b.test>',
    '',
    'body',
  ),
  'a domain literal': lines('From: <a@[192.0.2.1]>', 'To: a@[IPv6:::1]', '', 'body'),
  'a very long folded field': lines(
    `References: ${Array(200).fill('<id@b.test>').join('\r\n ')}`,
    '',
    'body',
  ),

  'a multipart without boundary': lines('Content-Type: multipart/mixed', '', '--b', '', 'part', '--b--'),
  'a multipart whose boundary is empty': lines(
    'Content-Type: multipart/mixed; boundary=""',
    '',
    '--',
    '',
    'x',
    '----',
  ),
  'a multipart without parts': lines(MIXED, '', 'nothing here'),
  'a multipart of one end': lines(MIXED, '', '--b--', 'epilogue'),
  'a multipart that does not end': lines(MIXED, '', '--b', '', 'one', '--b', '', 'two'),
  'a multipart that ends within a header': lines(MIXED, '', '--b', 'Content-Type: text/html'),
  'a multipart that ends behind its delimiter': `${lines(MIXED, '')}--b`,
  'an empty part': lines(MIXED, '', '--b', '--b', '', '', '--b--'),
  'white space behind delimiters': lines(MIXED, '', '--b  ', '', 'one', '--b\t', '', 'two', '--b-- '),
  'text behind a delimiter': lines(MIXED, '', '--b', '', 'one', '--bc', '', 'two', '--b--'),
  'a boundary with a space at its end': lines(
    'Content-Type: multipart/mixed; boundary="b "',
    '',
    '--b ',
    '',
    'x',
    '--b --',
  ),
  'a boundary in RFC 2231 form': lines(
    "Content-Type: multipart/mixed; boundary*=us-ascii''b%63",
    '',
    '--bc',
    '',
    'x',
    '--bc--',
  ),
  'a boundary in RFC 2231 pieces': lines(
    'Content-Type: multipart/mixed; boundary*0=b; boundary*1=c',
    '',
    '--bc',
    '',
    'x',
    '--bc--',
  ),
  'a boundary that a comment hides': lines(
    'Content-Type: multipart/mixed (boundary=a); boundary=b',
    '',
    '--b',
    '',
    'x',
    '--b--',
  ),
  'an inner boundary that is the outer one': lines(
    MIXED,
    '',
    '--b',
    MIXED,
    '',
    '--b',
    '',
    'inner',
    '--b--',
    '--b',
    '',
    'outer',
    '--b--',
  ),
  'an inner boundary that begins with the outer one': lines(
    MIXED,
    '',
    '--b',
    'Content-Type: multipart/alternative; boundary=bb',
    '',
    '--bb',
    '',
    'inner',
    '--bb--',
    '--b--',
  ),
  'an outer boundary that begins with the inner one': lines(
    'Content-Type: multipart/mixed; boundary=bb',
    '',
    '--bb',
    MIXED,
    '',
    '--b',
    '',
    'inner',
    '--b--',
    '--bb--',
  ),
  'an inner multipart that does not end': lines(
    MIXED,
    '',
    '--b',
    'Content-Type: multipart/alternative; boundary=i',
    '',
    '--i',
    '',
    'one',
    '--b',
    '',
    'two',
    '--b--',
  ),
  'a multipart in base64': lines(MIXED, 'Content-Transfer-Encoding: base64', '', '--b', '', 'part', '--b--'),
  'a digest': lines(
    'Content-Type: multipart/digest; boundary=b',
    '',
    '--b',
    '',
    'Subject: one',
    '',
    'first',
    '--b',
    'Content-Type: text/plain',
    '',
    'preface',
    '--b--',
  ),

  'an embedded message': lines(
    'Content-Type: message/rfc822',
    '',
    'Subject: inner',
    'From: a@b.test',
    'Content-Type: text/html',
    '',
    '<p>hi',
  ),
  'an embedded message without header': lines('Content-Type: message/rfc822', '', '', 'body'),
  'an embedded message without anything': lines('Content-Type: message/rfc822', ''),
  'an embedded message in base64': lines(
    'Content-Type: message/rfc822',
    'Content-Transfer-Encoding: base64',
    '',
    'U3ViamVjdDogeA0KDQpib2R5DQo=',
  ),
  'an embedded message within a part, with attachments': lines(
    MIXED,
    '',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Subject: inner',
    'Content-Type: multipart/alternative; boundary=i',
    '',
    '--i',
    '',
    'one',
    '--i',
    'Content-Type: text/html',
    '',
    'two',
    '--i--',
    '--b',
    'Content-Disposition: attachment; filename="a b.txt"',
    '',
    'text',
    '--b--',
  ),
  'an embedded message that is cut': lines(
    MIXED,
    '',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Subject: inner',
    '--b',
    '',
    'next',
    '--b--',
  ),

  'a type without a subtype': lines('Content-Type: text', '', 'body'),
  'a type that is none': lines('Content-Type: ;;;', '', 'body'),
  'a type with a trailing semicolon': lines('Content-Type: text/html; charset=utf-8;', '', 'body'),
  'parameters without values': lines('Content-Type: text/html; charset; format=; =flowed; x = y', '', 'body'),
  'parameters quoted and not': lines('Content-Type: text/plain; name="a;b\\"c"; x=a b; y="', '', 'body'),
  'an unknown type and encoding': lines(
    'Content-Type: X-A/X-B',
    'Content-Transfer-Encoding: X-odd; x=y',
    '',
    'body',
  ),
  'an encoding in a comment': lines('Content-Transfer-Encoding: (7bit) base64 (yes)', '', 'Ym9keQ=='),
  'a disposition of every kind': lines(
    'Content-Disposition: attachment; filename*=utf-8\'\'%e2%82%ac.txt; size=3; creation-date="Wed, 12 Feb 1997 16:29:51 -0500"',
    'Content-Language: de, en-GB (English)',
    'Content-Location: http://x.test/y',
    'Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==',
    'Content-ID: <id@b.test>',
    'Content-Description: what it is',
    '',
    'body',
  ),
  'an RFC 2231 name in pieces': lines(
    "Content-Type: text/plain; name*0*=utf-8''%e2%82; name*1*=%ac; name*2=.txt",
    '',
    'body',
  ),
  'NUL octets': lines('Subject: a\0b', '', 'bo\0dy'),
  'a body of one long line': lines('Subject: long', '', 'x'.repeat(5000)),
  'lines that end in CR LF LF': 'Subject: x\r\n\r\n\none\r\n\ntwo\r\n',
  'bare CR within lines': lines('Subject: a\rb', '', 'bo\rdy'),
};

export const MONSTERS: readonly Sample[] = Object.entries(WRITTEN).map(([name, octets]) => ({
  name,
  octets,
}));

/** A random message: entities within each other, odd but without what WRITTEN has and the servers read differently. */
export function randomMonster(random: Random, name: string): Sample {
  return { name, octets: entity(random, 0) };
}

const FIELDS = [
  'Subject: one two',
  'From: "A B" <a@b.test>',
  'To: a@b.test, c@d.test, Group: x@y.test;',
  'Cc: =?utf-8?Q?=C3=A9?= <e@f.test>',
  'Date: Mon, 01 Jan 2024 00:00:00 +0000',
  'Message-ID: <1@b.test>',
  'In-Reply-To: <0@b.test>',
  'Content-ID: <c@b.test>',
  'Content-Description: some (thing)',
  'X-Odd: \xe9\xff',
  'Content-Language: en, de',
  'Content-Location: there',
  'MIME-Version: 1.0',
  'Content-Disposition: attachment; filename="x y"',
  'Content-Transfer-Encoding: quoted-printable',
  'broken line',
  'Reply-To: (c) r@s.test (d)',
] as const;
const TYPES = [
  'text/plain',
  'text/html; charset=utf-8',
  'TEXT/Plain; Charset="iso-8859-1"; format=flowed',
  'application/octet-stream; name=x',
  'image/png',
  'message/delivery-status',
] as const;
/** Of a multipart at each depth: two that are alike are WRITTEN's. */
const BOUNDARIES = ['=_outer', "a'(b)+_,-./:=?", '----=_Next Part', 'inner', 'x'] as const;
const DEEPEST = 4;

function entity(random: Random, depth: number): string {
  const fields = random.some(FIELDS, 6).map((field) => `${field}\r\n`);
  const kind =
    depth >= DEEPEST ? 'leaf' : random.pick(['leaf', 'leaf', 'multipart', 'multipart', 'message'] as const);
  if (kind === 'message') return `${header(fields, 'message/rfc822')}${entity(random, depth + 1)}`;
  if (kind === 'leaf')
    return `${header(fields, random.chance(0.8) ? random.pick(TYPES) : null)}${text(random)}`;
  const boundary = BOUNDARIES[depth]!;
  const subtype = random.pick(['mixed', 'alternative', 'digest', 'related']);
  let octets = header(fields, `multipart/${subtype}; boundary="${boundary}"`);
  if (random.chance(0.3)) octets += text(random);
  for (let parts = random.integer(1, 4); parts > 0; parts--) {
    octets += `--${boundary}\r\n${entity(random, depth + 1)}\r\n`;
  }
  if (random.chance(0.85)) octets += `--${boundary}--\r\n`;
  return random.chance(0.3) ? octets + text(random) : octets;
}

const header = (fields: readonly string[], type: string | null): string =>
  `${fields.join('')}${type === null ? '' : `Content-Type: ${type}\r\n`}\r\n`;

const text = (random: Random): string =>
  random.pick(['one line\r\n', 'two\r\nlines\r\n', '\r\n', '--\r\n', '--d\r\n', '\xe9t\xe9\r\n', 'a: b\r\n']);
