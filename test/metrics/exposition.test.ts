import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Exposition } from '../../src/metrics/exposition.ts';
import { Durations } from '../../src/tally.ts';
import { parseExposition } from './parse.ts';

describe('metrics in text format', () => {
  it('are read at each scrape, and those without a value now have none', async () => {
    const metrics = new Exposition();
    let count = 0;
    metrics.counter('a_total', 'Counts.', () => ++count);
    metrics.gauge('b_seconds', 'None.', () => null);
    metrics.gauge('c', 'Later.', async () => [[{ part: 'x"\n\\' }, 1]]);
    await metrics.text();
    assert.equal(
      await metrics.text(),
      [
        ...['# HELP a_total Counts.', '# TYPE a_total counter', 'a_total 2', ''],
        ...['# HELP b_seconds None.', '# TYPE b_seconds gauge', ''],
        ...['# HELP c Later.', '# TYPE c gauge', 'c{part="x\\"\\n\\\\"} 1', ''],
      ].join('\n'),
    );
  });

  it('have durations in cumulative buckets, in seconds', async () => {
    const durations = new Durations([1, 10]);
    for (const ms of [0, 1, 1.5, 10, 11]) durations.add(ms);
    const metrics = new Exposition();
    metrics.durations('d_seconds', 'Took.', () => [[{ command: 'NOOP' }, durations]]);
    const { type, samples } = parseExposition(await metrics.text()).get('d_seconds')!;
    assert.equal(type, 'histogram');
    assert.deepEqual(Object.fromEntries(samples), {
      '_bucket{command="NOOP",le="0.001"}': 2,
      '_bucket{command="NOOP",le="0.01"}': 4,
      '_bucket{command="NOOP",le="+Inf"}': 5,
      '_sum{command="NOOP"}': 0.0235,
      '_count{command="NOOP"}': 5,
    });
  });
});
