/** What an SMTP listener counts. */
import { reasonOf, Tally } from '../tally.ts';
import { type ReplyStage, replyTo } from './replies.ts';

export class SmtpCounts {
  openConnections = 0;
  connections = 0;
  messages = 0;
  octets = 0;
  /** `<stage> <outcome> <reason>`: outcome is `refused` (5xx) or `deferred` (4xx); stage `data` is a whole message. */
  readonly failures = new Tally();

  opened(): void {
    this.connections += 1;
    this.openConnections += 1;
  }

  closed(): void {
    this.openConnections -= 1;
  }

  accepted(octets: number): void {
    this.messages += 1;
    this.octets += octets;
  }

  failed(stage: ReplyStage, error: unknown): void {
    const outcome = replyTo(error, stage).code >= 500 ? 'refused' : 'deferred';
    this.failures.add(`${stage} ${outcome} ${reasonOf(error)}`);
  }
}
