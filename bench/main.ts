/**
 * Measures Letterlock beside Postfix + Dovecot in one run: rounds are interleaved, so that what else the machine does
 * hits all alike. Run by bench/run, which has installed the peers.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { startPeer } from './dovecot.ts';
import { TLS_CIPHER } from './imap-client.ts';
import { startOurs } from './letterlock.ts';
import { printTable, type Row } from './table.ts';
import type { Target } from './target.ts';
import { median, type Scale, WORKLOADS, type Workload } from './workloads.ts';

const STARTERS: Readonly<Record<string, () => Promise<Target>>> = {
  letterlock: startOurs,
  plain: () => startPeer('plain'),
  'mail-crypt': () => startPeer('mail-crypt'),
};

const SHORT: Scale = {
  rounds: 3,
  deliveries: 500,
  folderMessages: 500,
  largeFolderMessages: 10_000,
  notifications: 10,
};
const FULL: Scale = {
  rounds: 7,
  deliveries: 3000,
  folderMessages: 3000,
  largeFolderMessages: 100_000,
  notifications: 30,
};

const HELP = `Usage: bench/run [--full] [--rounds N] [--large N] [--only TEXT] [--targets A,B,...] [--json] [--replace-mta]

  --full          more rounds and more messages: about half an hour instead of five minutes
  --large N       messages in the large folder
  --rounds N      rounds; the table shows their medians
  --only TEXT     only workloads with TEXT in their name
  --targets ...   of ${Object.keys(STARTERS).join(', ')}
  --json          print every sample as JSON instead of the table
  --replace-mta   let apt replace this machine's mail server by Postfix

Examples:
  bench/run
  bench/run --only FETCH --targets letterlock,plain
`;

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      full: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      large: { type: 'string' },
      only: { type: 'string', default: '' },
      targets: { type: 'string', default: Object.keys(STARTERS).join(',') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (options.help) return console.log(HELP);
  const chosen = options.full ? FULL : SHORT;
  const largeFolderMessages = Number(options.large ?? chosen.largeFolderMessages);
  const scale = { ...chosen, largeFolderMessages };
  const rounds = options.rounds === undefined ? scale.rounds : Number(options.rounds);
  const workloads = WORKLOADS.filter(({ name }) => name.includes(options.only));

  const targets: Target[] = [];
  try {
    for (const name of options.targets.split(',')) {
      const start = STARTERS[name];
      if (start === undefined) throw new Error(`There is no target ${name}.`);
      targets.push(await start());
    }
    const rows: Row[] = [];
    for (const workload of workloads)
      rows.push(...(await runWorkload(workload, targets, { ...scale, rounds })));
    if (options.json) console.log(JSON.stringify(rows));
    else report(rows, targets, rounds);
  } finally {
    for (const target of targets) await target.stop();
  }
}

/** Every round measures each target, a different one first each time. */
async function runWorkload(workload: Workload, targets: readonly Target[], scale: Scale): Promise<Row[]> {
  const rows = workload.measures.map((measure) => ({
    measure,
    samples: targets.map((): number[] => []),
  }));
  for (const target of targets) await workload.prepare?.(target, scale);
  for (let round = 0; round < scale.rounds; round++) {
    for (let turn = 0; turn < targets.length; turn++) {
      const index = (round + turn) % targets.length;
      const target = targets[index]!;
      const results = await workload.measure(target, scale);
      for (const [measure, row] of rows.entries()) row.samples[index]!.push(results[measure]!);
      console.error(
        `${workload.name}, round ${round + 1}, ${target.name}: ${results.map((value) => value.toFixed(1)).join(', ')}`,
      );
    }
  }
  return rows.map(({ measure, samples }) => ({ measure, samples, medians: samples.map(median) }));
}

function report(rows: readonly Row[], targets: readonly Target[], rounds: number): void {
  console.log(
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version} as client on the same cores.`,
  );
  console.log(
    `Medians of ${rounds} interleaved rounds. SMTP in clear, TLS is 1.3 with ${TLS_CIPHER}; warm caches.`,
  );
  for (const { name, versions, promises } of targets) console.log(`${name}: ${versions}; ${promises}.`);
  console.log();
  printTable(rows, targets);
}

await main();
