/** What the IMAP server counts. */
import { NamedDurations, Tally } from '../tally.ts';

/** Memory answers within 1 ms, the disk within 25; what takes longer is large, or waits for a key service. */
const BOUNDS_MS = [1, 5, 25, 100, 500, 2_500, 10_000];

export class ImapCounts {
  /** By listener. */
  readonly openConnections = new Tally();
  readonly connections = new Tally();
  /** `<command> <condition>` of tagged replies; condition `BYE` where the connection ended instead. */
  readonly completions = new Tally();
  readonly durations = new NamedDurations(BOUNDS_MS);

  completed(command: string, condition: string, ms: number): void {
    this.completions.add(`${command} ${condition}`);
    // How long a client idles says nothing of us.
    if (command !== 'IDLE') this.durations.add(command, ms);
  }
}
