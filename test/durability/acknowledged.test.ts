import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { bodiesBehindTheirRecord, brokenPromises } from './acknowledged.ts';
import { parseTrace } from './syscalls.ts';

const JOURNAL = '30</data/journal/accept-00.log>';
const SOCKET = '40<socket:[9001]>';
const REQUEST = `10 read(${SOCKET}, "a7 STORE 1 +FLAGS (\\\\Seen)\\r\\n", 65536) = 28`;
const RECORD = `11 pwritev(${JOURNAL}, [{iov_base="\\0\\0", iov_len=20}, {iov_base="{\\"mailbox\\":\\"m1\\"}", iov_len=16}], 2, 24) = 36`;
const SYNC = `12 fdatasync(${JOURNAL}) = 0`;
const REPLY = `10 write(${SOCKET}, "a7 OK Done.\\r\\n", 13) = 13`;
const ACKNOWLEDGEMENT = { name: 'STORE', request: 'a7 STORE', reply: 'a7 OK', mailboxes: ['m1'] };

const findings = (...lines: string[]): string[] =>
  brokenPromises(parseTrace(lines.join('\n')), [ACKNOWLEDGEMENT]);

const UNSYNCED = ['STORE: the reply was written before the journal record was synced'];

describe('the check that replies follow the sync', () => {
  it('accepts request, record, sync, reply', () => {
    assert.deepEqual(findings(REQUEST, RECORD, SYNC, REPLY), []);
  });

  it('accepts calls that other threads interrupt', () => {
    const trace = [
      REQUEST,
      `11 pwritev(${JOURNAL}, [{iov_base="m1", iov_len=2}], 1, 24 <unfinished ...>`,
      `10 write(41<socket:[9002]>, "b1 OK Other.\\r\\n", 14) = 14`,
      '11 <... pwritev resumed>) = 2',
      `12 fdatasync(${JOURNAL} <unfinished ...>`,
      '10 --- SIGCHLD {si_signo=SIGCHLD} ---',
      '12 <... fdatasync resumed>) = 0',
      REPLY,
    ];
    assert.deepEqual(findings(...trace), []);
  });

  it('lets the \\Recent mark follow the reply', () => {
    const recent = RECORD.replace('{\\"mailbox\\":\\"m1\\"', '{\\"op\\":\\"recent\\",\\"mailbox\\":\\"m1\\"');
    assert.notEqual(recent, RECORD);
    assert.deepEqual(findings(REQUEST, RECORD, SYNC, recent, REPLY), []);
    assert.equal(findings(REQUEST, recent, SYNC, REPLY).length, 1);
  });

  const broken: readonly [claim: string, lines: readonly string[], expected: readonly string[]][] = [
    ['a reply before the sync', [REQUEST, RECORD, REPLY, SYNC], UNSYNCED],
    ['a reply without a sync', [REQUEST, RECORD, REPLY], UNSYNCED],
    [
      'a reply while the sync still runs',
      [REQUEST, RECORD, `12 fdatasync(${JOURNAL} <unfinished ...>`, REPLY, '12 <... fdatasync resumed>) = 0'],
      UNSYNCED,
    ],
    ['a sync that came before the write', [REQUEST, SYNC, RECORD, REPLY], UNSYNCED],
    [
      'a sync that began before the write had ended',
      [
        REQUEST,
        `11 pwritev(${JOURNAL}, [{iov_base="m1", iov_len=2}], 1, 24 <unfinished ...>`,
        `12 fdatasync(${JOURNAL} <unfinished ...>`,
        '11 <... pwritev resumed>) = 2',
        '12 <... fdatasync resumed>) = 0',
        REPLY,
      ],
      UNSYNCED,
    ],
    ['a sync of another segment', [REQUEST, RECORD, SYNC.replace('accept-00', 'accept-01'), REPLY], UNSYNCED],
    [
      'a sync that failed',
      [REQUEST, RECORD, SYNC.replace('= 0', '= -1 EIO (Input/output error)'), REPLY],
      UNSYNCED,
    ],
    [
      'a write that failed',
      [REQUEST, RECORD.replace('= 36', '= -1 ENOSPC (No space)'), SYNC, REPLY],
      UNSYNCED,
    ],
    ['a second record that no sync followed', [REQUEST, RECORD, SYNC, RECORD, REPLY], UNSYNCED],
    [
      "another mailbox's record",
      [REQUEST, RECORD.replace('m1', 'm2'), SYNC, REPLY],
      ['STORE: no journal record of mailbox m1 was written before the reply'],
    ],
    [
      'a record from before the request',
      [RECORD, SYNC, REQUEST, REPLY],
      ['STORE: no journal record of mailbox m1 was written before the reply'],
    ],
    [
      'a reply to somebody else',
      [REQUEST, RECORD, SYNC, REPLY.replace('9001', '9002')],
      ['STORE: the reply was not seen'],
    ],
    ['a request that is not there', [RECORD, SYNC, REPLY], ['STORE: the request was not seen']],
  ];
  for (const [claim, lines, expected] of broken) {
    it(`finds ${claim}`, () => assert.deepEqual(findings(...lines), expected));
  }
});

describe('the check that bodies are synced before their record', () => {
  const id = '0123456789abcdef0123456789abcdef';
  const write = `11 write(31</data/spool/${id}>, "x", 1) = 1`;
  const fileSync = `11 fsync(31</data/spool/${id}>) = 0`;
  const directorySync = '11 fsync(32</data/spool>) = 0';
  const record = RECORD.replace('m1', id);

  it('accepts body, its sync, the sync of its directory, record', () => {
    const calls = parseTrace([write, write, fileSync, directorySync, record].join('\n'));
    assert.deepEqual(bodiesBehindTheirRecord(calls), { bodies: 1, broken: [] });
  });

  for (const [claim, lines] of [
    ['a body written after its sync', [write, fileSync, write, directorySync, record]],
    ['a body synced after its record', [write, directorySync, record, fileSync]],
    ['a directory synced after the record', [write, fileSync, record, directorySync]],
    ['a body that no record names', [write, fileSync, directorySync]],
  ] as const) {
    it(`finds ${claim}`, () => {
      assert.equal(bodiesBehindTheirRecord(parseTrace(lines.join('\n'))).broken.length, 1);
    });
  }
});
