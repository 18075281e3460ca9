/** Reads Prometheus' text format as a scraper does, and refuses what it would refuse. */
import assert from 'node:assert/strict';

export interface Scraped {
  readonly type: string;
  /** By the labels as they are written, `{a="b"}` or ''. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(\\{(?:${NAME}="(?:[^"\\\\\\n]|\\\\.)*",?)*\\})? (\\S+)$`);
const SUFFIX = /_(bucket|sum|count)$/;

/** @throws AssertionError for a line that is none, a sample without its TYPE, one that is there twice. */
export function parseExposition(text: string): ReadonlyMap<string, Scraped> {
  assert.ok(text.endsWith('\n'));
  const metrics = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let help: [string, string] | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, what, name, rest] = comment;
      if (what === 'HELP') help = [name!, rest!];
      else {
        assert.equal(help?.[0], name, 'HELP stands before TYPE');
        assert.ok(!metrics.has(name!), `${name} is there once`);
        metrics.set(name!, { type: rest!, help: help![1], samples: new Map() });
      }
      continue;
    }
    const [, name, labels = '', value] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
    const metric = metrics.get(name!) ?? metrics.get(name!.replace(SUFFIX, ''));
    assert.ok(metric, `${name} has a TYPE`);
    const key = metrics.has(name!) ? labels : `${SUFFIX.exec(name!)![0]}${labels}`;
    assert.ok(!metric.samples.has(key), `${line} is there once`);
    assert.ok(!Number.isNaN(Number(value)), line);
    metric.samples.set(key, Number(value));
  }
  return metrics;
}
