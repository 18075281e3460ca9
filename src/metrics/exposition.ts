/**
 * Metrics in Prometheus' text format, each read when it is asked for. The one place that knows prom-client: modules keep
 * plain numbers, and nothing is done for a metric that nobody scrapes.
 */
import { type Metric, Registry } from 'prom-client';
import type { Durations } from '../tally.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];
/** One value without labels, several with; null: none now. */
export type Reading = number | null | Iterable<Sample>;

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

export class Exposition {
  readonly #registry = new Registry();

  static readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;

  /** @param name Ends with its unit, in base units: seconds, bytes. */
  gauge(name: string, help: string, read: () => Reading | Promise<Reading>): void {
    this.#add(name, help, 'gauge', async () => values(await read()));
  }

  /** @param name Ends with `_total`. @param read What only grows while the process runs. */
  counter(name: string, help: string, read: () => Reading): void {
    this.#add(name, help, 'counter', () => values(read()));
  }

  /** @param name Ends with `_seconds`. */
  durations(name: string, help: string, read: () => Iterable<readonly [Labels, Durations]>): void {
    this.#add(name, help, 'histogram', () =>
      [...read()].flatMap(([labels, durations]) => histogram(name, labels, durations)),
    );
  }

  /** @throws what reading throws. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #add(
    name: string,
    help: string,
    type: 'gauge' | 'counter' | 'histogram',
    read: () => readonly Value[] | Promise<readonly Value[]>,
  ): void {
    const metric = {
      name,
      help,
      type,
      aggregator: 'sum',
      get: async () => ({ name, help, type, values: await read() }),
    };
    // What the registry asks of a metric is all here; the package's types know its own classes only.
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}

function values(reading: Reading): Value[] {
  if (reading === null) return [];
  if (typeof reading === 'number') return [{ labels: {}, value: reading }];
  return [...reading].map(([labels, value]) => ({ labels, value }));
}

function histogram(name: string, labels: Labels, { boundsMs, buckets, count, sumMs }: Durations): Value[] {
  let below = 0;
  const bounds = [...boundsMs.map((bound) => String(bound / 1000)), '+Inf'];
  return [
    ...bounds.map((le, index) => {
      below += buckets[index]!;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
    }),
    { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
