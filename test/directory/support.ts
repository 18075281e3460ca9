/** What the tests of the directory share: a directory in a directory of its own, a clock that only moves when told. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Directory } from '../../src/directory/directory.ts';
import type { Organization, Resolution, User } from '../../src/directory/types.ts';

const directories: string[] = [];

/** A new directory, removed after the test file (`after(cleanUp)`). */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'letterlock-directory-'));
  directories.push(path);
  return path;
}

export async function cleanUp(): Promise<void> {
  for (const path of directories.splice(0)) await rm(path, { recursive: true, force: true });
}

/** A directory with the organization Demo, its domain demo.test and nobody in it. */
export function newDirectory(): { directory: Directory; organization: Organization } {
  const directory = Directory.open(join(temporaryDirectory(), 'directory.db'));
  const organization = directory.createOrganization('Demo', null);
  directory.createDomain(organization.id, 'demo.test');
  return { directory, organization };
}

/** Active users without a password, by name or address. */
export function addUsers(directory: Directory, ...names: readonly string[]): User[] {
  const users = directory.createUsers(
    names.map((name) => ({ address: name.includes('@') ? name : `${name}@demo.test`, passwordHash: null })),
  );
  directory.setUserStates(
    users.map(({ id }) => id),
    'active',
  );
  return users.map(({ address }) => directory.user(address));
}

/** The users that mail to an address reaches, by local part and in order; else the kind of the resolution. */
export function reached(directory: Directory, address: string): string {
  const resolution: Resolution = directory.resolve(address);
  if (resolution.kind !== 'local') return resolution.kind;
  return resolution.mailboxes
    .map(({ mailbox }) => directory.userOfMailbox(mailbox)!.address.split('@')[0]!)
    .sort()
    .join(' ');
}

/** Waiting takes no time but the clock's own. */
export class StandingClock {
  ms = 0;
  /** Every wait of more than 0 ms, in order. */
  readonly waits: number[] = [];

  readonly now = (): number => this.ms;

  readonly wait = async (ms: number): Promise<void> => {
    if (ms === 0) return;
    this.waits.push(ms);
    this.ms += ms;
  };
}
