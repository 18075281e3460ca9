/**
 * Checks types and style, runs mocha once for each area (folder of test/) and adds the counts up. Called by
 * scripts/test, which has put the pinned Node and the packages' programs on PATH.
 *
 * Exit code 1 when a check or a test fails, or, under CI=true, when a test is skipped.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SuiteCounts } from './counting-reporter.ts';

/** A suite that has not ended by now hangs: the slowest one takes about a minute on 2 cores. */
const SUITE_DEADLINE_MS = 10 * 60 * 1000;

/** Tests that lie in test/ itself, for modules that lie in src/ itself. */
const ROOT_AREA = 'root';

const filesOf = (area: string): string =>
  area === ROOT_AREA ? 'test/*.test.ts' : `test/${area}/**/*.test.ts`;

const areasOfTests = (): string[] =>
  [ROOT_AREA, ...new Set(globSync('test/*/**/*.test.ts').map((file) => file.split('/')[1]!))].sort();

/** Runs a program with our terminal. Returns its exit code, or null when a signal ended it. */
function run(program: string, args: readonly string[]): number | null {
  const { status, error } = spawnSync(program, args, {
    stdio: 'inherit',
    timeout: SUITE_DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  if (error !== undefined) console.log(`${program}: ${error.message}`);
  return status;
}

function runCheck(name: string, program: string, args: readonly string[]): boolean {
  const start = performance.now();
  const passed = run(program, args) === 0;
  console.log(`${name}: ${passed ? 'passed' : 'FAILED'}, ${secondsSince(start)} s`);
  return passed;
}

function runSuite(area: string, scratch: string): SuiteCounts {
  const start = performance.now();
  const countsFile = join(scratch, `${area}.json`);
  const exitCode = run('mocha', [
    '--reporter',
    'test/support/counting-reporter.ts',
    '--reporter-option',
    `counts=${countsFile}`,
    filesOf(area),
  ]);
  const counts = readCounts(countsFile, exitCode, area);
  console.log(
    `test/${area}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped, ${secondsSince(start)} s`,
  );
  for (const title of counts.skipped) console.log(`  skipped: ${title}`);
  return counts;
}

/** A suite that dies, hangs or fails outside a test has no count of its own for that: it is one failure. */
function readCounts(file: string, exitCode: number | null, area: string): SuiteCounts {
  let counts: SuiteCounts = { passed: 0, failed: 0, skipped: [] };
  try {
    counts = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    console.log(`test/${area}: mocha ended without a count.`);
  }
  if (exitCode === 0 || counts.failed > 0) return counts;
  console.log(`test/${area}: mocha ended with ${exitCode === null ? 'a signal' : `exit code ${exitCode}`}.`);
  return { ...counts, failed: 1 };
}

const secondsSince = (start: number): string => ((performance.now() - start) / 1000).toFixed(1);

function main(wanted: readonly string[]): number {
  const known = areasOfTests();
  const unknown = wanted.find((area) => !known.includes(area));
  if (unknown !== undefined) {
    console.error(`test: there is no area ${unknown}; there are ${known.join(', ')}.`);
    return 2;
  }
  const typesPass = runCheck('types', 'tsc', []);
  const stylePasses = runCheck('style', 'biome', ['check', '--error-on-warnings']);

  const scratch = mkdtempSync(join(tmpdir(), 'letterlock-test-'));
  const results = (wanted.length > 0 ? wanted : known).map((area) => runSuite(area, scratch));
  rmSync(scratch, { recursive: true });

  const sum = (count: (result: SuiteCounts) => number): number =>
    results.reduce((total, result) => total + count(result), 0);
  const passed = sum((result) => result.passed);
  const failed = sum((result) => result.failed);
  const skipped = sum((result) => result.skipped.length);
  if (!typesPass) console.log('The types do not check.');
  if (!stylePasses) console.log('The style does not check.');
  const skippingFails = skipped > 0 && process.env['CI'] === 'true';
  if (skippingFails) console.log('A skipped test is an error under CI=true.');
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return typesPass && stylePasses && failed === 0 && !skippingFails ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
