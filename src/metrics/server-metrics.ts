/**
 * The metrics of a server: the one file that binds what the parts count to names. docs/operating.md, "Metrics".
 *
 * Prometheus' conventions: base units in the name, counters that end with _total. Labels are listeners, commands, codes:
 * a few fixed words each. Never an address, a mailbox's or an organization's id: metrics are read by more people than logs.
 */
import type { ImapCounts } from '../imap/counts.ts';
import type { KeyCounts } from '../keys/counts.ts';
import type { SmtpCounts } from '../smtp/counts.ts';
import type { StoreVitals } from '../store/embedded/embedded-store.ts';
import type { Tally } from '../tally.ts';
import { Exposition, type Labels, type Sample } from './exposition.ts';
import { processMetrics } from './process-metrics.ts';

/** Read at every scrape. */
export interface MeteredParts {
  /** By listener. */
  readonly smtp: ReadonlyMap<string, SmtpCounts>;
  readonly imap: ImapCounts;
  /** `<protocol> <outcome>` of logins. */
  readonly logins: Tally;
  readonly hashing: () => { readonly running: number; readonly waiting: number };
  /** Mailboxes that got a message. */
  readonly deliveries: () => number;
  readonly keyring: {
    readonly counts: KeyCounts;
    readonly heldLeases: number;
    readonly canUseKeys: boolean;
    readonly checkpoints: { readonly lastAt: number | null };
  };
  readonly store: () => StoreVitals;
  /** Null: no certificate. */
  readonly certificateExpiresAt: () => Date | null;
  /** Names of parts, and whether each works; what /readyz says. */
  readonly parts: () => Promise<ReadonlyMap<string, boolean>>;
}

export interface ServerMetrics {
  /** The whole exposition. */
  text(): Promise<string>;
  /** Ends what measures between scrapes. */
  close(): void;
}

export function serverMetrics(parts: MeteredParts): ServerMetrics {
  const metrics = new Exposition();
  connections(metrics, parts);
  mail(metrics, parts);
  imap(metrics, parts);
  keys(metrics, parts);
  store(metrics, parts);
  health(metrics, parts);
  const close = processMetrics(metrics);
  return { text: () => metrics.text(), close };
}

function connections(metrics: Exposition, { smtp, imap }: MeteredParts): void {
  metrics.gauge('letterlock_connections_open', 'Connections that are open now.', () => [
    ...bySmtpListener(smtp, ({ openConnections }) => openConnections),
    ...samples(imap.openConnections, ['listener']),
  ]);
  metrics.counter('letterlock_connections_total', 'Connections that were accepted.', () => [
    ...bySmtpListener(smtp, (counts) => counts.connections),
    ...samples(imap.connections, ['listener']),
  ]);
}

function mail(metrics: Exposition, { smtp, deliveries, logins, hashing }: MeteredParts): void {
  metrics.counter(
    'letterlock_smtp_messages_total',
    'Messages whose last octet was answered: accepted, refused for good, or deferred, and why.',
    () => [
      ...[...smtp].map(
        ([listener, { messages }]): Sample => [{ listener, outcome: 'accepted', reason: '' }, messages],
      ),
      ...smtpFailures(smtp, (stage) => stage === 'data'),
    ],
  );
  metrics.counter(
    'letterlock_smtp_refusals_total',
    'Connections, logins, senders and recipients that were refused for good or deferred, and why.',
    () => smtpFailures(smtp, (stage) => stage !== 'data'),
  );
  metrics.counter('letterlock_smtp_accepted_bytes_total', 'Octets of accepted messages.', () =>
    bySmtpListener(smtp, ({ octets }) => octets),
  );
  metrics.counter('letterlock_deliveries_total', 'Mailboxes that got a message.', deliveries);
  metrics.counter('letterlock_logins_total', 'Checked passwords, by protocol and outcome.', () =>
    samples(logins, ['protocol', 'outcome']),
  );
  metrics.gauge('letterlock_password_hashes', 'Passwords that are hashed now, or wait for it.', () => {
    const { running, waiting } = hashing();
    return [
      [{ state: 'running' }, running],
      [{ state: 'waiting' }, waiting],
    ];
  });
}

