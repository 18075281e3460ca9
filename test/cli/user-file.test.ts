import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'mocha';
import { parseUsers, readUserFile } from '../../src/cli/user-file.ts';
import { ADMIN_REQUEST_OCTETS, IMPORT_USERS } from '../../src/limits.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const HEADER = 'address,password,display name,quota\n';

describe('the file of user import', () => {
  it('gives a row for each user, with its line', () => {
    const text = `${HEADER}alice@example.test,"a,b",Alice Example,5G\n\nbob@example.test,,,\ncarol@example.test,c,,none\n`;
    assert.deepEqual(parseUsers(text), [
      {
        line: 2,
        address: 'alice@example.test',
        password: 'a,b',
        displayName: 'Alice Example',
        quotaOctets: 5 * 2 ** 30,
      },
      { line: 4, address: 'bob@example.test', password: null, displayName: '' },
      { line: 5, address: 'carol@example.test', password: 'c', displayName: '', quotaOctets: null },
    ]);
  });

  it('takes the columns in any order and case, and only those that are named', () => {
    assert.deepEqual(parseUsers('Display Name,ADDRESS\r\nAlice,alice@example.test\r\n'), [
      { line: 2, address: 'alice@example.test', password: null, displayName: 'Alice' },
    ]);
  });

  it('keeps the spaces of a password', () => {
    assert.equal(parseUsers('address,password\na@example.test, b \n')[0]!.password, ' b ');
  });

  for (const [what, text, sentence] of [
    ['nothing', '', 'The file of users is empty.'],
    [
      'no header',
      'alice@example.test,secret\n',
      'Line 1: the first line must name the columns: address,password,display name,quota.',
    ],
    [
      'an unknown column',
      'address,phone\n',
      'Line 1: the first line must name the columns: address,password,display name,quota.',
    ],
    [
      'no column of addresses',
      'password\n',
      'Line 1: the first line must name the columns: address,password,display name,quota.',
    ],
    ['a column twice', 'address,quota,quota\n', 'Line 1: a column is named twice.'],
    ['a row that is short', `${HEADER}a@example.test,x\n`, 'Line 2: 4 columns are expected, 2 are there.'],
    [
      'what is no address',
      `${HEADER}\nalice,x,,\n`,
      'Line 3: that is not an address: local-part@domain is expected.',
    ],
    [
      'a quota that is none',
      `${HEADER}a@example.test,x,,5 apples\n`,
      'Line 2: the quota is not a size such as 500M or 5G, or none.',
    ],
    [
      'a quota of 0',
      `${HEADER}a@example.test,x,,0\n`,
      'Line 2: the quota is not a size such as 500M or 5G, or none.',
    ],
    [
      'an open quote',
      `${HEADER}a@example.test,"x,,\n`,
      'Line 2: a quote is not closed, or stands inside a field.',
    ],
    [
      'an address twice, however spelled',
      `${HEADER}a@example.test,,,\nb@example.test,,,\nA@Example.TEST,,,\n`,
      'Line 4: the address is that of line 2.',
    ],
  ] as const) {
    it(`refuses ${what} and names the line`, () =>
      assert.throws(() => parseUsers(text), { name: 'FailedError', message: sentence }));
  }

  it('refuses more users than one import takes', () => {
    const rows = Array.from({ length: IMPORT_USERS + 1 }, (_, n) => `u${n}@example.test`);
    assert.equal(parseUsers(`address\n${rows.slice(1).join('\n')}`).length, IMPORT_USERS);
    assert.throws(() => parseUsers(`address\n${rows.join('\n')}`), /at most 10000 users/);
  });

  it('is read from a file or, named -, from standard input, without a byte order mark', async () => {
    const scratch = await makeScratch('import');
    const file = join(scratch, 'users.csv');
    const text = '\ufeffaddress\nalice@example.test\n';
    await writeFile(file, text);
    const expected = parseUsers('address\nalice@example.test\n');
    assert.deepEqual(await readUserFile(file, Readable.from([])), expected);
    assert.deepEqual(await readUserFile('-', Readable.from([Buffer.from(text)])), expected);
    await assert.rejects(readUserFile(join(scratch, 'none'), Readable.from([])), { code: 'ENOENT' });
    await removeScratch(scratch);
  });

  it('is refused when it is too large, or not UTF-8', async () => {
    const large = Readable.from([Buffer.alloc(ADMIN_REQUEST_OCTETS), Buffer.alloc(1)]);
    await assert.rejects(readUserFile('-', large), /has more than \d+ octets/);
    await assert.rejects(readUserFile('-', Readable.from([Buffer.of(0xff)])), /is not UTF-8/);
  });
});
