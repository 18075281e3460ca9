import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { after, beforeEach, describe, it } from 'mocha';
import { type AuditOptions, audit } from '../../src/keys/audit.ts';
import { CheckpointKey, type JournalEnd, readCheckpoint } from '../../src/keys/checkpoint.ts';
import { CheckpointWriter, readCheckpointKey } from '../../src/keys/checkpoint-writer.ts';
import { lineHash } from '../../src/keys/journal-record.ts';
import { UseJournal } from '../../src/keys/use-journal.ts';
import { CHECKPOINT_JOURNALS } from '../../src/limits.ts';
import { cleanUp, temporaryDirectory } from './support.ts';

const key = {
  organization: 'm-0123456789abcdef0123456789abcdef',
  mailbox: 'fedcba9876543210fedcba9876543210',
  epoch: 1,
  purpose: 'mailbox',
  keyId: 'local:default',
} as const;
const user = { principal: 'u1@demo.test', protocol: 'imap', address: '192.0.2.1', reason: 'login' };

let now = 0;

/** A start of a process: a journal, and the checkpoints of its keys directory. */
async function startProcess(directory: string, boot: string, copyFile: string | null = null) {
  await mkdir(join(directory, 'journal'), { recursive: true });
  const path = join(directory, 'journal', `use-${boot}.log`);
  const tick = () => {
    now += 1_000;
    return now;
  };
  let file: FileHandle | null = null;
  let left: JournalEnd | null = null;
  const journal = await UseJournal.open({
    path,
    bootId: boot,
    now: tick,
    onFailure: (error) => left ?? assert.ifError(error),
    openFile: async (name) => {
      file = await open(name, 'wx', 0o600);
      return file;
    },
  });
  let signed: JournalEnd = journal.end;
  const errors: string[] = [];
  const logged: string[] = [];
  const log = {
    info: (fields: { checkpoint?: string }) => void logged.push(fields.checkpoint!),
    error: (_: object, message: string) => void errors.push(message),
  };
  const writer = new CheckpointWriter({
    directory,
    journal: () => left ?? journal.end,
    now: tick,
    log,
    copyFile,
    copyMs: 200,
  });
  // After the one that is made in the background: all that follow are the test's.
  await writer.make().catch(() => undefined);
  return {
    path,
    journal,
    errors,
    logged,
    async use(times = 1) {
      for (let i = 0; i < times; i++) {
        const intent = await journal.intent(key, { ...user, address: `192.0.2.${i}` }, 'unwrap');
        journal.outcome(key, user, { operation: 'unwrap', intent, requestId: 'r', outcome: 'ok' });
      }
      await journal.intent(key, user, 'wrap'); // with it, the outcomes are written
    },
    checkpoint: async () => {
      const line = await writer.make();
      signed = journal.end;
      return line;
    },
    async stop() {
      await journal.close();
      await writer.close();
    },
    /** What a crash leaves: no last checkpoint, and space behind the records. */
    async crash() {
      left = signed;
      await file!.close();
      await writer.close();
    },
  };
}

