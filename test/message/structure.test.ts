import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { HEADER_OCTETS, MESSAGE_PARTS, PART_DEPTH, TOTAL_HEADER_OCTETS } from '../../src/limits.ts';
import type { Entity } from '../../src/message/entity.ts';
import { chunkings, crlf, cut, outline, readStructure } from './chunks.ts';

interface Row {
  readonly claim: string;
  readonly message: string;
  /** As chunks.ts `outline` prints it. */
  readonly outline: readonly string[];
}

const MIXED = 'Content-Type: multipart/mixed; boundary=b\n\n';

const ROWS: readonly Row[] = [
  {
    claim:
      'RFC 2046 §5.1.1: preamble and epilogue belong to no part, and a part without header is text/plain',
    message: `From: Nathaniel Borenstein <nsb@bellcore.com>
MIME-Version: 1.0
Content-type: multipart/mixed; boundary="simple boundary"

This is the preamble.  It is to be ignored.

--simple boundary

This is implicitly typed plain US-ASCII text.
It does NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

This is explicitly typed plain US-ASCII text.
It DOES end with a linebreak.

--simple boundary--

This is the epilogue.  It is also to be ignored.
`,
    outline: [
      'multipart/mixed',
      '  text/plain "This is implicitly typed plain US-ASCII text.\\nIt does NOT end with a linebreak." 1',
      '  text/plain "This is explicitly typed plain US-ASCII text.\\nIt DOES end with a linebreak.\\n" 2',
    ],
  },
  {
    claim: 'RFC 2046 §5.1.5: the parts of a multipart/digest are messages unless they say otherwise',
    message: `Content-Type: multipart/digest; boundary="next"

--next

From: someone-else
Subject: one

first
--next
Content-Type: text/plain

preface
--next--
`,
    outline: ['multipart/digest', '  message/rfc822 3', '    text/plain "first"', '  text/plain "preface"'],
  },
  {
    claim: 'RFC 2049 appendix A: multiparts and embedded messages nest',
    message: `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=unique-boundary-1

--unique-boundary-1

 ... Some text appears here ...
--unique-boundary-1
Content-Type: multipart/parallel; boundary=unique-boundary-2

--unique-boundary-2
Content-Type: audio/basic
Content-Transfer-Encoding: base64

 ... audio ...
--unique-boundary-2
Content-Type: image/jpeg
Content-Transfer-Encoding: base64

 ... image ...
--unique-boundary-2--

--unique-boundary-1
Content-type: text/enriched

This is <bold>enriched.</bold>

--unique-boundary-1
Content-Type: message/rfc822

From: (mailbox in US-ASCII)
Subject: (subject in US-ASCII)
Content-Type: Text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: Quoted-printable

 ... Additional text ...

--unique-boundary-1--
`,
    outline: [
      'multipart/mixed',
      '  text/plain " ... Some text appears here ..."',
      '  multipart/parallel',
      '    audio/basic " ... audio ..."',
      '    image/jpeg " ... image ..."',
      '  text/enriched "This is <bold>enriched.</bold>\\n" 1',
      '  message/rfc822 6',
      '    Text/plain " ... Additional text ...\\n" 1',
    ],
  },
  { claim: 'an empty message is an empty text', message: '', outline: ['text/plain ""'] },
  {
    claim: 'a header without an empty line has no body',
    message: 'Subject: x\n',
    outline: ['text/plain ""'],
  },
  { claim: 'a header may lack its last line end', message: 'Subject: x', outline: ['text/plain ""'] },
  { claim: 'a message may begin with its body', message: '\nhello\n', outline: ['text/plain "hello\\n" 1'] },
  {
    claim: 'what follows an empty line is body, header-like lines too',
    message: 'A: b\n\nContent-Type: text/html\n\nx',
    outline: ['text/plain "Content-Type: text/html\\n\\nx" 2'],
  },
  {
    claim: 'Content-* fields of a message count beside Content-Type, without MIME-Version',
    message: 'Content-Type: text/html\n\nx',
    outline: ['text/html "x"'],
  },
  {
    claim: 'a missing closing boundary ends at the end of the message',
    message: `${MIXED}--b\n\none\n--b\n\ntwo\n`,
    outline: ['multipart/mixed', '  text/plain "one"', '  text/plain "two\\n" 1'],
  },
  {
    claim: 'a closing boundary may lack its line end',
    message: `${MIXED}--b\n\none\n--b--`,
    outline: ['multipart/mixed', '  text/plain "one"'],
  },
  {
    claim: 'a message cut off within a boundary line has no part after it',
    message: `${MIXED}--b\n\none\n--b`,
    outline: ['multipart/mixed', '  text/plain "one"'],
  },
  {
    claim: 'a message cut off after a boundary line has an empty part',
    message: `${MIXED}--b\n\none\n--b\n`,
    outline: ['multipart/mixed', '  text/plain "one"', '  text/plain ""'],
  },
  {
    claim: 'a boundary line may have white space behind it (RFC 2046 §5.1.1, transport-padding)',
    message: `${MIXED}--b \t \n\none\n--b-- \t\n`,
    outline: ['multipart/mixed', '  text/plain "one"'],
  },
  {
    claim: 'an indented boundary is text',
    message: `${MIXED}--b\n\n --b\n--b--\n`,
    outline: ['multipart/mixed', '  text/plain " --b"'],
  },
  {
    claim: 'two empty lines before a boundary leave one of them in the part',
    message: `${MIXED}--b\n\n\n\n--b--\n`,
    outline: ['multipart/mixed', '  text/plain "\\n" 1'],
  },
  {
    claim: 'a part may be without body or even header',
    message: `${MIXED}--b\nContent-Type: text/html\n--b\n--b\n\n--b--\n`,
    outline: ['multipart/mixed', '  text/html ""', '  text/plain ""', '  text/plain ""'],
  },
  {
    claim: 'a multipart without boundary parameter has one empty part',
    message: 'Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n',
    outline: ['multipart/mixed', '  text/plain ""'],
  },
  {
    claim: 'a multipart whose boundary never comes has one empty part',
    message: `${MIXED}one\n--c\n`,
    outline: ['multipart/mixed', '  text/plain ""'],
  },
  {
    claim: 'a multipart that only ends has one empty part',
    message: `${MIXED}--b--\n`,
    outline: ['multipart/mixed', '  text/plain ""'],
  },
  {
    claim: 'a boundary that is the prefix of another does not end its part (the longest match wins)',
    message: `${MIXED}--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\none\n--bb\n\ntwo\n--bb--\n--b\n\nthree\n--b--\n`,
    outline: [
      'multipart/mixed',
      '  multipart/alternative',
      '    text/plain "one"',
      '    text/plain "two"',
      '  text/plain "three"',
    ],
  },
  {
    claim: 'an inner boundary that is a prefix of the outer one does not swallow it',
    message: `Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bb\n\ntwo\n--bb--\n`,
    outline: ['multipart/mixed', '  multipart/mixed', '    text/plain "one"', '  text/plain "two"'],
  },
  {
    claim: 'an outer boundary ends inner multiparts that were not closed',
    message: `${MIXED}--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n`,
    outline: ['multipart/mixed', '  multipart/mixed', '    text/plain "one"', '  text/plain "two"'],
  },
  {
    claim: 'the same boundary used twice belongs to the inner multipart until that is closed',
    message: `${MIXED}--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n`,
    outline: ['multipart/mixed', '  multipart/mixed', '    text/plain "one"', '  text/plain "two"'],
  },
  {
    claim: 'a boundary after its closing form is epilogue',
    message: `${MIXED}--b\n\none\n--b--\n--b\n\ntwo\n`,
    outline: ['multipart/mixed', '  text/plain "one"'],
  },
  {
    claim: 'a boundary ends an embedded message, in its header too',
    message: `${MIXED}--b\nContent-Type: message/rfc822\n\nSubject: x\n--b\nContent-Type: message/rfc822\n--b--\n`,
    outline: [
      'multipart/mixed',
      '  message/rfc822',
      '    text/plain ""',
      '  message/rfc822',
      '    text/plain ""',
    ],
  },
  {
    claim: 'an embedded message may be missing',
    message: 'Content-Type: message/rfc822\n\n',
    outline: ['message/rfc822', '  text/plain ""'],
  },
  {
    claim: 'an embedded message may contain a multipart, and be the whole message',
    message: `Content-Type: message/rfc822\n\nSubject: x\n${MIXED}--b\n\none\n--b--\n`,
    outline: ['message/rfc822 7', '  multipart/mixed', '    text/plain "one"'],
  },
  {
    claim: 'message/global is entered, but not through an encoding',
    message: `${MIXED}--b\nContent-Type: message/global\n\nSubject: x\n\none\n--b\nContent-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==\n--b--\n`,
    outline: [
      'multipart/mixed',
      '  message/global 2',
      '    text/plain "one"',
      '  message/global "U3ViamVjdDogeA=="',
    ],
  },
  {
    claim: 'an unquoted boundary may have the characters that want quotes',
    message:
      'Content-Type: multipart/mixed; boundary=----=_Part:1?\n\n------=_Part:1?\n\none\n------=_Part:1?--\n',
    outline: ['multipart/mixed', '  text/plain "one"'],
  },
  {
    claim: 'NUL and 8-bit octets are octets like others',
    message: `Subject: \xe9\0\n${MIXED}\0\n--b\n\n\0\xff\0\n--b--\n`,
    outline: ['multipart/mixed', '  text/plain "\\u0000ÿ\\u0000"'],
  },
  {
    claim: 'bare CR ends no line',
    message: `${MIXED}--b\n\none\r--b\ntwo\n--b--\n`,
    outline: ['multipart/mixed', '  text/plain "one--b\\ntwo" 1'],
  },
];

