/** Holds the pages that people read to what the code does, where the two can part without anybody's noticing. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'mocha';
import { announcedCapabilities } from '../../src/imap/command/capability.ts';
import { runCommand } from '../cli/run-command.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** What stands in backquotes. */
const quoted = (page: string): Set<string> =>
  new Set([...page.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!));

/** Every command, as `letterlock help` lists them: `user create`. */
async function commands(): Promise<string[]> {
  const { stdout } = await runCommand(['help']);
  return [...stdout.matchAll(/^ {2}([a-z]+(?: [a-z-]+)?) {2}/gm)].map(([, name]) => name!);
}

describe('docs/rfc.md', () => {
  const page = read('docs/rfc.md');

  it('has a row for every capability that the IMAP server announces', () => {
    const connection = { isSecure: false, mayCompress: true, mayStartTls: true, appendLimitOctets: 1 };
    const announced = [
      ...announcedCapabilities('not-authenticated', { ...connection, mayAuthenticate: false }),
      ...announcedCapabilities('not-authenticated', { ...connection, mayAuthenticate: true }),
      ...announcedCapabilities('selected', { ...connection, mayAuthenticate: true }),
    ].map((name) => name.replace(/^APPENDLIMIT=\d+$/, 'APPENDLIMIT'));
    const listed = quoted(page);
    assert.deepEqual(
      announced.filter((name) => !listed.has(name)),
      [],
    );
  });

  it('says yes, partly or no of everything it lists', () => {
    const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (standard|---)/.test(line));
    assert.ok(rows.length > 50);
    for (const row of rows) assert.match(row, /^\| [^|]+ \| [^|]+ \| (yes|partly|no) \| [^|]*\|$/);
  });
});

describe('docs/operating.md', () => {
  it('lists the commands that there are, and no others', async () => {
    const table = read('docs/operating.md')
      .split('\n## ')
      .find((section) => section.startsWith('Commands'))!;
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    const listed = rows.flatMap((row) => [...quoted(row.split('|')[1]!)]);
    assert.deepEqual(listed.sort(), (await commands()).sort());
  });
});

describe('the table of metrics in docs/operating.md', () => {
  it('has those of the server, and no others', () => {
    const source = read('src/metrics/server-metrics.ts') + read('src/metrics/process-metrics.ts');
    const made = [...source.matchAll(/'(letterlock_[a-z_]+)'/g)].map(([, name]) => name!);
    const section = read('docs/operating.md')
      .split('\n## ')
      .find((text) => text.startsWith('Metrics'))!;
    const rows = section.split('\n').filter((line) => line.startsWith('| `letterlock_'));
    const listed = rows.flatMap((row) => [...quoted(row.split('|')[1]!)]);
    assert.deepEqual(listed.sort(), made.sort());
  });
});

describe('README.md', () => {
  const page = read('README.md');

  it('begins with two commands that exist and can be run', () => {
    const scripts = [...page.matchAll(/^ {4}(scripts\/\w+) +#/gm)].map(([, path]) => path!);
    assert.deepEqual(scripts, ['scripts/run', 'scripts/test']);
    for (const script of scripts) assert.ok(statSync(join(ROOT, script)).mode & 0o100, script);
  });

  it('names the commands of its examples as the command line does', async () => {
    const known = await commands();
    const examples = [...page.matchAll(/^ {4}scripts\/letterlock (.*)$/gm)].map(([, words]) => words!);
    assert.ok(examples.length > 5);
    for (const example of examples)
      assert.ok(
        known.some((name) => example.startsWith(`${name} `)),
        example,
      );
  });

  it('says which programs the tests need from Debian, all of them', () => {
    const wanted = /apt_install [^\n]*\n((?: .*\n)+)/.exec(read('scripts/test'))![1]!;
    for (const [, name] of wanted.matchAll(/=([a-z0-9-]+)/g)) assert.match(page, new RegExp(`\\b${name}\\b`));
  });
});

describe('every page', () => {
  for (const file of PAGES) {
    it(`links to files that exist: ${file}`, () => {
      for (const [, target] of read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        assert.ok(existsSync(join(ROOT, dirname(file), target!)), target!);
      }
    });
  }
});
