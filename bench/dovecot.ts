/**
 * The peer: Postfix that hands mail by LMTP to Dovecot 2.3 with mdbox, both from Debian, private instances with
 * their defaults where it matters (durability, process limits). Sealed means mail-crypt with one key pair a user,
 * whose private half is encrypted with the user's password, as its documentation recommends.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runAsRoot } from '../test/support/as-root.ts';
import { startDaemon } from '../test/support/daemon.ts';
import { freePort } from '../test/support/free-ports.ts';
import { startPostfix } from '../test/support/postfix.ts';
import { makeScratch } from '../test/support/scratch.ts';
import { type Target, type TargetUser, USERS } from './target.ts';

const DOMAIN = 'bench.test';
const PASSWORD = 'bench-password';
/** P-256, for which OpenSSL has its fastest code; secp521r1, of mail-crypt's documentation, costs the peer more. */
const CURVE = 'prime256v1';
/** Mail belongs to a user that exists everywhere; Dovecot refuses to use its own. */
const MAIL_USER = 'nobody';

export type Sealing = 'plain' | 'mail-crypt';

/** @throws Error when the installed Dovecot is not 2.3 (later ones read another configuration), or does not start. */
export async function startDovecot(sealing: Sealing): Promise<Target> {
  const dovecotVersion = (await runAsRoot('dovecot', '--version')).trim();
  if (!dovecotVersion.startsWith('2.3.')) {
    throw new Error(`The benchmark configures Dovecot 2.3, but ${dovecotVersion} is installed.`);
  }
  const postfixVersion = (await runAsRoot('/usr/sbin/postconf', '-dh', 'mail_version')).trim();

  const directory = await makeScratch('dovecot');
  await chmod(directory, 0o755);
  const ports = { imapsPort: await freePort(), imapPort: await freePort() };
  const users = Array.from({ length: USERS }, (_, index) => ({
    address: `u${index}@${DOMAIN}`,
    password: PASSWORD,
  }));
  const configuration = join(directory, 'dovecot.conf');
  await writeFile(join(directory, 'users'), users.map(passwdLine).join(''));
  await writeFile(configuration, dovecotConfiguration(directory, sealing, ports));
  await mkdir(join(directory, 'mail'));
  await runAsRoot('chown', MAIL_USER, join(directory, 'mail'));
  await makeCertificate(directory);

  const log = join(directory, 'log');
  const dovecot = await startDaemon(['/usr/sbin/dovecot', '-F', '-c', configuration], ports.imapsPort, log);
  if (sealing === 'mail-crypt') for (const user of users) await makeKeys(configuration, user);
  const postfix = await startPostfix({
    domain: DOMAIN,
    nextHop: `lmtp:unix:${join(directory, 'run/lmtp')}`,
    // Postfix by default slows its clients when mail arrives faster than it leaves: without is faster here.
    settings: { smtpd_tls_security_level: 'none', in_flow_delay: '0' },
  });

  return {
    name: sealing === 'plain' ? 'Dovecot plain' : 'Dovecot mail-crypt',
    versions: `Postfix ${postfixVersion} and Dovecot ${dovecotVersion.split(' ')[0]}, mdbox`,
    promises:
      "250 after the fsync of Postfix's queue file (in_flow_delay=0; 1s is its default, which slows clients down), " +
      "delivered with Dovecot's mail_fsync=optimized (its default); " +
      (sealing === 'plain'
        ? 'all lies in clear'
        : `bodies sealed by mail-crypt (curve ${CURVE}, private keys under passwords), its header cache in clear`),
    smtpPort: postfix.port,
    ...ports,
    users,
    // A process is made for each connection.
    async makeCold({ address }) {
      const mail = join(directory, 'mail', address);
      await runAsRoot('find', mail, '-name', 'dovecot.index.cache', '-delete');
    },
    async stop() {
      await postfix.stop();
      await dovecot.stop();
      await runAsRoot('rm', '-rf', directory);
    },
  };
}

/** passwd-file: the last field hands the password to mail-crypt once it has been verified. */
const passwdLine = ({ address, password }: TargetUser): string =>
  `${address}:{PLAIN}${password}::::::userdb_mail_crypt_private_password=${password}\n`;

const dovecotConfiguration = (
  directory: string,
  sealing: Sealing,
  { imapsPort, imapPort }: Pick<Target, 'imapsPort' | 'imapPort'>,
): string => `
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${directory}/log
protocols = imap lmtp
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
service lmtp {
  unix_listener lmtp {
    user = postfix
    mode = 0600
  }
}
${sealing === 'mail-crypt' ? mailCrypt : ''}`;

const mailCrypt = `
mail_plugins = mail_crypt
mail_attribute_dict = file:%h/attributes
plugin {
  mail_crypt_curve = ${CURVE}
  mail_crypt_save_version = 2
  mail_crypt_require_encrypted_user_key = yes
}
`;

const makeKeys = (configuration: string, { address, password }: TargetUser): Promise<string> =>
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
