/**
 * Mocha's dots, and beside them the counts and the names of skipped tests as JSON, in the file that the reporter
 * option `counts` names. Run by run-suites.ts.
 */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What one run of mocha came to. */
export interface SuiteCounts {
  readonly passed: number;
  readonly failed: number;
  /** Full titles. */
  readonly skipped: readonly string[];
}

export default class CountingReporter extends Mocha.reporters.Dot {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const file = String(options.reporterOptions.counts);
    const skipped: string[] = [];
    runner.on('pending', (test) => skipped.push(test.fullTitle()));
    runner.once('end', () => {
      const { passes, failures } = this.stats;
      const counts: SuiteCounts = { passed: passes, failed: failures, skipped };
      writeFileSync(file, JSON.stringify(counts));
    });
  }
}
