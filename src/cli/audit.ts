/** `letterlock audit`: what the key-use journals say, and whether they still say it. Reads files, whether a server runs or not. */
import { once } from 'node:events';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Config } from '../config/load.ts';
import type { AuditNote, AuditProblem, AuditReport } from '../keys/audit.ts';
import type { JournalRecord } from '../keys/journal-merge.ts';
import { KIB } from '../limits.ts';
import { AuditFilter, AuditNames, parseTime } from './audit-filter.ts';
import { type CommandTable, EXIT_DONE, EXIT_FAILED, type OptionValues, UsageError } from './command.ts';
import { CONFIG_OPTIONS, JSON_OPTION, loadOfflineConfig, ORG_FILTER } from './common-options.ts';
import { type Columns, printable, printTable } from './output.ts';
import { carryOut } from './reach.ts';

const PROBLEMS: Columns<AuditProblem> = {
  file: ({ file }) => file,
  line: ({ line }) => line,
  problem: ({ kind }) => kind,
  detail: ({ detail }) => detail,
};

const NOTES: Columns<AuditNote> = {
  file: ({ file }) => file,
  line: ({ line }) => line,
  note: ({ kind }) => kind,
  detail: ({ kind, at }) =>
    kind === 'torn'
      ? 'the end of the file is no whole line: a crash, or a cut'
      : `the use that began ${at} has no outcome: under way, a crash, or a cut`,
};

export const auditCommands: CommandTable = {
  'audit verify': {
    summary: 'check the key-use journals against checkpoints',
    operands: [],
    options: {
      checkpoint: { value: 'FILE', help: 'checkpoints that were kept elsewhere, or log lines with them' },
      key: { value: 'PUBLICKEY', help: 'the key that must have signed them, as audit key prints it' },
      since: { value: 'TIME', help: 'journals that had ended by then may have been removed' },
      ...CONFIG_OPTIONS,
      ...JSON_OPTION,
    },
    details: [
      'Ends with 1 when something was changed, cut, removed or put in. A server may run. Without --checkpoint the',
      'checkpoints beside the journals are all there is, and whoever can change the one can change the other.',
    ].join('\n'),
    examples: [
      'audit verify --config /etc/letterlock.yaml',
      'audit verify --checkpoint /mnt/elsewhere/checkpoints.log --key 3b6a27bc...',
    ],
    async run({ options, terminal: { stdout } }) {
      const config = await loadOfflineConfig(options);
      const { audit } = await import('../keys/audit.ts');
      const report = await audit({
        directory: config.keysDirectory,
        given: options.text('checkpoint'),
        key: publicKey(options),
        since: timeOption(options, 'since'),
      });
      if (options.flag('json')) stdout.write(`${JSON.stringify(report)}\n`);
      else printReport(stdout, report, options.text('key') !== null);
      return report.problemCount === 0 ? EXIT_DONE : EXIT_FAILED;
    },
  },
  'audit show': {
    summary: 'show who used which key, when and why',
    operands: [],
    options: {
      mailbox: { value: 'MAILBOX', help: 'only of this mailbox: its id, or an address of its user' },
      ...ORG_FILTER,
      principal: { value: 'NAME', help: 'only by this address or service' },
      event: { value: 'EVENT', isRepeatable: true, help: 'only intent, outcome or lease' },
      since: { value: 'TIME', help: 'such as 2027-01-31 or 2027-01-31T12:00, in UTC' },
      until: { value: 'TIME', help: 'up to, and without, this time' },
      ...CONFIG_OPTIONS,
      ...JSON_OPTION,
    },
    details: [
      'The records of all journals in the order of their time; --json prints them as they are, one a line. A server may',
      'run. Nothing is checked: audit verify does.',
    ].join('\n'),
    examples: [
      'audit show --mailbox alice@example.com --since 2027-01-01',
      'audit show --event lease --json',
    ],
    async run({ options, terminal: { stdout, stderr } }) {
      const config = await loadOfflineConfig(options);
      return await show(config, options, stdout, stderr);
    },
  },
  'audit checkpoint': {
    summary: 'make a checkpoint of the key-use journals, and print the newest',
    operands: [],
    options: CONFIG_OPTIONS,
    details: 'A line, to be kept where the administrator of this machine cannot change it.',
    examples: ["audit checkpoint | ssh audit@elsewhere.example 'cat >> letterlock-checkpoints'"],
    async run({ options, terminal: { stdout, stderr } }) {
      const config = await loadOfflineConfig(options);
      const [made] = (await carryOut(config, 'audit checkpoint', {})) as { checkpoint: string }[];
      // Standard output may be on its way to where checkpoints are kept.
      if (made === undefined)
        stderr.write('letterlock: No key was used yet: there is nothing to vouch for.\n');
      else stdout.write(`${made.checkpoint}\n`);
      return EXIT_DONE;
    },
  },
  'audit key': {
    summary: 'print the public key that signs the checkpoints',
    operands: [],
    options: CONFIG_OPTIONS,
    details: 'Keep it elsewhere, for audit verify --key.',
    examples: ['audit key --config /etc/letterlock.yaml'],
    async run({ options, terminal: { stdout } }) {
      const { keysDirectory } = await loadOfflineConfig(options);
      const { readCheckpointKey } = await import('../keys/checkpoint-writer.ts');
      stdout.write(`${(await readCheckpointKey(keysDirectory)).publicKey}\n`);
      return EXIT_DONE;
    },
  },
};