describe('the audit of key-use journals', () => {
  let directory: string;
  let given: string;
  beforeEach(() => {
    directory = temporaryDirectory();
    given = join(temporaryDirectory(), 'given.log');
    now = Date.UTC(2027, 0, 1);
  });
  after(cleanUp);

  const check = (options: Partial<AuditOptions> = {}) =>
    audit({ directory, given: null, key: null, since: null, ...options });
  const found = async (options: Partial<AuditOptions> = {}) =>
    (await check(options)).problems.map(({ file, line, kind }) => `${file}:${line ?? ''} ${kind}`);
  const journalFile = (boot: string) => join(directory, 'journal', `use-${boot}.log`);
  const checkpoints = () => join(directory, 'journal', 'checkpoints.log');
  const edit = (path: string, change: (lines: string[]) => string[]) => {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    writeFileSync(path, `${change(lines).join('\n')}\n`);
  };
  /** Lines that chain, whatever the old ones said: what a forger with the machine can write. */
  const rechain = (lines: string[]) => {
    let prev = '0'.repeat(64);
    return lines.map((line, index) => {
      const next = line
        .replace(/"prev":"[0-9a-f]*"/, `"prev":"${prev}"`)
        .replace(/"seq":\d+/, `"seq":${index + 1}`);
      prev = lineHash(next);
      return next;
    });
  };

  /** Three processes: one that ended well, one that crashed, one that runs. The last checkpoint is given. */
  async function threeProcesses() {
    const first = await startProcess(directory, 'a');
    await first.use(3); // 7 lines
    await first.stop();
    const second = await startProcess(directory, 'b');
    await second.use(2); // 5 lines
    await second.checkpoint();
    await second.use(2); // 10 lines
    await second.journal.intent(key, user, 'unwrap');
    await second.crash();
    const third = await startProcess(directory, 'c');
    await third.use(4); // 9 lines
    await third.checkpoint();
    await copyFile(checkpoints(), given);
    return third;
  }

  it('vouches for all records up to the checkpoint that is given, and says how many came after', async () => {
    const third = await threeProcesses();
    await third.use(1);
    const report = await check({ given });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(report.checked.journals, 3);
    assert.equal(report.checked.records, 7 + 11 + 9 + 3);
    assert.equal(report.vouching!.records, 7 + 11 + 9);
    assert.ok(report.vouching!.isGiven);
    assert.equal(report.key, (await readCheckpointKey(directory)).publicKey);
    await third.stop();
  });

  it('takes the newest checkpoint alone for as much as all of them', async () => {
    const third = await threeProcesses();
    edit(given, (lines) => lines.slice(-1));
    assert.equal((await check({ given })).vouching!.records, 7 + 11 + 9);
    await third.stop();
  });

  it('names uses without an outcome, and the end that a crash tore, as notes', async () => {
    const third = await threeProcesses();
    const { path } = third;
    await third.stop();
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"boot":"c","se${' '.repeat(70_000)}`);
    const report = await check();
    assert.deepEqual(report.problems, []);
    const notes = report.notes.map(({ file, line, kind }) => `${file}:${line} ${kind}`);
    assert.deepEqual(notes, [
      ...['a:7', 'b:5', 'b:10', 'b:11'].map((at) => `journal/use-${at.replace(':', '.log:')} unfinished`),
      'journal/use-c.log:10 torn',
      'journal/use-c.log:9 unfinished',
    ]);
  });

  it('has nothing to vouch with before the first checkpoint, and finds nothing wrong in it', async () => {
    const first = await startProcess(directory, 'a');
    await first.use();
    rmSync(checkpoints(), { force: true });
    const report = await check();
    assert.deepEqual([report.problems, report.vouching, report.key], [[], null, null]);
    await first.stop();
  });

  describe('finds, against a checkpoint and without one,', () => {
    const a = 'journal/use-a.log';
    const c = 'journal/use-c.log';
    const log = 'journal/checkpoints.log';
    interface Tampering {
      readonly what: string;
      readonly tamper: () => void;
      readonly against: readonly string[];
      /** With no checkpoints at all. */
      readonly alone: readonly string[];
    }
    const TABLE: readonly Tampering[] = [
      {
        what: 'an edited record',
        tamper: () => edit(journalFile('a'), (lines) => lines.with(2, lines[2]!.replace('.1"', '.9"'))),
        against: [`${a}:4 chain`],
        alone: [`${a}:4 chain`],
      },
      {
        what: 'an edited last record',
        tamper: () => edit(journalFile('a'), (lines) => lines.with(6, lines[6]!.replace('.1"', '.9"'))),
        against: [`${a}:7 rewritten`],
        alone: [],
      },
      {
        what: 'a removed record',
        tamper: () => edit(journalFile('a'), (lines) => lines.toSpliced(2, 1)),
        against: [`${a}:3 gap`, `${a}:3 chain`, `${a}:3 unpaired`, `${a}:7 truncated`],
        alone: [`${a}:3 gap`, `${a}:3 chain`, `${a}:3 unpaired`],
      },
      {
        what: 'two records exchanged',
        tamper: () => edit(journalFile('a'), (lines) => lines.with(2, lines[4]!).with(4, lines[2]!)),
        against: [
          ...[`${a}:3 gap`, `${a}:3 chain`, `${a}:4 order`, `${a}:4 chain`, `${a}:4 unpaired`],
          ...[`${a}:5 order`, `${a}:5 chain`, `${a}:6 gap`, `${a}:6 chain`],
        ],
        alone: [
          ...[`${a}:3 gap`, `${a}:3 chain`, `${a}:4 order`, `${a}:4 chain`, `${a}:4 unpaired`],
          ...[`${a}:5 order`, `${a}:5 chain`, `${a}:6 gap`, `${a}:6 chain`],
        ],
      },
      {
        what: 'an end that was cut off',
        tamper: () => edit(journalFile('a'), (lines) => lines.slice(0, 4)),
        against: [`${a}:5 truncated`],
        alone: [],
      },
      {
        what: 'the cut end of the journal that is being written',
        tamper: () => edit(journalFile('c'), (lines) => lines.slice(0, 8)),
        against: [`${c}:9 truncated`],
        alone: [],
      },
      {
        what: 'a file written anew, with a chain that holds',
        tamper: () =>
          edit(journalFile('b'), (lines) => rechain(lines.with(6, lines[6]!.replace('u1@', 'u2@')))),
        against: ['journal/use-b.log:11 rewritten'],
        alone: [],
      },
      {
        what: 'a removed file',
        tamper: () => rmSync(journalFile('a')),
        against: [`${a}: removed`],
        alone: [],
      },
      {
        what: 'an emptied file',
        tamper: () => writeFileSync(journalFile('a'), ''),
        against: [`${a}:1 truncated`],
        alone: [],
      },
      {
        what: 'a record behind the end of a journal that had ended',
        tamper: () => edit(journalFile('a'), (lines) => rechain([...lines, lines[6]!.replace('.1"', '.9"')])),
        against: [`${a}:8 appended`],
        alone: [],
      },
      {
        what: 'a journal that nobody wrote',
        tamper: () =>
          writeFileSync(
            journalFile('x'),
            readFileSync(journalFile('a'), 'utf8').replaceAll('"boot":"a"', '"boot":"x"'),
          ),
        against: [2, 3, 4, 5, 6, 7].map((line) => `journal/use-x.log:${line} chain`),
        alone: [2, 3, 4, 5, 6, 7].map((line) => `journal/use-x.log:${line} chain`),
      },
      {
        what: 'two files that changed names',
        tamper: () => {
          renameSync(journalFile('a'), journalFile('y'));
          renameSync(journalFile('c'), journalFile('a'));
          renameSync(journalFile('y'), journalFile('c'));
        },
        against: [`${a}:1 boot`, `${a}:7 rewritten`, `${c}:1 boot`, `${c}:8 truncated`],
        alone: [`${a}:1 boot`, `${c}:1 boot`],
      },
      {
        what: 'an outcome without its intent',
        tamper: () =>
          edit(journalFile('a'), (lines) =>
            rechain(lines.with(1, lines[1]!.replace('"operation":"unwrap"', '"operation":"wrap"'))),
          ),
        against: [`${a}:2 unpaired`, `${a}:7 rewritten`],
        alone: [`${a}:2 unpaired`],
      },
      {
        what: 'a changed checkpoint',
        tamper: () =>
          edit(checkpoints(), (lines) => lines.with(1, lines[1]!.replace('"lines":5', '"lines":6'))),
        against: [`${log}:2 signature`, `${log}:3 chain`, `${log}: removed`],
        alone: [],
      },
      {
        what: 'checkpoints that were cut off',
        tamper: () => edit(checkpoints(), (lines) => lines.slice(0, 2)),
        against: [`${log}:3 truncated`],
        alone: [],
      },
      {
        what: 'all checkpoints removed',
        tamper: () => rmSync(checkpoints()),
        against: [`${log}: removed`],
        alone: [],
      },
    ];
    for (const { what, tamper, against, alone } of TABLE) {
      it(what, async () => {
        const third = await threeProcesses();
        tamper();
        assert.deepEqual(await found({ given }), against);
        rmSync(checkpoints(), { force: true });
        assert.deepEqual(await found(), alone);
        await third.crash();
      });
    }

    it('a copied journal with a boot id of its own, made by who knows the format', async () => {
      const third = await threeProcesses();
      const lines = readFileSync(journalFile('a'), 'utf8').trimEnd().split('\n');
      const planted = rechain(lines.map((line) => line.replace('"boot":"a"', '"boot":"x"')));
      writeFileSync(journalFile('x'), `${planted.join('\n')}\n`);
      // Records may wait a minute for the checkpoint that names them.
      now += 120_000;
      await third.use();
      await third.checkpoint();
      assert.deepEqual(await found(), ['journal/use-x.log: unlisted']);
      await third.stop();
    });
  });

  it('finds what was done before the server started again and signed what it found', async () => {
    const third = await threeProcesses();
    await third.crash();
    edit(journalFile('c'), (lines) => rechain(lines.with(3, lines[3]!.replace('u1@', 'u2@'))).slice(0, 9));
    const fourth = await startProcess(directory, 'd');
    await fourth.use();
    await fourth.stop();
    assert.deepEqual(await found(), ['journal/use-c.log:9 rewritten']);
    assert.deepEqual(await found({ given }), ['journal/use-c.log:9 rewritten']);
  });

  it('finds checkpoints that were signed anew by who has the key: they are not those that were given', async () => {
    const third = await threeProcesses();
    await third.crash();
    rmSync(checkpoints());
    edit(journalFile('b'), (lines) => lines.slice(0, 3));
    const fourth = await startProcess(directory, 'd');
    await fourth.use();
    await fourth.stop();
    assert.deepEqual(await found(), []);
    const problems = await found({ given });
    assert.ok(problems.includes('journal/use-b.log:4 truncated'), String(problems));
    assert.ok(problems.includes('journal/checkpoints.log:1 rewritten'), String(problems));
  });

  it('refuses checkpoints of another key than the pinned one, and of a key that changed', async () => {
    const { publicKey } = await readKeyOfNew(directory);
    await (await threeProcesses()).stop();
    const other = new CheckpointKey(Buffer.alloc(32, 7)).publicKey;
    assert.deepEqual(await found({ given, key: publicKey }), []);
    const refused = await check({ given, key: other });
    assert.equal(refused.vouching, null);
    assert.deepEqual([...new Set(refused.problems.map(({ kind }) => kind))], ['key', 'removed']);
    rmSync(join(directory, 'checkpoint.key'));
    const fourth = await startProcess(directory, 'd');
    await fourth.use();
    await fourth.stop();
    assert.deepEqual(await found(), ['journal/checkpoints.log:6 key']);
  });

  it('lets journals be removed that had ended before a time, and no others', async () => {
    await (await threeProcesses()).stop();
    const { at } = readCheckpoint(readFileSync(checkpoints(), 'utf8').split('\n')[0]!)!;
    rmSync(journalFile('a'));
    assert.deepEqual(await found({ since: Date.parse(at) + 1 }), []);
    assert.deepEqual(await found({ since: Date.parse(at) }), ['journal/use-a.log: removed']);
    rmSync(journalFile('b'));
    assert.deepEqual(await found({ since: Date.parse(at) + 1 }), ['journal/use-b.log: removed']);
  });

  it('reads checkpoints from log lines, and from a copy that was appended to after a crash', async () => {
    const third = await threeProcesses();
    const [last] = readFileSync(given, 'utf8').trimEnd().split('\n').slice(-1);
    writeFileSync(
      given,
      `${JSON.stringify({ level: 'info', checkpoint: last, msg: 'key-use checkpoint' })}\n\n${last}\n`,
    );
    const report = await check({ given });
    assert.deepEqual(report.problems, []);
    assert.equal(report.vouching!.records, 27);
    await third.stop();
  });

  it('takes a copy whose last line end was lost, and a file without a checkpoint for a problem', async () => {
    const third = await threeProcesses();
    writeFileSync(given, readFileSync(given, 'utf8').trimEnd().split('\n').at(-1)!);
    assert.equal((await check({ given })).vouching!.records, 27);
    writeFileSync(given, '');
    assert.deepEqual(await found({ given }), [`${given}: removed`]);
    await third.stop();
  });

  it('takes copies that were put together in any order, with some twice and some missing', async () => {
    const third = await threeProcesses();
    edit(given, (lines) => [lines[3]!, lines[0]!, lines[3]!, lines[2]!]);
    const report = await check({ given });
    assert.deepEqual(report.problems, []);
    assert.equal(report.vouching!.records, 27);
    await third.stop();
  });

  it('finds a change of any octet that a checkpoint vouches for', async () => {
    await (await threeProcesses()).stop();
    await copyFile(checkpoints(), given);
    const files = ['a', 'b', 'c'].map(journalFile);
    const octets = files.map((file) => readFileSync(file));
    const ends = octets.map((content) => content.lastIndexOf('}') + 1);
    const place = fc.nat(2).chain((file) => fc.tuple(fc.constant(file), fc.nat(ends[file]! - 1)));
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async ([file, at], change) => {
        const changed = Buffer.from(octets[file]!);
        changed[at]! ^= change;
        writeFileSync(files[file]!, changed);
        const problems = await found({ given });
        writeFileSync(files[file]!, octets[file]!);
        assert.notDeepEqual(problems, []);
        for (const problem of problems) assert.match(problem, new RegExp(`use-${'abc'[file]}\\.log`));
      }),
      { numRuns: 100 },
    );
  });

  it('finds nothing wrong in a journal that is being written while it is read', async function () {
    this.timeout(60_000);
    const process = await startProcess(directory, 'a');
    let isDone = false;
    const writing = (async () => {
      for (let i = 0; i < 120; i++) {
        await Promise.all([process.use(5), process.use(5)]);
        if (i % 20 === 0) await process.checkpoint();
      }
      isDone = true;
    })();
    let audits = 0;
    while (!isDone) {
      const { problems, notes } = await check();
      assert.deepEqual(problems, []);
      assert.ok(notes.every(({ kind }) => kind === 'unfinished'));
      audits += 1;
    }
    await writing;
    assert.ok(audits > 1, `${audits} audits`);
    assert.ok(statSync(process.path).size > 1024 * 1024);
    await process.stop();
  });

  describe('checkpoints', () => {
    it('are small however many journals there are, name each once, and are made only for changes', async () => {
      const boots = Array.from({ length: 300 }, (_, index) => `old-${index}`);
      for (const boot of boots) {
        const path = await mkdir(join(directory, 'journal'), { recursive: true }).then(() =>
          journalFile(boot),
        );
        const journal = await UseJournal.open({
          ...{ path, bootId: boot, now: () => now, onFailure: assert.ifError },
        });
        await journal.intent(key, user, 'wrap');
        await journal.close();
      }
      const process = await startProcess(directory, 'z');
      await process.checkpoint();
      await process.use();
      await process.checkpoint();
      await process.checkpoint();
      await process.stop();
      const lines = readFileSync(checkpoints(), 'utf8').trimEnd().split('\n');
      const named = lines.map((line) => readCheckpoint(line)!.journals.length);
      const full = Math.floor(300 / CHECKPOINT_JOURNALS);
      assert.deepEqual(named, [...Array(full).fill(CHECKPOINT_JOURNALS), 300 % CHECKPOINT_JOURNALS, 1, 1]);
      assert.ok(lines.every((line) => line.length < 16 * 1024));
      const again = await startProcess(directory, 'zz');
      await again.stop();
      assert.equal(readFileSync(checkpoints(), 'utf8').trimEnd().split('\n').length, lines.length);
      assert.deepEqual(await found(), []);
    });

    it('go to the log and to the copy as they are', async () => {
      const process = await startProcess(directory, 'a', given);
      await process.use();
      const made = await process.checkpoint();
      await process.stop();
      const lines = readFileSync(checkpoints(), 'utf8').trimEnd().split('\n');
      assert.equal(lines[0], made);
      assert.deepEqual(process.logged, lines);
      assert.equal(readFileSync(given, 'utf8'), `${lines.join('\n')}\n`);
      assert.equal(statSync(given).mode & 0o777, 0o600);
    });

    it('that cannot be copied are there all the same, and the log says so', async () => {
      const process = await startProcess(directory, 'a', '/nonexistent/checkpoints.log');
      await process.use();
      assert.ok(await process.checkpoint());
      assert.deepEqual(process.errors, ['a checkpoint of the key-use journal cannot be copied']);
      await process.stop();
      assert.deepEqual(await found(), []);
    });

    it('go on beside a copy that hangs, and so do the end of the process and keys', async () => {
      execFileSync('mkfifo', [given]);
      const process = await startProcess(directory, 'a', given);
      await process.use();
      assert.ok(await process.checkpoint());
      assert.deepEqual(process.errors, ['the copy of a checkpoint of the key-use journal hangs']);
      await process.use();
      assert.ok(await process.checkpoint());
      await process.stop();
      assert.equal(process.errors.length, 1);
      assert.deepEqual(await found(), []);
      // Whoever reads the pipe lets go of it.
      assert.match(await readFile(given, 'utf8'), /^\{"version":1,"seq":1,.*\}\n$/);
    });

    it('go on after a crash in the middle of one', async () => {
      const third = await threeProcesses();
      await third.crash();
      appendFileSync(checkpoints(), '{"version":1,"seq":99,"at":"20');
      const fourth = await startProcess(directory, 'd');
      await fourth.use();
      await fourth.stop();
      assert.deepEqual(await found({ given }), []);
    });

    it('are not made with a key that others may read, and keys can be used all the same', async () => {
      writeFileSync(join(directory, 'checkpoint.key'), `${'0'.repeat(64)}\n`, { mode: 0o644 });
      const process = await startProcess(directory, 'a');
      await process.use();
      await assert.rejects(process.checkpoint(), { code: 'not-permitted' });
      await process.stop();
      assert.equal(process.errors.length, 4); // at the start twice, when asked, at the end
    });
  });
});

async function readKeyOfNew(directory: string): Promise<CheckpointKey> {
  const process = await startProcess(directory, 'first');
  await process.checkpoint();
  await process.stop();
  return readCheckpointKey(directory);
}