function imap(metrics: Exposition, { imap: counts }: MeteredParts): void {
  metrics.counter('letterlock_imap_commands_total', 'Commands, by their tagged reply.', () =>
    samples(counts.completions, ['command', 'condition']),
  );
  metrics.durations(
    'letterlock_imap_command_duration_seconds',
    'From a parsed command to its tagged reply, the client taking the answer included. Not IDLE.',
    () => [...counts.durations.all].map(([command, durations]) => [{ command }, durations]),
  );
}

function keys(metrics: Exposition, { keyring }: MeteredParts): void {
  const { counts } = keyring;
  metrics.counter('letterlock_key_service_calls_total', 'Calls to the key service.', () =>
    samples(counts.calls, ['operation', 'outcome']),
  );
  metrics.durations(
    'letterlock_key_service_call_duration_seconds',
    'Calls to the key service, their retries included.',
    () => [...counts.durations.all].map(([operation, durations]) => [{ operation }, durations]),
  );
  metrics.counter('letterlock_leases_granted_total', 'Leases, by where the opened keys came from.', () =>
    samples(counts.leases, ['source']),
  );
  metrics.gauge('letterlock_leases_held', 'Mailboxes whose keys are open now.', () => keyring.heldLeases);
  metrics.gauge('letterlock_key_use_journal_writable', '1 when key uses can be recorded.', () =>
    Number(keyring.canUseKeys),
  );
  metrics.gauge(
    'letterlock_key_use_checkpoint_timestamp_seconds',
    'When this process last signed the ends of the key-use journals, since 1970.',
    () => seconds(keyring.checkpoints.lastAt),
  );
}

function store(metrics: Exposition, { store: vitals }: MeteredParts): void {
  metrics.durations('letterlock_accept_journal_sync_duration_seconds', 'Syncs of the accept journal.', () => [
    [{}, vitals().syncs],
  ]);
  metrics.counter(
    'letterlock_accept_journal_records_total',
    'Operations on stable storage: by syncs, how many share one.',
    () => vitals().records,
  );
  metrics.gauge(
    'letterlock_accept_journal_segments_in_use',
    'Of 8; with all in use, operations wait.',
    () => {
      return vitals().segmentsInUse;
    },
  );
  metrics.durations('letterlock_store_checkpoint_duration_seconds', 'Checkpoints of the store.', () => [
    [{}, vitals().checkpoints],
  ]);
  metrics.gauge(
    'letterlock_store_checkpoint_lag_seconds',
    'For how long the oldest change has waited for a checkpoint.',
    () => vitals().checkpointLagMs / 1000,
  );
  metrics.gauge('letterlock_disk_free_bytes', 'Free space under the data directory.', () => {
    return vitals().freeOctets;
  });
  metrics.gauge('letterlock_disk_reserve_bytes', 'Below it, mail is put off.', () => vitals().reserveOctets);
}

function health(metrics: Exposition, { certificateExpiresAt, parts }: MeteredParts): void {
  metrics.gauge('letterlock_part_up', '1 for each part that works, as /readyz has them.', async () =>
    [...(await parts())].map(([part, isUp]): Sample => [{ part }, Number(isUp)]),
  );
  metrics.gauge('letterlock_certificate_expiry_timestamp_seconds', 'When the certificate expires.', () =>
    seconds(certificateExpiresAt()?.getTime() ?? null),
  );
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

/** @param names Of the labels that a count's name has, parted by spaces. */
const samples = ({ counts }: Tally, names: readonly string[]): Sample[] =>
  [...counts].map(([name, value]) => [labels(name, names), value]);

function labels(name: string, names: readonly string[]): Labels {
  const words = name.split(' ');
  return Object.fromEntries(names.map((label, index) => [label, words[index]!]));
}

const bySmtpListener = (smtp: MeteredParts['smtp'], value: (counts: SmtpCounts) => number): Sample[] =>
  [...smtp].map(([listener, counts]) => [{ listener }, value(counts)]);

function* smtpFailures(smtp: MeteredParts['smtp'], isWanted: (stage: string) => boolean): Generator<Sample> {
  for (const [listener, { failures }] of smtp) {
    for (const [{ stage, ...others }, value] of samples(failures, ['stage', 'outcome', 'reason'])) {
      if (!isWanted(stage!)) continue;
      yield [{ listener, ...(stage === 'data' ? {} : { stage: stage! }), ...(others as Labels) }, value];
    }
  }
}