function printReport(stdout: Writable, report: AuditReport, isKeyPinned: boolean): void {
  const { problems, notes, problemCount, noteCount, checked, vouching, key } = report;
  printTable(stdout, problems, PROBLEMS);
  if (problems.length > 0 && notes.length > 0) stdout.write('\n');
  printTable(stdout, notes, NOTES);
  stdout.write(
    `Problems: ${problemCount}, notes: ${noteCount}. Checked journals: ${checked.journals}, records: ${checked.records}, checkpoints: ${checked.checkpoints}.\n`,
  );
  if (vouching === null) {
    stdout.write('There is no checkpoint: nothing vouches for the ends of the journals.\n');
    return;
  }
  const { seq, at, isGiven, records } = vouching;
  const after = checked.records - records;
  stdout.write(`Vouches up to the checkpoint of ${at} (number ${seq}): ${records} records. `);
  stdout.write(
    after === 1
      ? '1 record is chained but not vouched for.\n'
      : `${after} records are chained but not vouched for.\n`,
  );
  if (!isGiven) {
    stdout.write(
      'That checkpoint lies beside the journals: give one that left this machine (--checkpoint).\n',
    );
  }
  if (!isKeyPinned) stdout.write(`It is signed by ${key}: compare, or give the key (--key).\n`);
}

/** @throws as the file system does; UsageError. */
async function show(
  config: Config,
  options: OptionValues,
  stdout: Writable,
  stderr: Writable,
): Promise<typeof EXIT_DONE> {
  const { journalRecords } = await import('../keys/journal-merge.ts');
  const names = await AuditNames.open(join(config.dataDirectory, 'directory.db'));
  try {
    const filter = new AuditFilter(
      {
        mailbox: options.text('mailbox'),
        organization: options.text('org'),
        principal: options.text('principal'),
        events: options.texts('event'),
        since: timeOption(options, 'since'),
        until: timeOption(options, 'until'),
      },
      names,
    );
    const isJson = options.flag('json');
    let unreadable = 0;
    let text = '';
    const records = journalRecords(config.keysDirectory, () => {
      unreadable += 1;
    });
    for await (const record of records) {
      if (!filter.passes(record)) continue;
      text += `${isJson ? JSON.stringify(record) : sentence(record, names)}\n`;
      if (text.length < OUTPUT_CHARS) continue;
      if (!stdout.write(text)) await once(stdout, 'drain');
      text = '';
    }
    stdout.write(text);
    if (unreadable > 0) {
      stderr.write(`letterlock: Lines that are no records: ${unreadable}. audit verify says where.\n`);
    }
    return EXIT_DONE;
  } finally {
    names.close();
  }
}

const OUTPUT_CHARS = 64 * KIB;

/** Time, who, protocol, address, what, whose, how it came about or ended. */
function sentence(record: JournalRecord, names: AuditNames): string {
  const { at, principal, protocol, address, mailbox, organization, epoch, purpose, reason } = record;
  const owner = mailbox === undefined ? null : names.addressOf(mailbox);
  const whose =
    mailbox === undefined
      ? `organization ${organization}`
      : `mailbox ${mailbox}${owner === null ? '' : ` (${owner})`}`;
  const fields = [
    at,
    principal,
    protocol,
    address === '' ? '-' : address,
    what(record),
    whose,
    ...(epoch === undefined ? [] : [`epoch ${epoch}`]),
    ...(purpose === 'mailbox' ? [] : [`purpose ${purpose}`]),
    `reason ${reason}`,
    ...(record.requestId === undefined ? [] : [`request ${record.requestId}`]),
  ];
  return fields.map((field) => printable(String(field))).join('  ');
}

function what({ event, operation, outcome, source, seq, intent }: JournalRecord): string {
  switch (event) {
    case 'intent':
      return `${operation} begins (${seq})`;
    case 'outcome':
      return `${operation} ended: ${outcome} (${intent})`;
    case 'lease':
      return `lease from ${source}`;
    default:
      return String(event satisfies never);
  }
}

/** @throws UsageError. */
function publicKey(options: OptionValues): string | null {
  const given = options.text('key');
  if (given !== null && !/^[0-9a-f]{64}$/i.test(given)) {
    throw new UsageError('--key needs the 64 hex digits that audit key prints.');
  }
  return given?.toLowerCase() ?? null;
}

/** @throws UsageError. */
function timeOption(options: OptionValues, name: 'since' | 'until'): number | null {
  const given = options.text(name);
  const time = given === null ? null : parseTime(given);
  if (time === undefined) {
    throw new UsageError(`--${name} needs a time such as 2027-01-31 or 2027-01-31T12:00Z.`);
  }
  return time;
}
