/** What the keyring counts, and what the last calls say of the key service. */
import { NamedDurations, Tally } from '../tally.ts';
import type { KeyOperation } from './journal-record.ts';

/** AWS KMS answers in some 10 ms, an attempt ends after 3 s, a call after 10. */
const BOUNDS_MS = [1, 5, 10, 25, 100, 500, 3_000, 10_000];

export class KeyCounts {
  /** `<operation> <outcome>`: outcome is `ok` or an error's code. */
  readonly calls = new Tally();
  readonly durations = new NamedDurations(BOUNDS_MS);
  /** Granted, by source. */
  readonly leases = new Tally();
  #isAnswering = true;

  called(operation: KeyOperation, outcome: string, ms: number): void {
    if (operation !== 'wrap' && operation !== 'unwrap') return; // asks no service
    this.calls.add(`${operation} ${outcome}`);
    this.durations.add(operation, ms);
    // A service that refuses has answered.
    this.#isAnswering = outcome !== 'key-service-down';
  }

  /** False when the last call had no answer. Nobody is asked to find out: the next call tells. */
  get isServiceAnswering(): boolean {
    return this.#isAnswering;
  }
}
