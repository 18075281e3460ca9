/** mbsync (isync) between the server and a Maildir. mbsync(1). */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Letterlock, LetterlockUser } from './letterlock.ts';
import { runProgramWell } from './run-program.ts';

export interface Mbsync {
  /** One synchronization, both ways, of all folders. @returns what it said, with `--debug-net` the whole conversation. */
  run(...options: string[]): Promise<string>;
  /** Paths of the messages of a folder in the Maildir; their names carry the flags. */
  files(folder?: string): Promise<string[]>;
  /** Gives a message these Maildir flags, such as `FS`, in alphabetical order. */
  setFlags(path: string, flags: string): Promise<void>;
  deleteFile(path: string): Promise<void>;
  /** The Maildir of a folder, made when missing. */
  makeFolder(folder: string): Promise<string>;
}

/** @param directory An empty one, which the caller removes. */
export async function makeMbsync(
  server: Letterlock,
  user: LetterlockUser,
  directory: string,
): Promise<Mbsync> {
  const maildir = join(directory, 'mail');
  const configuration = join(directory, 'mbsyncrc');
  await mkdir(maildir);
  await writeFile(configuration, channel(server, user, maildir), { mode: 0o600 });
  return {
    async run(...options) {
      const args = ['--config', configuration, '--quiet', ...options, '--all'];
      return (await runProgramWell('mbsync', args)).stdout.toString('latin1');
    },
    async files(folder = 'INBOX') {
      const lists = await Promise.all(
        ['cur', 'new'].map(async (sub) => {
          const path = join(maildir, folder, sub);
          return (await readdir(path)).map((name) => join(path, name));
        }),
      );
      return lists.flat();
    },
    setFlags: (path, flags) =>
      rename(path, path.replace('/new/', '/cur/').replace(/(?::2,[A-Z]*)?$/, `:2,${flags}`)),
    deleteFile: (path) => rm(path),
    async makeFolder(folder) {
      const path = join(maildir, folder);
      for (const sub of ['cur', 'new', 'tmp']) await mkdir(join(path, sub), { recursive: true });
      return path;
    },
  };
}

const channel = (server: Letterlock, user: LetterlockUser, maildir: string): string => `
IMAPAccount account
Host ${server.host}
Port ${server.ports.imaps}
User ${user.address}
Pass "${user.password}"
SSLType IMAPS
CertificateFile ${server.ca}

IMAPStore remote
Account account

MaildirStore local
Path ${maildir}/
Inbox ${maildir}/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
`;
