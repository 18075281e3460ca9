import { resolve } from 'node:path';
import type { Letterlock } from '../support/letterlock.ts';
import { runProgramWell } from '../support/run-program.ts';

const LETTERLOCK = resolve(import.meta.dirname, '../../scripts/letterlock');

/** Ids of mailboxes by the addresses of their users, from the running server. */
export async function mailboxIds({ data }: Letterlock): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await runProgramWell(LETTERLOCK, ['user', 'list', '--json', '--data', data]);
  const users: { address: string; mailbox: string }[] = JSON.parse(stdout.toString());
  return new Map(users.map(({ address, mailbox }) => [address, mailbox]));
}
