import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessage } from '../support/mailbox.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../support/postfix.ts';

const BODY = 'Line one.\r\n.leading dot\r\n\r\nSch\u00f6ne Gr\u00fc\u00dfe.\r\n';
const SENDER = 'carol@elsewhere.test';
const EMPTY_DEADLINE_MS = 10_000;

/** As sendmail(1) takes it. */
const messageOf = (subject: string): string =>
  [
    `From: ${SENDER}`,
    `Subject: ${subject}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    BODY.replaceAll('\r\n', '\n'),
  ].join('\n');

/** What Postfix needs to hand mail to the server. */
const ROUTES: Readonly<Record<string, (server: Letterlock) => PostfixOptions>> = {
  'SMTP over verified TLS': ({ domain, ports, ca }) => ({
    domain,
    nextHop: `smtp:[localhost]:${ports.mx}`,
    settings: {
      smtp_tls_security_level: 'verify',
      smtp_tls_verify_cert_match: 'hostname',
      smtp_tls_CAfile: ca,
    },
  }),
  LMTP: ({ domain, ports }) => ({ domain, nextHop: `lmtp:inet:127.0.0.1:${ports.lmtp}` }),
};

describe('a real Postfix', () => {
  let server: Letterlock;
  before(async () => {
    server = await startLetterlock();
    await server.administer(['alias', 'create', `info@${server.domain}`, server.users[0]!.address]);
  });
  after(() => server?.stop());

  for (const [route, options] of Object.entries(ROUTES)) {
    describe(`that relays by ${route}`, () => {
      let postfix: Postfix;
      before(async () => {
        postfix = await startPostfix(options(server));
      });
      after(() => postfix?.stop());

      const deliver = async (recipients: readonly string[], subject: string): Promise<void> => {
        await postfix.submit(messageOf(`${subject} by ${route}`), SENDER, recipients);
        await emptyQueue(postfix);
      };
      const received = async (index: number, subject: string): Promise<string> =>
        (
          await receiveMessage(server, server.users[index]!, `Subject: ${subject} by ${route}\r\n`)
        ).toString();

      it('delivers 8-bit mail to two users as it was sent', async () => {
        const [alice, bob] = server.users;
        await deliver([alice!.address, bob!.address], 'users');
        for (const index of [0, 1]) assert.ok((await received(index, 'users')).endsWith(`\r\n\r\n${BODY}`));
      });

      it('delivers to the user whom an alias names', async () => {
        await deliver([`info@${server.domain}`], 'alias');
        await received(0, 'alias');
      });

      it('delivers to every member of a group', async () => {
        await deliver([server.group], 'group');
        for (const index of [0, 1]) await received(index, 'group');
      });

      it('is refused an unknown recipient for good and reports that to the sender', async () => {
        const sender = server.users[0]!;
        await postfix.submit(messageOf(`bounce by ${route}`), sender.address, [`nobody@${server.domain}`]);
        const report = await receiveMessage(server, sender, `Subject: bounce by ${route}\r\n`);
        assert.match(report.toString(), /^Status: 5\.1\.1\r$/m); // RFC 3464 §2.3.4
        await emptyQueue(postfix);
      });
    });
  }
});

/** @throws AssertionError when mail still waits in the queue after 10 s. */
async function emptyQueue(postfix: Postfix): Promise<void> {
  const deadline = performance.now() + EMPTY_DEADLINE_MS;
  let queue = await postfix.queue();
  while (queue !== '' && performance.now() < deadline) {
    await sleep(50);
    queue = await postfix.queue();
  }
  assert.equal(queue, '');
}
