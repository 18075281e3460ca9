import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { freePort } from '../support/free-ports.ts';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessages } from '../support/mailbox.ts';
import { RawSmtp } from '../support/raw-smtp.ts';
import { type ProgramEnd, runProgram } from '../support/run-program.ts';

const SCRIPTS = resolve(import.meta.dirname, '../../scripts');

describe('a data directory that a server is using', function () {
  this.timeout(20_000);
  let server: Letterlock;
  let delivered = 0;
  before(async () => {
    server = await startLetterlock();
  });
  after(() => server?.stop());

  async function assertUnharmed(): Promise<void> {
    const client = await RawSmtp.connect(server.ports.mx);
    await client.send('sender@elsewhere.test', [server.group], 'Subject: still here\r\n\r\nHello.\r\n');
    client.destroy();
    await receiveMessages(server, server.users[0]!, ++delivered);
  }

  function assertRefused({ exitCode, stdout, stderr }: ProgramEnd): void {
    assert.equal(exitCode, 1, stderr);
    assert.equal(stdout.toString(), '');
    assert.match(stderr, /^letterlock: [^\n]*in use by another Letterlock process[^\n]*\n$/);
  }

  it('is refused to a second server with one sentence, and the first goes on', async () => {
    await assertUnharmed();
    const base = String(await freePort());
    assertRefused(
      await runProgram(join(SCRIPTS, 'run'), ['--json', '--data', server.data, '--port-base', base]),
    );
    await assertUnharmed();
  });

  it('is refused to fsck with one sentence, and the server goes on', async () => {
    assertRefused(await runProgram(join(SCRIPTS, 'letterlock'), ['fsck', '--data', server.data]));
    await assertUnharmed();
  });
});
