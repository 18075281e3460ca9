/** Letterlock as the benchmark's target: its defaults, started as a user starts it. */
import { readFileSync } from 'node:fs';
import { startLetterlock } from '../test/support/letterlock.ts';
import { type Target, USERS } from './target.ts';

export async function startOurs(): Promise<Target> {
  const server = await startLetterlock({
    domain: 'bench.test',
    users: USERS,
    password: 'bench-password',
    config: { plaintextAuthNetworks: ['127.0.0.0/8'] }, // for the FETCH in clear
  });
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return {
    name: 'Letterlock',
    versions: `Letterlock ${version} on Node ${process.version}`,
    promises:
      "250 after the accept journal's fdatasync, when the message is in the mailbox already; bodies, headers and what is known of them are sealed",
    smtpPort: server.ports.mx,
    imapsPort: server.ports.imaps,
    imapPort: server.ports.imap,
    users: server.users.filter(({ address }) => /^u\d+@/.test(address)),
    stop: () => server.stop(),
  };
}
