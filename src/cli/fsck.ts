/** `letterlock fsck`: the store, the key store and the directory, each by itself and against the others. */
import type { User } from '../directory/types.ts';
import { IntegrityError } from '../errors.ts';
import type { MailboxId } from '../ids.ts';
import type { StoreProblem } from '../store/embedded/fsck.ts';
import type { RebuildReport } from '../store/embedded/rebuild.ts';
import type { OwnerHandle } from '../store/handles.ts';
import { type CommandTable, EXIT_DONE, EXIT_FAILED, type OptionValues } from './command.ts';
import { CONFIG_OPTIONS, JSON_OPTION, loadOfflineConfig } from './common-options.ts';
import { type Columns, printTable } from './output.ts';
import type { Parts } from './parts.ts';

interface Problem {
  readonly mailbox: MailboxId | null;
  readonly kind: StoreProblem['kind'] | 'mailbox-missing' | 'mailbox-unowned' | 'locked' | 'key';
  readonly detail: string;
}

interface Report {
  readonly problems: readonly Problem[];
  readonly rebuilt: readonly RebuildReport[];
  readonly checked: { readonly mailboxes: number; readonly messages: number; readonly opened: number };
}

const COLUMNS: Columns<Problem> = {
  mailbox: ({ mailbox }) => mailbox,
  problem: ({ kind }) => kind,
  detail: ({ detail }) => detail,
};

export const fsckCommands: CommandTable = {
  fsck: {
    summary: 'check what is stored; no server may run',
    operands: [],
    options: {
      ...CONFIG_OPTIONS,
      keys: { help: 'open every message too; the key service is asked for every mailbox' },
      rebuild: { help: 'make a new index where one is missing or damaged; implies --keys' },
      user: { value: 'ADDRESS', help: 'only the mailbox of this user' },
      ...JSON_OPTION,
    },
    details: [
      'Ends with 1 when there are problems. --rebuild places messages as the last snapshot had them, and those that it',
      'does not know in the folder Recovered.',
    ].join('\n'),
    examples: [
      'fsck --config /etc/letterlock.yaml',
      'fsck --keys --user alice@example.com',
      'fsck --rebuild',
    ],
    async run({ options, terminal: { stdout } }) {
      const report = await check(options);
      const { problems, rebuilt, checked } = report;
      if (options.flag('json')) stdout.write(`${JSON.stringify(report)}\n`);
      else {
        printTable(stdout, problems, COLUMNS);
        for (const { mailbox, placed, recovered, unopenable } of rebuilt) {
          stdout.write(
            `Rebuilt mailbox ${mailbox}: ${placed} in place, ${recovered} in Recovered, ${unopenable} lost.\n`,
          );
        }
        const { mailboxes, messages, opened } = checked;
        stdout.write(
          `Problems: ${problems.length}. Checked mailboxes: ${mailboxes}, messages: ${messages}, opened: ${opened}.\n`,
        );
      }
      return problems.length === 0 ? EXIT_DONE : EXIT_FAILED;
    },
  },
};

async function check(options: OptionValues): Promise<Report> {
  const config = await loadOfflineConfig(options);
  const [{ openAlone }, { fsck, listMailboxes }] = await Promise.all([
    import('./alone.ts'),
    import('../store/embedded/fsck.ts'),
  ]);
  const parts = await openAlone(config);
  try {
    await parts.store.close(); // puts what the accept journal holds in its place; the lock stays ours
    const address = options.text('user');
    const rebuild = options.flag('rebuild');
    const isOpening = rebuild || options.flag('keys');
    const stored = listMailboxes(config.dataDirectory);
    const users = address === null ? parts.directory.users() : [parts.directory.user(address)];
    const wanted = address === null ? stored : stored.filter((mailbox) => mailbox === users[0]!.mailbox);

    const queues = address === null ? queueMailboxes(parts) : [];
    const problems: Problem[] = [...missingMailboxes(users, queues, stored), ...keyProblems(parts)];
    const rebuilt: RebuildReport[] = [];
    const checked = { mailboxes: 0, messages: 0, opened: 0 };
    for (const mailbox of wanted) {
      const owner = ownerOf(parts, mailbox);
      if (owner === null)
        problems.push({ mailbox, kind: 'mailbox-unowned', detail: 'no user, or no key, has it' });
      const isLocked = owner !== null && isLockedMailbox(parts, owner);
      if (isLocked && isOpening)
        problems.push({ mailbox, kind: 'locked', detail: 'checked without its keys' });
      const report = await fsck(config.dataDirectory, {
        mailbox,
        owner: owner !== null && isOpening && !isLocked ? () => owner : null,
        rebuild,
      });
      parts.keyring.endLease(mailbox);
      problems.push(...report.problems);
      rebuilt.push(...report.rebuilt);
      checked.mailboxes += report.checked.mailboxes;
      checked.messages += report.checked.messages;
      checked.opened += report.checked.opened;
    }
    return { problems, rebuilt, checked };
  } finally {
    await parts.close();
  }
}

/** Neither opened nor given a new index: fsck is no way around a lock. */
function isLockedMailbox({ keyring }: Parts, { organization, mailbox }: OwnerHandle): boolean {
  const { mailbox: own, organization: all } = keyring.locks.of(organization, mailbox);
  return own !== null || all !== null;
}

const queueMailboxes = ({ directory }: Parts): MailboxId[] =>
  directory.organizations().flatMap(({ id }) => directory.queueMailbox(id) ?? []);

function missingMailboxes(
  users: readonly User[],
  queues: readonly MailboxId[],
  stored: readonly MailboxId[],
): Problem[] {
  const known = new Set(stored);
  const missing = (mailbox: MailboxId, detail: string): Problem[] =>
    known.has(mailbox) ? [] : [{ mailbox, kind: 'mailbox-missing', detail }];
  return [
    ...users
      .filter(({ state }) => state === 'active' || state === 'disabled')
      .flatMap(({ mailbox }) => missing(mailbox, 'its user has no mailbox directory')),
    ...queues.flatMap((mailbox) => missing(mailbox, 'the queue of an organization has no mailbox directory')),
  ];
}

const keyProblems = ({ keyring }: Parts): Problem[] =>
  keyring.verify().map(({ organization, mailbox, epoch, sentence }) => ({
    mailbox: mailbox as MailboxId | null,
    kind: 'key',
    detail: [epoch === null ? organization : `epoch ${epoch}`, sentence]
      .filter((part) => part !== null)
      .join(': '),
  }));

/** @returns null when there is no user, or no verified key, for the mailbox. */
function ownerOf({ directory, keyring }: Parts, mailbox: MailboxId): OwnerHandle | null {
  const queueOf = directory.organizationOfQueue(mailbox);
  const organization = queueOf ?? directory.userOfMailbox(mailbox)?.organization;
  if (organization === undefined) return null;
  try {
    return keyring.ownerHandle({
      organization,
      mailbox,
      quotaOctets: null,
      principal: 'administrator',
      protocol: 'admin',
      address: '',
      reason: 'fsck',
      isBackground: true,
      purpose: queueOf === null ? 'mailbox' : 'queue',
    });
  } catch (error) {
    if (error instanceof IntegrityError) return null;
    throw error;
  }
}
