/** Which records of the key-use journal are wanted, and the directory's names for what stands in them. */
import { existsSync } from 'node:fs';
import type { Directory } from '../directory/directory.ts';
import { RefusedError } from '../errors.ts';
import type { MailboxId } from '../ids.ts';
import type { JournalRecord } from '../keys/journal-merge.ts';
import { UsageError } from './command.ts';

export interface FilterOptions {
  /** An id, or an address. */
  readonly mailbox: string | null;
  /** An id, or a name. */
  readonly organization: string | null;
  readonly principal: string | null;
  readonly events: readonly string[];
  /** Milliseconds since 1970. */
  readonly since: number | null;
  readonly until: number | null;
}

const EVENTS = ['intent', 'outcome', 'lease'];
const MAILBOX_ID = /^[0-9a-f]{32}$/;
const ORGANIZATION_ID = /^m-[0-9a-f]{32}$/;
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** UTC, unless an offset is given. @returns undefined for what is no time. */
export function parseTime(text: string): number | undefined {
  const parts = TIME.exec(text);
  if (parts === null) return undefined;
  const time = Date.parse(parts[1] === undefined || parts[4] !== undefined ? text : `${text}Z`);
  return Number.isNaN(time) ? undefined : time;
}

export class AuditFilter {
  readonly #mailbox: string | null;
  readonly #organization: string | null;
  readonly #principal: string | null;
  readonly #events: ReadonlySet<string>;
  readonly #since: number;
  readonly #until: number;

  /** @throws UsageError for an unknown event; RefusedError 'nonexistent' for a name that the directory does not have. */
  constructor(options: FilterOptions, names: AuditNames) {
    const unknown = options.events.find((event) => !EVENTS.includes(event));
    if (unknown !== undefined) throw new UsageError(`--event needs one of ${EVENTS.join(', ')}.`);
    this.#mailbox = options.mailbox === null ? null : names.mailboxOf(options.mailbox);
    this.#organization = options.organization === null ? null : names.organizationOf(options.organization);
    this.#principal = options.principal?.toLowerCase() ?? null;
    this.#events = new Set(options.events.length === 0 ? EVENTS : options.events);
    this.#since = options.since ?? Number.NEGATIVE_INFINITY;
    this.#until = options.until ?? Number.POSITIVE_INFINITY;
  }

  passes({ event, mailbox, organization, principal, at }: JournalRecord): boolean {
    const time = Date.parse(at);
    return (
      this.#events.has(event) &&
      (this.#mailbox === null || this.#mailbox === mailbox) &&
      (this.#organization === null || this.#organization === organization) &&
      (this.#principal === null || this.#principal === principal.toLowerCase()) &&
      time >= this.#since &&
      time < this.#until
    );
  }
}

/** The directory as it is now; what was removed from it has no name any more. Works without a directory too. */
export class AuditNames {
  readonly #directory: Directory | null;
  readonly #addresses = new Map<string, string | null>();

  static async open(file: string): Promise<AuditNames> {
    if (!existsSync(file)) return new AuditNames(null);
    const { Directory } = await import('../directory/directory.ts');
    return new AuditNames(Directory.openToRead(file));
  }

  private constructor(directory: Directory | null) {
    this.#directory = directory;
  }

  /** Primary address of the mailbox's user; null when nobody has it now. */
  addressOf(mailbox: string): string | null {
    let address = this.#addresses.get(mailbox);
    if (address === undefined) {
      address = this.#directory?.userOfMailbox(mailbox as MailboxId)?.address ?? null;
      this.#addresses.set(mailbox, address);
    }
    return address;
  }

  /** @throws RefusedError 'nonexistent'. */
  mailboxOf(idOrAddress: string): string {
    if (MAILBOX_ID.test(idOrAddress)) return idOrAddress;
    if (this.#directory === null) throw unknown('user');
    return this.#directory.user(idOrAddress).mailbox;
  }

  /** @throws RefusedError 'nonexistent'. */
  organizationOf(idOrName: string): string {
    if (ORGANIZATION_ID.test(idOrName)) return idOrName;
    if (this.#directory === null) throw unknown('organization');
    return this.#directory.organization(idOrName).id;
  }

  close(): void {
    this.#directory?.close();
  }
}

const unknown = (what: string): RefusedError =>
  new RefusedError('nonexistent', `There is no such ${what}: the data directory has no directory.db`);
