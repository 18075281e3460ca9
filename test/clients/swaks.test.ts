import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { receiveMessages } from '../support/mailbox.ts';
import { type ProgramEnd, runProgram } from '../support/run-program.ts';

describe('swaks', () => {
  let server: Letterlock;
  before(async () => {
    server = await startLetterlock();
  });
  after(() => server?.stop());

  const swaks = (port: keyof Letterlock['ports'], ...args: string[]): Promise<ProgramEnd> =>
    runProgram('swaks', ['--server', 'localhost', '--port', String(server.ports[port]), ...args]);
  const transcript = ({ stdout }: ProgramEnd): string => stdout.toString();
  const authenticate = (mechanism: string, password = server.users[0]!.password): string[] => {
    const { address } = server.users[0]!;
    return ['--auth', mechanism, '--auth-user', address, '--auth-password', password, '--from', address];
  };
  const stranger = ['--from', 'carol@elsewhere.test'];

  it('delivers in clear to the MX listener', async () => {
    const end = await swaks('mx', ...stranger, '--to', 'alice@demo.test', '--header', 'Subject: clear');
    assert.equal(end.exitCode, 0, transcript(end));
    const [message] = await receiveMessages(server, server.users[0]!, 1);
    assert.match(message!.toString(), /^Subject: clear\r$/m);
  });

  it('delivers over STARTTLS to the MX listener, with the certificate verified', async () => {
    const end = await swaks(
      'mx',
      ...stranger,
      ...['--to', 'alice@demo.test', '--tls', '--tls-verify', '--tls-ca-path', server.ca],
    );
    assert.equal(end.exitCode, 0, transcript(end));
    await receiveMessages(server, server.users[0]!, 2);
  });

  it('gets one answer for each recipient over LMTP, and delivers to those that exist', async () => {
    const end = await swaks(
      'lmtp',
      ...stranger,
      ...['--protocol', 'LMTP', '--to', 'alice@demo.test,nobody@demo.test,bob@demo.test'],
    );
    assert.match(transcript(end), /^<\*\* 550 5\.1\.1 /m);
    const [, afterData] = transcript(end).split('\n -> .\n');
    assert.equal(afterData!.match(/^<- {2}250 2\./gm)?.length, 2, transcript(end));
    await receiveMessages(server, server.users[0]!, 3);
    await receiveMessages(server, server.users[1]!, 1);
  });

  it('reaches every member of a group once', async () => {
    const end = await swaks('mx', ...stranger, '--to', `${server.group},alice@demo.test`);
    assert.equal(end.exitCode, 0, transcript(end));
    await receiveMessages(server, server.users[0]!, 4);
    await receiveMessages(server, server.users[1]!, 2);
  });

  it('is refused with 550 5.1.1 at RCPT for an unknown user', async () => {
    const end = await swaks('mx', ...stranger, '--to', 'nobody@demo.test');
    assert.equal(end.exitCode, 24); // no recipient was accepted
    assert.match(transcript(end), /RCPT TO:<nobody@demo\.test>\n<\*\* 550 5\.1\.1 /);
  });

  it('may not relay through the MX listener', async () => {
    const end = await swaks('mx', ...stranger, '--to', 'dave@elsewhere.test');
    assert.equal(end.exitCode, 24);
    assert.match(transcript(end), /<\*\* 55[04] 5\.7\.1 /);
  });

  it('reaches postmaster without naming a user', async () => {
    const end = await swaks('mx', ...stranger, '--to', 'postmaster@demo.test');
    assert.equal(end.exitCode, 0, transcript(end));
  });

  for (const mechanism of ['PLAIN', 'LOGIN']) {
    it(`submits with AUTH ${mechanism} over STARTTLS`, async () => {
      const end = await swaks('submission', ...authenticate(mechanism), '--tls', '--to', 'bob@demo.test');
      assert.equal(end.exitCode, 0, transcript(end));
    });
  }

  it('is not offered AUTH before TLS', async () => {
    const end = await swaks('submission', ...authenticate('PLAIN'), '--to', 'bob@demo.test');
    assert.equal(end.exitCode, 28); // authentication failed
    assert.doesNotMatch(transcript(end), /250[- ]AUTH/);
  });

  it('may not submit as somebody else', async () => {
    const args = [...authenticate('PLAIN'), '--tls', '--to', 'bob@demo.test'];
    const end = await swaks('submission', ...args, '--from', 'bob@demo.test');
    assert.match(transcript(end), /<~\* 55\d 5\.7\.\d /);
    assert.notEqual(end.exitCode, 0);
  });

  it('is refused with 535 5.7.8 for a wrong password', async () => {
    const end = await swaks(
      'submission',
      ...authenticate('PLAIN', 'wrong'),
      '--tls',
      '--to',
      'bob@demo.test',
    );
    assert.equal(end.exitCode, 28);
    assert.match(transcript(end), /535 5\.7\.8 /);
  });
});
