import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessages } from '../support/mailbox.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../support/postfix.ts';

const BODY = 'Line one.\r\n.leading dot\r\n\r\nSch\u00f6ne Gr\u00fc\u00dfe.\r\n';

/** As sendmail(1) takes it. */
const MESSAGE = [
  'From: carol@elsewhere.test',
  'Subject: by Postfix',
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

for (const [route, options] of Object.entries(ROUTES)) {
  describe(`a real Postfix that relays by ${route}`, () => {
    let server: Letterlock;
    let postfix: Postfix;
    before(async () => {
      server = await startLetterlock();
      postfix = await startPostfix(options(server));
    });
    after(async () => {
      await postfix?.stop();
      await server?.stop();
    });

    it('delivers 8-bit mail to every member of a group and leaves nothing in its queue', async () => {
      await postfix.submit(MESSAGE, 'carol@elsewhere.test', [server.group]);
      for (const user of server.users.slice(0, 2)) {
        const [received] = await receiveMessages(server, user, 1);
        assert.ok(received!.toString().endsWith(`\r\n\r\n${BODY}`));
      }
      await emptyQueue(postfix);
    });

    it('is refused an unknown recipient for good and reports that to the sender', async () => {
      const sender = server.users[0]!;
      await postfix.submit(MESSAGE, sender.address, [`nobody@${server.domain}`]);
      const [, report] = await receiveMessages(server, sender, 2);
      assert.match(report!.toString(), /^Status: 5\.1\.1\r$/m); // RFC 3464 §2.3.4
      await emptyQueue(postfix);
    });
  });
}

async function emptyQueue(postfix: Postfix): Promise<void> {
  const deadline = performance.now() + 10_000;
  let queue = await postfix.queue();
  while (queue !== '' && performance.now() < deadline) {
    await sleep(100);
    queue = await postfix.queue();
  }
  assert.equal(queue, '');
}
