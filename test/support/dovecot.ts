/**
 * A private Dovecot 2.3 from Debian's packages, with its defaults where it matters, beside whatever mail server the
 * machine has: the peer of benchmarks, and of tests that compare answers.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runAsRoot } from './as-root.ts';
import { startDaemon } from './daemon.ts';
import { freePort } from './free-ports.ts';
import { makeScratch } from './scratch.ts';

/** P-256, for which OpenSSL has its fastest code; secp521r1, of mail-crypt's documentation, costs the peer more. */
export const CURVE = 'prime256v1';
/** Mail belongs to a user that exists everywhere; Dovecot refuses to use its own. */
const MAIL_USER = 'nobody';

export type Sealing = 'plain' | 'mail-crypt';

export interface DovecotUser {
  readonly address: string;
  readonly password: string;
}

export interface DovecotOptions {
  /**
   * `mail-crypt`: one key pair a user, whose private half is encrypted with the user's password, as its documentation
   * recommends.
   */
  readonly sealing: Sealing;
  readonly users: readonly DovecotUser[];
  /** Whether it takes mail by LMTP, from Debian's Postfix. */
  readonly lmtp: boolean;
}

export interface Dovecot {
  readonly version: string;
  /** Allows LOGIN without TLS. */
  readonly imapPort: number;
  readonly imapsPort: number;
  /** Its socket, for Postfix's `lmtp:unix:`. */
  readonly lmtpSocket: string;
  /** Removes what it keeps of a user's messages beside them, as if none had ever been listed. */
  forgetHeaders(address: string): Promise<void>;
  stop(): Promise<void>;
}

/** @throws Error when the installed Dovecot is not 2.3 (later ones read another configuration), or does not start. */
export async function startDovecot({ sealing, users, lmtp }: DovecotOptions): Promise<Dovecot> {
  const version = (await runAsRoot('dovecot', '--version')).trim();
  if (!version.startsWith('2.3.')) {
    throw new Error(`This configures Dovecot 2.3, but ${version} is installed.`);
  }
  const directory = await makeScratch('dovecot');
  await chmod(directory, 0o755);
  const ports = { imapsPort: await freePort(), imapPort: await freePort() };
  const configuration = join(directory, 'dovecot.conf');
  await writeFile(join(directory, 'users'), users.map(passwdLine).join(''));
  await writeFile(configuration, dovecotConfiguration(directory, { sealing, lmtp }, ports));
  await mkdir(join(directory, 'mail'));
  await runAsRoot('chown', MAIL_USER, join(directory, 'mail'));
  await makeCertificate(directory);

  const log = join(directory, 'log');
  const daemon = await startDaemon(['/usr/sbin/dovecot', '-F', '-c', configuration], ports.imapsPort, log);
  if (sealing === 'mail-crypt') for (const user of users) await makeKeys(configuration, user);
  return {
    version: version.split(' ')[0]!,
    ...ports,
    lmtpSocket: join(directory, 'run/lmtp'),
    async forgetHeaders(address) {
      const mail = join(directory, 'mail', address);
      await runAsRoot('find', mail, '-name', 'dovecot.index.cache', '-delete');
    },
    async stop() {
      await daemon.stop();
      await runAsRoot('rm', '-rf', directory);
    },
  };
}

/** passwd-file: the last field hands the password to mail-crypt once it has been verified. */
const passwdLine = ({ address, password }: DovecotUser): string =>
  `${address}:{PLAIN}${password}::::::userdb_mail_crypt_private_password=${password}\n`;

const dovecotConfiguration = (
  directory: string,
  { sealing, lmtp }: Pick<DovecotOptions, 'sealing' | 'lmtp'>,
  { imapsPort, imapPort }: Pick<Dovecot, 'imapsPort' | 'imapPort'>,
): string => `
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/log
protocols = imap${lmtp ? ' lmtp' : ''}
listen = 127.0.0.1

ssl = yes
disable_plaintext_auth = no
ssl_cert = <${directory}/cert.pem
ssl_key = <${directory}/key.pem

mail_location = mdbox:~/mdbox
mail_home = ${directory}/mail/%u
mail_uid = ${MAIL_USER}
mail_gid = nogroup
first_valid_gid = 0

passdb {
  driver = passwd-file
  args = ${directory}/users
}
userdb {
  driver = prefetch
}
userdb {
  driver = static
  args = uid=${MAIL_USER} gid=nogroup home=${directory}/mail/%u
}

service imap-login {
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = ${imapsPort}
    ssl = yes
  }
}
${lmtp ? lmtpService : ''}${sealing === 'mail-crypt' ? mailCrypt : ''}`;

const lmtpService = `
service lmtp {
  unix_listener lmtp {
    user = postfix
    mode = 0600
  }
}
`;

const mailCrypt = `
mail_plugins = mail_crypt
mail_attribute_dict = file:%h/attributes
plugin {
  mail_crypt_curve = ${CURVE}
  mail_crypt_save_version = 2
  mail_crypt_require_encrypted_user_key = yes
}
`;

const makeKeys = (configuration: string, { address, password }: DovecotUser): Promise<string> =>
  runAsRoot(
    ...(['doveadm', '-c', configuration, '-o', `plugin/mail_crypt_private_password=${password}`] as const),
    ...(['mailbox', 'cryptokey', 'generate', '-u', address, '-U'] as const),
  );

/** Debian's Dovecot depends on openssl. */
async function makeCertificate(directory: string): Promise<void> {
  await runAsRoot(
    ...(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] as const),
    ...([
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
    ] as const),
    ...(['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')] as const),
  );
}