describe('StructureReader', () => {
  for (const row of ROWS) {
    for (const [name, octets] of [
      ['CRLF', crlf(row.message)],
      ['LF', Buffer.from(row.message, 'latin1')],
    ] as const) {
      it(`${row.claim} (${name}, however it is cut)`, () => {
        const whole = readStructure([octets]);
        assert.deepEqual(outline(octets, whole.root), row.outline);
        for (const pieces of chunkings(octets)) assert.deepEqual(readStructure(pieces), whole);
      });
    }
  }

  it('reports offsets of header, body and end in octets of the message', () => {
    const octets = crlf(`Subject: x\n${MIXED}preamble\n--b\nContent-Type: text/html\n\none\n--b--\n`);
    const [part] = readStructure([octets]).root.children;
    assert.equal(
      octets.toString('latin1', part!.headerStart, part!.bodyStart),
      'Content-Type: text/html\r\n\r\n',
    );
    assert.equal(octets.toString('latin1', part!.bodyStart, part!.end), 'one');
  });

  it('ends a nested multipart before the line end that precedes the outer boundary', () => {
    const octets = crlf(
      `${MIXED}--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c--\n--b--\n`,
    );
    const [inner] = readStructure([octets]).root.children;
    assert.equal(octets.toString('latin1', inner!.bodyStart, inner!.end), '--c\r\n\r\none\r\n--c--');
  });

  it('finds a boundary after a line of one megabyte', () => {
    const octets = crlf(`${MIXED}--b\n\n${'x'.repeat(1 << 20)}\n--b--\n`);
    const [part] = readStructure(cut(octets, [65536])).root.children;
    assert.equal(part!.end - part!.bodyStart, 1 << 20);
  });

  it('takes for body what exceeds the limit of a header', () => {
    const octets = crlf(`A: ${'x'.repeat(HEADER_OCTETS)}\nContent-Type: text/html\n\nbody`);
    for (const lengths of [[octets.length], [1000], [HEADER_OCTETS], [HEADER_OCTETS - 1, 5]]) {
      const { root } = readStructure(cut(octets, lengths));
      assert.deepEqual([root.bodyStart, root.end], [HEADER_OCTETS, octets.length]);
    }
  });

  it('leaves entities alone whose headers exceed the limit for the whole message', () => {
    const part = `--b\nContent-Type: text/html; x="${'y'.repeat(HEADER_OCTETS / 2)}"\n\none\n`;
    const count = Math.ceil(TOTAL_HEADER_OCTETS / part.length) + 1;
    const { root } = readStructure([crlf(`${MIXED}${part.repeat(count)}--b--\n`)]);
    const types = root.children.map((child) => child.content.mediaType.subtype);
    assert.equal(types.length, count);
    assert.equal(types[0], 'html');
    assert.equal(types.at(-1), 'octet-stream');
  });

  it('takes for text of the last part what follows the limit of parts', () => {
    const octets = crlf(`${MIXED}${'--b\n\nx\n'.repeat(MESSAGE_PARTS + 100)}--b--\n`);
    const { root } = readStructure(cut(octets, [4096]));
    assert.equal(root.children.length, MESSAGE_PARTS - 1);
    assert.equal(root.end, octets.length);
  });

  it('leaves embedded messages alone beyond the limit of parts', () => {
    const { root } = readStructure([
      crlf(
        `Content-Type: multipart/digest; boundary=b\n\n${'--b\n\nA: b\n\nx\n'.repeat(MESSAGE_PARTS)}--b--\n`,
      ),
    ]);
    const types = root.children.map((child) => child.content.mediaType.subtype);
    assert.equal(types.length, MESSAGE_PARTS / 2);
    assert.deepEqual([types[0], types.at(-1)], ['rfc822', 'octet-stream']);
  });

  it('does not enter what is nested more deeply than the limit', () => {
    let message = '';
    for (let depth = 0; depth < PART_DEPTH + 5; depth++) {
      message += `Content-Type: multipart/mixed; boundary=b${depth}.\n\n--b${depth}.\n`;
    }
    let entity: Entity = readStructure([crlf(message)]).root;
    let depth = 0;
    for (; entity.children.length > 0; depth++) entity = entity.children[0]!;
    assert.equal(depth, PART_DEPTH);
    assert.equal(entity.content.mediaType.subtype, 'octet-stream');
  });

  it('treats a boundary of more than 250 octets as missing', () => {
    const boundary = 'x'.repeat(251);
    const { root } = readStructure([
      crlf(`Content-Type: multipart/mixed; boundary=${boundary}\n\n--${boundary}\n\none\n--${boundary}--\n`),
    ]);
    assert.deepEqual(
      root.children.map((child) => child.end - child.headerStart),
      [0],
    );
  });

  it('samples the first plain text for the preview, else the first HTML, attachments and embedded messages last', () => {
    const html = '--b\nContent-Type: text/html\n\n<p>html\n';
    const attached = '--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nattached\n';
    const embedded = '--b\nContent-Type: message/rfc822\n\n\nembedded\n';
    const plain = '--b\nContent-Type: text/plain\n\nplain\n';
    const sampleOf = (...parts: string[]) =>
      readStructure(cut(crlf(`${MIXED}${parts.join('')}--b--\n`), [5])).sample?.octets.toString();
    assert.equal(sampleOf(html, attached, embedded, plain), 'plain');
    assert.equal(sampleOf(attached, embedded, html), '<p>html');
    assert.equal(sampleOf(attached, embedded), 'embedded');
    assert.equal(sampleOf(attached), undefined);
  });

  /** Text that is likely to be structure. */
  const fragments = fc.constantFrom(
    ...['\r\n', '\n', '\r', '--', '--a', '--a--', '--ab', 'a', '-', ' ', '\0', '\xff', ':', ';'],
    ...['Content-Type: multipart/mixed; boundary=a\r\n', 'Content-Type: multipart/digest; boundary=ab\n'],
    ...[
      'Content-Type: message/rfc822\r\n\r\n',
      'Content-Type: text/html\r\n',
      '\r\n--a\r\n',
      '\r\n--ab--\r\n',
      '\r\n\r\n',
    ],
  );
  const messages = fc
    .array(fragments, { maxLength: 60 })
    .map((parts) => Buffer.from(`Content-Type: multipart/mixed; boundary=a\r\n${parts.join('')}`, 'latin1'));
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });

  it('gives the same structure for every cutting of every message', () => {
    fc.assert(
      fc.property(messages, lengths, (octets, cuts) => {
        assert.deepEqual(readStructure(cut(octets, cuts)), readStructure([octets]));
      }),
      { numRuns: 2000 },
    );
  });

  it('never fails, and entities nest: children in their parent, siblings in order', () => {
    const anything = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets));
    fc.assert(
      fc.property(fc.oneof(messages, anything), (octets) => {
        const { root, sizeOctets } = readStructure([octets]);
        assert.equal(sizeOctets, octets.length);
        assert.deepEqual([root.headerStart, root.end], [0, octets.length]);
        assertNested(root);
      }),
      { numRuns: 2000 },
    );
  });
});

function assertNested(entity: Entity): void {
  assert.ok(entity.headerStart <= entity.bodyStart && entity.bodyStart <= entity.end);
  assert.equal(entity.children.length > 0, entity.kind !== 'leaf');
  let from = entity.bodyStart;
  for (const child of entity.children) {
    assert.ok(child.headerStart >= from && child.end <= entity.end, 'a child outside its parent');
    assertNested(child);
    from = child.end;
  }
}
