/**
 * What Node and the system know of this process. prom-client's default metrics would also count every handle and socket at
 * each scrape, which with thousands of connections keeps the event loop for milliseconds; these keep it for none.
 */
import { readdir } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { VERSION } from '../version.ts';
import type { Exposition, Sample } from './exposition.ts';

const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;
const RESOLUTION_MS = 10;

/** @returns what ends the measuring. */
export function processMetrics(metrics: Exposition): () => void {
  metrics.gauge('letterlock_build_info', 'Always 1; the version of the program and of Node.', () => [
    [{ version: VERSION, node: process.versions.node }, 1],
  ]);
  const startedAt = Date.now() / 1000 - process.uptime();
  metrics.gauge('process_start_time_seconds', 'When the process began, since 1970.', () => startedAt);
  metrics.counter('process_cpu_seconds_total', 'Processor time used, all threads.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / MICROSECONDS;
  });
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
  metrics.gauge('nodejs_heap_size_used_bytes', 'JavaScript objects.', () => process.memoryUsage().heapUsed);
  metrics.gauge('nodejs_external_memory_bytes', 'Buffers and other memory outside the heap.', () => {
    return process.memoryUsage().external;
  });
  metrics.gauge('process_open_fds', 'Open file descriptors.', async () => {
    return await readdir('/proc/self/fd').then(
      ({ length }) => length,
      () => null,
    );
  });

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  metrics.gauge(
    'letterlock_event_loop_delay_seconds',
    'How late the event loop was since the last scrape: quantiles, and 1 for the worst.',
    () => {
      // The histogram measures from tick to tick of a timer; what exceeds its period is delay.
      const late = (nanoseconds: number) => Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000);
      const samples: Sample[] =
        delay.count === 0
          ? []
          : [
              [{ quantile: '0.5' }, late(delay.percentile(50))],
              [{ quantile: '0.99' }, late(delay.percentile(99))],
              [{ quantile: '1' }, late(delay.max)],
            ];
      delay.reset();
      return samples;
    },
  );
  return () => void delay.disable();
}
