/**
 * A private Postfix: own configuration, queue and port, beside whatever mail server the machine has. It takes mail on
 * 127.0.0.1 and hands everything for one domain to one next hop. postconf(5), master(5).
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runAsRoot } from './as-root.ts';
import { startDaemon } from './daemon.ts';
import { freePort } from './free-ports.ts';
import { makeScratch } from './scratch.ts';

export interface PostfixOptions {
  /** The domain that is handed on; mail for any other is refused. */
  readonly domain: string;
  /** A transport and next hop as transport(5) writes them: `smtp:[127.0.0.1]:2025`, `lmtp:inet:127.0.0.1:2024`. */
  readonly nextHop: string;
  /** More lines of main.cf; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Postfix {
  readonly port: number;
  readonly pid: number;
  /** Hands a message to the queue with this Postfix's own sendmail(1); resolves when it is queued. */
  submit(message: string | Uint8Array, from: string, to: readonly string[]): Promise<void>;
  /** What lies in the queue, as postqueue(1) -j prints it: one JSON object a line; '' when it is empty. */
  queue(): Promise<string>;
  stop(): Promise<void>;
}

/** @throws Error with the end of its log when it does not start. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const directory = await makeScratch('postfix');
  await chmod(directory, 0o755); // Postfix's own user must be able to walk through it
  const config = join(directory, 'etc');
  const log = join(directory, 'log');
  const port = await freePort();

  await mkdir(config);
  await writeFile(join(config, 'main.cf'), mainConfiguration(directory, options));
  await writeFile(join(config, 'master.cf'), serviceTable(port));
  await runAsRoot('install', '-d', '-o', 'root', join(directory, 'queue'));
  await runAsRoot('install', '-d', '-o', 'postfix', join(directory, 'data'));
  await runAsRoot('chown', '-R', 'root', config);
  await runAsRoot('/usr/sbin/postfix', '-c', config, 'check'); // makes the queue's directories
  // Not `postfix start-fg`: unless that is process 1, the master outlives it.
  const master = join(
    (await runAsRoot('/usr/sbin/postconf', '-hc', config, 'daemon_directory')).trim(),
    'master',
  );
  const daemon = await startDaemon([master, '-c', config, '-d'], port, log);

  return {
    port,
    pid: daemon.pid,
    submit: (message, from, to) =>
      new Promise((resolve, reject) => {
        const child = execFile('/usr/sbin/sendmail', ['-C', config, '-i', '-f', from, ...to], (error) =>
          error === null ? resolve() : reject(error),
        );
        child.stdin!.end(message);
      }),
    queue: () => runAsRoot('/usr/sbin/postqueue', '-c', config, '-j'),
    async stop() {
      await daemon.stop();
      await runAsRoot('rm', '-rf', directory);
    },
  };
}

function mainConfiguration(directory: string, { domain, nextHop, settings }: PostfixOptions): string {
  const lines: Record<string, string> = {
    compatibility_level: '3.6',
    queue_directory: join(directory, 'queue'),
    data_directory: join(directory, 'data'),
    maillog_file: join(directory, 'log'),
    maillog_file_prefixes: directory,
    myhostname: 'mta.test',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    mydestination: '',
    local_recipient_maps: '',
    alias_maps: '',
    relay_domains: domain,
    relay_transport: nextHop,
    smtpd_relay_restrictions: 'reject_unauth_destination',
    smtpd_peername_lookup: 'no', // the machine may have no name server
    smtp_dns_support_level: 'disabled',
    ...settings,
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}

/** As Debian's, without chroot: next hops may be Unix sockets anywhere. */
const serviceTable = (port: number): string => `
127.0.0.1:${port} inet n - n - - smtpd
pickup   unix  n - n 60    1 pickup
cleanup  unix  n - n -     0 cleanup
qmgr     unix  n - n 300   1 qmgr
tlsmgr   unix  - - n 1000? 1 tlsmgr
rewrite  unix  - - n -     - trivial-rewrite
bounce   unix  - - n -     0 bounce
defer    unix  - - n -     0 bounce
trace    unix  - - n -     0 bounce
verify   unix  - - n -     1 verify
flush    unix  n - n 1000? 0 flush
proxymap unix  - - n -     - proxymap
smtp     unix  - - n -     - smtp
relay    unix  - - n -     - smtp
showq    unix  n - n -     - showq
error    unix  - - n -     - error
retry    unix  - - n -     - error
discard  unix  - - n -     - discard
lmtp     unix  - - n -     - lmtp
anvil    unix  - - n -     1 anvil
scache   unix  - - n -     1 scache
postlog  unix-dgram n - n - 1 postlogd
`;
