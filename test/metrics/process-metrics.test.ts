import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { Exposition } from '../../src/metrics/exposition.ts';
import { processMetrics } from '../../src/metrics/process-metrics.ts';
import { parseExposition } from './parse.ts';

const BLOCKED_MS = 400;

describe('the delay of the event loop', () => {
  it('is its worst since the last scrape, and is forgotten with it', async () => {
    const metrics = new Exposition();
    const end = processMetrics(metrics);
    const worst = async () =>
      parseExposition(await metrics.text())
        .get('letterlock_event_loop_delay_seconds')!
        .samples.get('{quantile="1"}');
    await sleep(50);
    const until = performance.now() + BLOCKED_MS;
    while (performance.now() < until);
    await sleep(50);
    const [blocked, after] = [await worst(), await sleep(50).then(worst)];
    end();
    assert.ok(blocked! > (BLOCKED_MS - 50) / 1000, `${blocked} s`);
    assert.ok(after! < blocked! / 2, `${after} s`);
  });
});
