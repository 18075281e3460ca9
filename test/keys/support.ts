/** What the tests of keys share: directories, a clock that stands still, keyrings over the local key service. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MailboxId, OrganizationId } from '../../src/ids.ts';
import { newMailboxId, newOrganizationId } from '../../src/ids.ts';
import type { Clock } from '../../src/keys/clock.ts';
import { DEFAULT_CONTEXT_OPTIONS } from '../../src/keys/context.ts';
import { Keyring, type KeyringOptions, type OwnerRequest } from '../../src/keys/keyring.ts';
import { LocalKeyService } from '../../src/keys/local-service.ts';
import type { KeyService } from '../../src/keys/service.ts';
import type { JournalFile } from '../../src/keys/use-journal.ts';

/** A new directory, removed after the test file (`after(cleanUp)`). */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'letterlock-keys-'));
  directories.push(path);
  return path;
}

export async function cleanUp(): Promise<void> {
  for (const path of directories.splice(0)) await rm(path, { recursive: true, force: true });
}

const directories: string[] = [];

/** Time passes by `advance` alone, which also calls what is due, in order. */
export class StandingClock implements Clock {
  #now = Date.UTC(2027, 0, 1);
  #timers: { at: number; callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#now = due.at;
      due.callback();
    }
    this.#now = end;
  }

  /** Wall time changes; timers do not notice. */
  setBack(ms: number): void {
    this.#now -= ms;
    this.#timers = this.#timers.map((timer) => ({ ...timer, at: timer.at - ms }));
  }

  get timers(): number {
    return this.#timers.length;
  }
}

let boots = 0;

export interface OpenedKeyring {
  readonly keyring: Keyring;
  readonly directory: string;
  readonly bootId: string;
  readonly journal: string;
}

/** A keyring over the local service; `service` wraps it, `directory` reopens an old one. */
export async function openKeyring(
  options: Partial<Omit<KeyringOptions, 'service'>> & { service?: (local: KeyService) => KeyService } = {},
): Promise<OpenedKeyring> {
  const { directory = temporaryDirectory(), service = (local) => local, ...others } = options;
  const local = await LocalKeyService.open({ path: join(directory, 'root.key'), mayCreate: true });
  const bootId = `boot-${++boots}`;
  const keyring = await Keyring.open({
    directory,
    service: service(local),
    context: DEFAULT_CONTEXT_OPTIONS,
    recipientType: 'x25519',
    bootId,
    ...others,
  });
  return { keyring, directory, bootId, journal: join(directory, 'journal', `use-${bootId}.log`) };
}

export interface Tenant {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
}

/** An organization with one mailbox, keys made. */
export async function createTenant(keyring: Keyring): Promise<Tenant> {
  const organization = newOrganizationId();
  const mailbox = newMailboxId();
  await keyring.createOrganizationKeys(organization, undefined, 'admin');
  await keyring.createMailboxKeys({ organization, mailbox, principal: 'admin' });
  return { organization, mailbox };
}

export const ownerRequest = ({ organization, mailbox }: Tenant): OwnerRequest => ({
  organization,
  mailbox,
  quotaOctets: null,
  principal: 'u0001@demo.test',
  protocol: 'imap',
  address: '192.0.2.1',
  reason: 'login',
});

/** A key service that asks `before` first, for faults and observations. */
export function observed(
  service: KeyService,
  before: (call: 'wrap' | 'unwrap') => void | Promise<void>,
): KeyService {
  return {
    name: service.name,
    defaultKeyId: service.defaultKeyId,
    async wrap(...args) {
      await before('wrap');
      return service.wrap(...args);
    },
    async unwrap(...args) {
      await before('unwrap');
      return service.unwrap(...args);
    },
    rewrap: (...args) => service.rewrap(...args),
    describe: (...args) => service.describe(...args),
  };
}

/** A journal file on a disk that can be made to fail. */
export class FaultyFile implements JournalFile {
  readonly #file: FileHandle;
  /** Octets that the disk still has room for beyond what is written; overwriting takes none. */
  roomOctets = Number.POSITIVE_INFINITY;
  /** `write`: every write fails. `sync`: writes succeed and syncs fail. */
  fault: 'none' | 'write' | 'sync' = 'none';
  syncs = 0;
  #size = 0;

  static async open(path: string): Promise<FaultyFile> {
    return new FaultyFile(await open(path, 'wx', 0o600));
  }

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(octets: Uint8Array, offset: number, length: number, position: number) {
    if (this.fault === 'write') throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
    const growth = position + length - this.#size;
    if (growth > this.roomOctets) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
    const result = await this.#file.write(octets, offset, length, position);
    if (growth > 0) {
      this.roomOctets -= growth;
      this.#size += growth;
    }
    return result;
  }

  async datasync(): Promise<void> {
    if (this.fault === 'sync') throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    this.syncs += 1;
    await this.#file.datasync();
  }

  async truncate(length: number): Promise<void> {
    await this.#file.truncate(length);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The records that stand in a journal file now, whole lines only. */
export function journalRecords(path: string): Record<string, unknown>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
