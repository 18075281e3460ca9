import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'mocha';
import type { KeyUser, UsedKey } from '../../src/keys/journal-record.ts';
import { type JournalReport, verifyUseJournal } from '../../src/keys/journal-verify.ts';
import { UseJournal } from '../../src/keys/use-journal.ts';
import { USE_JOURNAL_RESERVE_OCTETS, USE_JOURNAL_STEP_OCTETS } from '../../src/limits.ts';
import { cleanUp, FaultyFile, journalRecords, temporaryDirectory } from './support.ts';

const key: UsedKey = {
  organization: 'm-0123456789abcdef0123456789abcdef',
  mailbox: 'fedcba9876543210fedcba9876543210',
  epoch: 1,
  purpose: 'mailbox',
  keyId: 'local:default',
};
const user: KeyUser = {
  principal: 'u0001@demo.test',
  protocol: 'imap',
  address: '192.0.2.1',
  reason: 'login',
};
const fromMemory = { source: 'memory', requestId: 'r1' } as const;

describe('key-use journal', () => {
  let path: string;
  let file: FaultyFile;
  let journal: UseJournal;
  let failures: unknown[];

  beforeEach(async () => {
    path = join(temporaryDirectory(), 'use-b1.log');
    failures = [];
    journal = await UseJournal.open({
      path,
      bootId: 'b1',
      now: () => Date.UTC(2027, 0, 1),
      onFailure: (error) => failures.push(error),
      openFile: async (name) => {
        file = await FaultyFile.open(name);
        return file;
      },
    });
  });
  afterEach(() => journal.close());
  after(cleanUp);

  it('has an intent on the disk when its promise resolves', async () => {
    const before = file.syncs;
    const seq = await journal.intent(key, user, 'unwrap');
    assert.equal(seq, 1);
    assert.equal(file.syncs, before + 1);
    assert.deepEqual(journalRecords(path), [
      {
        boot: 'b1',
        seq: 1,
        prev: '0'.repeat(64),
        at: '2027-01-01T00:00:00.000Z',
        ...key,
        event: 'intent',
        operation: 'unwrap',
        ...user,
      },
    ]);
  });

  it('shares one sync between intents that come together', async () => {
    const before = file.syncs;
    const seqs = await Promise.all(Array.from({ length: 100 }, () => journal.intent(key, user, 'unwrap')));
    assert.deepEqual(
      seqs,
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
    assert.equal(file.syncs, before + 1);
  });

  it('writes outcomes and leases, which nobody waits for, with the next intent, in order', async () => {
    const intent = await journal.intent(key, user, 'unwrap');
    journal.outcome(key, user, { operation: 'unwrap', intent, requestId: 'r1', outcome: 'ok' });
    journal.lease(key, user, { source: 'key-service', requestId: 'r1' });
    await journal.intent(key, user, 'unwrap');
    const events = journalRecords(path).map(({ event, intent }) => [event, intent]);
    assert.deepEqual(events, [
      ['intent', undefined],
      ['outcome', 1],
      ['lease', undefined],
      ['intent', undefined],
    ]);
  });

  it('writes them within a moment when no intent comes', async () => {
    journal.lease(key, user, fromMemory);
    while (file.syncs < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(journalRecords(path).length, 1);
  });

  it('takes the file ahead of the records in whole steps and gives the rest back when it closes', async () => {
    assert.equal(statSync(path).size, USE_JOURNAL_STEP_OCTETS);
    for (let i = 0; i < 3000; i++) journal.lease(key, user, fromMemory);
    await journal.intent(key, user, 'unwrap');
    assert.equal(statSync(path).size, 2 * USE_JOURNAL_STEP_OCTETS);
    await journal.close();
    const content = readFileSync(path, 'utf8');
    assert.ok(content.endsWith('}\n'));
    assert.equal((await verifyUseJournal(path)).lines, 3001);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('cuts text that a client could make long', async () => {
    await journal.intent(key, { ...user, reason: 'x'.repeat(100_000) }, 'unwrap');
    assert.ok(readFileSync(path, 'utf8').trimEnd().length < 2000);
  });

  describe('on a full disk', () => {
    /** Intents until one is refused. */
    const fill = async (): Promise<number> => {
      for (let written = 0; ; written += 50) {
        const batch = Array.from({ length: 50 }, () => journal.intent(key, user, 'unwrap'));
        const results = await Promise.allSettled(batch);
        const refused = results.filter(({ status }) => status === 'rejected');
        if (refused.length === 0) continue;
        for (const { reason } of refused as PromiseRejectedResult[]) assert.equal(reason.code, 'disk-full');
        return written + results.length - refused.length;
      }
    };

    it('goes on with the space that it has, then refuses intents and leases', async () => {
      file.roomOctets = 0;
      const written = await fill();
      assert.ok(written > 1500, `${written} records`);
      assert.ok(!journal.isWritable);
      assert.ok(failures.length > 0);
      // Room is counted by upper bounds, so a few leases may still find some.
      const grantAll = () => {
        for (let i = 0; i < 100; i++) journal.lease(key, user, fromMemory);
      };
      assert.throws(grantAll, { kind: 'unavailable', code: 'disk-full' });
      const { lines, problems } = await verifyUseJournal(path);
      assert.ok(lines >= written);
      assert.deepEqual(problems, []);
    });

    it('still records how uses ended that had begun', async () => {
      file.roomOctets = 0;
      const written = await fill();
      for (let intent = 1; intent <= 100; intent++) {
        journal.outcome(key, user, { operation: 'unwrap', intent, requestId: 'r', outcome: 'ok' });
      }
      await journal.close();
      assert.ok(100 * 400 < USE_JOURNAL_RESERVE_OCTETS);
      assert.equal((await verifyUseJournal(path)).lines, written + 100);
    });

    it('goes on by itself once there is space', async () => {
      file.roomOctets = 0;
      const written = await fill();
      file.roomOctets = 10 * USE_JOURNAL_STEP_OCTETS;
      assert.equal(await journal.intent(key, user, 'unwrap'), written + 1);
      assert.ok(journal.isWritable);
    });
  });

  for (const fault of ['write', 'sync'] as const) {
    it(`refuses all use of keys for good after a failed ${fault}, and says so once`, async () => {
      const refused = { kind: 'unavailable', code: 'key-service-down' };
      await journal.intent(key, user, 'unwrap');
      file.fault = fault;
      const results = await Promise.allSettled([
        journal.intent(key, user, 'unwrap'),
        journal.intent(key, user, 'wrap'),
      ]);
      for (const result of results) {
        assert.equal(result.status, 'rejected');
        assert.equal((result as PromiseRejectedResult).reason.code, 'key-service-down');
      }
      file.fault = 'none';
      await assert.rejects(journal.intent(key, user, 'unwrap'), refused);
      assert.throws(() => journal.lease(key, user, fromMemory), refused);
      assert.equal(failures.length, 1);
    });
  }

  it('that cannot be made opens all the same, and refuses', async () => {
    const lost = await UseJournal.open({
      path: '/nonexistent/use-b2.log',
      bootId: 'b2',
      now: Date.now,
      onFailure: (error) => failures.push(error),
    });
    assert.ok(!lost.isWritable);
    assert.equal(failures.length, 1);
    await assert.rejects(lost.intent(key, user, 'unwrap'), { kind: 'unavailable' });
    await lost.close();
  });

  it('never goes on in a file that exists', async () => {
    await assert.rejects(UseJournal.open({ path, bootId: 'b1', now: Date.now, onFailure: () => undefined }));
  });

  it('refuses what comes after it was closed', async () => {
    await journal.close();
    await assert.rejects(journal.intent(key, user, 'unwrap'), { code: 'shutting-down' });
  });

  describe('verified', () => {
    const change = async (edit: (lines: string[]) => string[]): Promise<JournalReport> => {
      for (let i = 0; i < 5; i++) await journal.intent(key, { ...user, address: `192.0.2.${i}` }, 'unwrap');
      const whole = readFileSync(path, 'utf8');
      const lines = whole.trimEnd().split('\n');
      writeFileSync(path, `${edit([...lines]).join('\n')}\n${' '.repeat(70_000)}`);
      return verifyUseJournal(path);
    };
    const kinds = ({ problems }: JournalReport) => problems.map(({ line, kind }) => `${line} ${kind}`);

    it('as written, has no problem, and its head is the last line', async () => {
      const report = await change((lines) => lines);
      assert.deepEqual(report.problems, []);
      assert.equal(report.lines, 5);
      assert.match(report.head, /^[0-9a-f]{64}$/);
    });

    it('shows an edited line at the line after it', async () => {
      const report = await change((lines) => lines.with(1, lines[1]!.replace('192.0.2.1', '192.0.2.9')));
      assert.deepEqual(kinds(report), ['3 chain']);
    });

    it('shows one space more', async () => {
      const report = await change((lines) => lines.with(2, `${lines[2]} `));
      assert.deepEqual(kinds(report), ['4 chain']);
    });

    it('shows a removed line', async () => {
      assert.deepEqual(kinds(await change((lines) => lines.toSpliced(2, 1))), ['3 gap', '3 chain']);
    });

    it('shows a removed first line', async () => {
      assert.deepEqual(kinds(await change((lines) => lines.slice(1))), ['1 gap', '1 chain']);
    });

    it('shows two lines exchanged', async () => {
      const report = await change((lines) => lines.with(1, lines[2]!).with(2, lines[1]!));
      assert.deepEqual(kinds(report), ['2 gap', '2 chain', '3 order', '3 chain', '4 gap', '4 chain']);
    });

    it('shows a line twice', async () => {
      assert.deepEqual(kinds(await change((lines) => lines.toSpliced(2, 0, lines[1]!))), [
        '3 order',
        '3 chain',
      ]);
    });

    for (const line of ['null', '{}', '', 'x']) {
      it(`shows a line that is no record: '${line}'`, async () => {
        assert.deepEqual(kinds(await change((lines) => lines.with(1, line))), ['2 unreadable', '3 chain']);
      });
    }

    it('shows a line of another boot', async () => {
      const report = await change((lines) => lines.with(1, lines[1]!.replace('"b1"', '"b2"')));
      assert.deepEqual(kinds(report), ['2 boot', '3 chain']);
    });

    it('shows an end that a crash tore', async () => {
      await journal.intent(key, user, 'unwrap');
      await journal.intent(key, user, 'unwrap');
      const lines = readFileSync(path, 'utf8').trimEnd();
      writeFileSync(path, lines.slice(0, -20) + ' '.repeat(70_000));
      assert.deepEqual(kinds(await verifyUseJournal(path)), ['2 torn']);
    });

    it('cannot show that its end was cut off: its head tells', async () => {
      const report = await change((lines) => lines.slice(0, 3));
      assert.deepEqual([report.lines, report.problems], [3, []]);
    });
  });
});
