import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, type LetterlockUser, startLetterlock } from '../support/letterlock.ts';
import { RawImap } from '../support/raw-imap.ts';
import { RawSmtp } from '../support/raw-smtp.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('a server with a locked mailbox', () => {
  let server: Letterlock;
  let alice: LetterlockUser;
  let bob: LetterlockUser;

  before(async function () {
    this.timeout(60_000);
    server = await startLetterlock({ config: { plaintextAuthNetworks: ['127.0.0.0/8'] } });
    [alice, bob] = server.users as [LetterlockUser, LetterlockUser];
  });
  after(() => server?.stop());

  const deliver = async (to: LetterlockUser, subject: string): Promise<void> => {
    const client = await RawSmtp.connect(server.ports.mx);
    await client.send('carol@elsewhere.test', [to.address], `Subject: ${subject}\r\n\r\nHello.\r\n`);
    client.destroy();
  };
  const login = async ({ address, password }: LetterlockUser): Promise<string> => {
    const client = await RawImap.connect(server.ports.imap);
    const { status, text } = await client.command(`LOGIN ${address} "${password}"`);
    client.destroy();
    return `${status} ${text}`;
  };
  const authenticate = async ({ address, password }: LetterlockUser): Promise<string> => {
    const client = await RawSmtp.connect(server.ports.submission);
    const reply = await client.command(`AUTH PLAIN ${base64(`\0${address}\0${password}`)}`);
    client.destroy();
    return reply;
  };
  const state = async (client: RawImap): Promise<string[]> => {
    const { untagged } = await client.ok('EXAMINE INBOX');
    const { untagged: uids } = await client.ok('UID SEARCH ALL');
    return [...untagged.filter((line) => line.includes('UIDVALIDITY')), ...uids];
  };

  it('tells a running session with an open folder so at its next command that needs keys', async () => {
    await deliver(alice, 'before');
    const session = await RawImap.login(server.ports.imap, alice);
    const neighbour = await RawImap.login(server.ports.imap, bob);
    const before = await state(session);
    await session.ok('FETCH 1 BODY.PEEK[]');
    await server.administer(['mailbox', 'lock', alice.address, '--reason', 'lost phone']);

    for (const command of ['FETCH 1 BODY.PEEK[]', 'FETCH 1 ENVELOPE', 'LIST "" "*"', 'SELECT INBOX']) {
      const { status, text, untagged } = await session.command(command);
      assert.match(`${status} ${text}`, /^NO \[CONTACTADMIN\]/, command);
      // SELECT leaves the folder before it looks for the other (RFC 3501 §6.3.1, RFC 7162 §3.2.11).
      const told = untagged.filter((line) => !line.startsWith('OK [CLOSED]'));
      assert.deepEqual(told, [], command);
    }
    await session.ok('NOOP');
    await neighbour.ok('LIST "" "*"');
    await neighbour.ok('SELECT INBOX');

    await deliver(alice, 'during');
    await server.administer(['mailbox', 'unlock', alice.address]);
    const [validity, uids] = before;
    const [validityAfter, uidsAfter] = await state(session);
    assert.equal(validityAfter, validity);
    assert.ok(uidsAfter!.startsWith(`${uids} `), 'the old UIDs, and one more');
    const { untagged } = await session.ok('FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]');
    assert.deepEqual(
      untagged.slice(-2).map((response) => /Subject: (\w+)/.exec(response)?.[1]),
      ['before', 'during'],
    );
    session.destroy();
    neighbour.destroy();
  });

  it('refuses to log its owner in without saying that the password is wrong, and a wrong one as ever', async () => {
    const wrong = { ...alice, password: 'wrong' };
    await server.administer(['mailbox', 'lock', alice.address]);
    assert.match(await login(alice), /^NO \[CONTACTADMIN\] This mailbox is locked/);
    assert.match(await login(wrong), /^NO \[AUTHENTICATIONFAILED\]/);
    assert.match(await authenticate(alice), /^454 4\.7\.0 This mailbox is locked/);
    assert.match(await authenticate(wrong), /^535 5\.7\.8/);
    assert.match(await login(bob), /^OK/);
    assert.match(await authenticate(bob), /^235/);
    await server.administer(['mailbox', 'unlock', alice.address]);
    assert.match(await login(alice), /^OK/);
    assert.match(await authenticate(alice), /^235/);
  });

  it('takes no mail from a client that authenticated before the lock', async () => {
    const client = await RawSmtp.connect(server.ports.submission);
    await client.command(`AUTH PLAIN ${base64(`\0${alice.address}\0${alice.password}`)}`);
    await server.administer(['mailbox', 'lock', alice.address]);
    assert.match(await client.command(`MAIL FROM:<${alice.address}>`), /^451 4\.7\.0/);
    await server.administer(['mailbox', 'unlock', alice.address]);
    assert.match(await client.command(`MAIL FROM:<${alice.address}>`), /^250/);
    client.destroy();
  });

  it('does the same for all of a locked organization', async () => {
    await server.administer(['org', 'lock', 'Demo']);
    for (const user of [alice, bob]) {
      assert.match(await login(user), /^NO \[CONTACTADMIN\]/);
      assert.match(await authenticate(user), /^454 4\.7\.0/);
      await deliver(user, 'organization');
    }
    await server.administer(['org', 'unlock', 'Demo']);
    for (const user of [alice, bob]) assert.match(await login(user), /^OK/);
  });
});
