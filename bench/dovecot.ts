/** The peer: Postfix that hands mail by LMTP to Dovecot 2.3 with mdbox, both from Debian, private instances. */
import { runAsRoot } from '../test/support/as-root.ts';
import { CURVE, type Sealing, startDovecot } from '../test/support/dovecot.ts';
import { startPostfix } from '../test/support/postfix.ts';
import { type Target, USERS } from './target.ts';

const DOMAIN = 'bench.test';
const PASSWORD = 'bench-password';

/** @throws Error as startDovecot and startPostfix do. */
export async function startPeer(sealing: Sealing): Promise<Target> {
  const users = Array.from({ length: USERS }, (_, index) => ({
    address: `u${index}@${DOMAIN}`,
    password: PASSWORD,
  }));
  const dovecot = await startDovecot({ sealing, users, lmtp: true });
  const postfixVersion = (await runAsRoot('/usr/sbin/postconf', '-dh', 'mail_version')).trim();
  const postfix = await startPostfix({
    domain: DOMAIN,
    nextHop: `lmtp:unix:${dovecot.lmtpSocket}`,
    // Postfix by default slows its clients when mail arrives faster than it leaves: without is faster here.
    settings: { smtpd_tls_security_level: 'none', in_flow_delay: '0' },
  });

  return {
    name: sealing === 'plain' ? 'Dovecot plain' : 'Dovecot mail-crypt',
    versions: `Postfix ${postfixVersion} and Dovecot ${dovecot.version}, mdbox`,
    promises:
      "250 after the fsync of Postfix's queue file (in_flow_delay=0; 1s is its default, which slows clients down), " +
      "delivered with Dovecot's mail_fsync=optimized (its default); " +
      (sealing === 'plain'
        ? 'all lies in clear'
        : `bodies sealed by mail-crypt (curve ${CURVE}, private keys under passwords), its header cache in clear`),
    smtpPort: postfix.port,
    imapsPort: dovecot.imapsPort,
    imapPort: dovecot.imapPort,
    users,
    // A process is made for each connection.
    makeCold: ({ address }) => dovecot.forgetHeaders(address),
    async stop() {
      await postfix.stop();
      await dovecot.stop();
    },
  };
}
