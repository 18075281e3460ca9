import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
import { after, afterEach, before, describe, it } from 'mocha';
import type { ImapServerOptions } from '../../../src/imap/server.ts';
import { message } from '../../store/support.ts';
import { ca, cert, key } from '../../support/certificate.ts';
import { Client, ImapFixture } from '../support.ts';

const context = createSecureContext({ cert, key });
const TLS: Partial<ImapServerOptions> = {
  listeners: [
    { host: '127.0.0.1', port: 0, isImplicitTls: false },
    { host: '127.0.0.1', port: 0, isImplicitTls: true },
  ],
  secureContext: () => context,
  isPlaintextAllowed: () => false,
};

async function secure(options: { socket?: Client['socket']; port?: number }): Promise<Client> {
  const socket: TLSSocket = connectTls({ ...options, host: '127.0.0.1', servername: 'localhost', ca });
  await once(socket, 'secureConnect');
  return new Client(socket);
}

describe('an IMAP server with TLS', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open(TLS);
    await fixture.addUser('alice');
  });
  after(() => fixture.close());
  afterEach(() => fixture.disconnectAll());

  it('takes no credentials in clear, and says so before they are sent', async () => {
    const client = await fixture.connect();
    assert.match(await client.line(), /STARTTLS LOGINDISABLED\]/);
    assert.match((await client.run('LOGIN alice secret')).at(-1)!, /^t NO \[PRIVACYREQUIRED\]/);
    assert.match((await client.run('AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==')).at(-1)!, /^t NO/);
  });

  it('serves a client after STARTTLS, which then offers a login and no second STARTTLS', async () => {
    const client = await fixture.connect();
    await client.line();
    await client.run('STARTTLS');
    client.socket.removeAllListeners('data');
    const secured = await secure({ socket: client.socket });
    const [capability] = await secured.run('CAPABILITY');
    assert.equal(capability, '* CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID ENABLE AUTH=PLAIN');
    assert.match((await secured.run('STARTTLS')).at(-1)!, /^t BAD/);
    assert.match((await secured.run('AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==')).at(-1)!, /^t OK/);
    assert.match((await secured.run('STATUS INBOX (MESSAGES)'))[0]!, /MESSAGES 0/);
  });

  it('never runs commands that came in clear behind STARTTLS', async () => {
    const client = await fixture.connect();
    await client.line();
    client.write('s STARTTLS\r\nx ENABLE CONDSTORE\r\nx NOOP\r\n');
    await client.until('s');
    client.socket.removeAllListeners('data');
    const secured = await secure({ socket: client.socket });
    assert.deepEqual((await secured.run('NOOP')).length, 1);
  });

  it('serves a client with TLS from the first octet', async () => {
    const client = await secure({ port: fixture.ports[1]! });
    assert.match(await client.line(), /^\* OK \[CAPABILITY .*AUTH=PLAIN\]/);
    assert.match((await client.run('LOGIN alice secret')).at(-1)!, /^t OK/);
    assert.match((await client.run('LOGOUT')).at(-1)!, /^t OK/);
    await client.ended();
  });

  it('outlives a client that speaks no TLS where TLS is expected', async () => {
    const client = await fixture.connect(fixture.ports[1]!);
    client.send('a LOGIN alice secret');
    await client.ended();
    const other = await secure({ port: fixture.ports[1]! });
    assert.match(await other.line(), /^\* OK/);
    other.close();
  });
});

describe('an IMAP server', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open({ appendLimitOctets: 8 * 1024 * 1024 });
  });
  after(() => fixture.close());
  afterEach(() => fixture.disconnectAll());

  it('keeps every octet of a message between APPEND and FETCH, NUL and 8-bit ones included', async () => {
    await fixture.addUser('octets');
    const client = await fixture.signIn('octets');
    for (const size of [1, 255, 65_536, 262_144, 262_145, 3_000_000]) {
      const body = Buffer.concat([Buffer.from('Subject: x\r\n\r\n'), randomBytes(size)]).toString('latin1');
      client.send(`t APPEND INBOX {${body.length}}`);
      assert.match(await client.line(), /^\+ /);
      client.send(body);
      await client.until('t');
      await client.run('EXAMINE INBOX');
      client.send('t FETCH * BODY.PEEK[]');
      const text = (await client.until('t')).slice(0, -1).join('\r\n');
      const start = text.indexOf('}\r\n') + 3;
      assert.ok(text.slice(start, start + body.length) === body, `${size} octets`);
      assert.equal(text.slice(start + body.length), ')');
    }
  });

  it('answers pipelined commands in their order', async () => {
    await fixture.addUser('pipeline');
    const client = await fixture.signIn('pipeline');
    const commands = Array.from({ length: 200 }, (_, i) => `p${i} NOOP\r\n`).join('');
    client.write(`s SELECT INBOX\r\n${commands}`);
    await client.until('s');
    for (let i = 0; i < 200; i += 1) assert.equal(await client.line(), `p${i} OK Nothing done.`);
  });

  it('answers a command that arrives octet by octet', async () => {
    const client = await fixture.connect();
    await client.line();
    for (const octet of 't NOOP\r\n') {
      client.write(octet);
      await new Promise(setImmediate);
    }
    assert.equal(await client.line(), 't OK Nothing done.');
  });

  it('answers everything before it closes on a client that has sent all and half-closed', async () => {
    await fixture.addUser('half');
    const client = await fixture.signIn('half');
    client.write('a SELECT INBOX\r\nb NOOP\r\n');
    client.socket.end();
    const said = (await client.until('b')).at(-1)!;
    assert.match(said, /^b OK/);
    await client.ended();
  });

  it('holds back a long answer from a client that does not read, and other clients notice nothing', async () => {
    const mailbox = await fixture.addUser('slow');
    const body = 'x'.repeat(1_000_000);
    for (let i = 0; i < 8; i += 1) {
      await fixture.store.deliver(await fixture.store.sealed(message('big', body)), [mailbox]);
    }
    const slow = await fixture.signIn('slow');
    await slow.run('SELECT INBOX');
    slow.socket.pause();
    slow.write('f FETCH 1:8 BODY.PEEK[]\r\ng FETCH 1:8 BODY.PEEK[]\r\nh FETCH 1:8 BODY.PEEK[]\r\n');
    const other = await fixture.signIn('slow');
    assert.match((await other.run('STATUS INBOX (MESSAGES)'))[0]!, /MESSAGES 8/);
    slow.socket.resume();
    await slow.until('f');
    await slow.until('g');
    assert.equal((await slow.until('h')).at(-1), 'h OK Fetch completed.');
  });

  it('keeps a mailbox in its quota, and tells what is used', async () => {
    await fixture.addUser('full', 4_096);
    const client = await fixture.signIn('full');
    client.send('t APPEND INBOX {5000}');
    assert.match(await client.line(), /^t NO \[OVERQUOTA\]/);
    client.send(`t APPEND INBOX {3000+}\r\n${'x'.repeat(3000)}`);
    assert.match((await client.until('t')).at(-1)!, /^t OK/);
    assert.equal((await client.run('GETQUOTA ""'))[0], '* QUOTA "" (STORAGE 3 4)');
  });

  it('goes on after a command that is too long, and logs nothing of what it said', async () => {
    await fixture.addUser('long');
    const client = await fixture.signIn('long');
    client.send(`t SELECT ${'a'.repeat(100_000)}`);
    assert.match((await client.until('t')).at(-1)!, /^t BAD/);
    client.send(`t LOGIN x {70000}`);
    assert.match((await client.until('t')).at(-1)!, /^t BAD/);
    assert.match((await client.run('NOOP')).at(-1)!, /^t OK/);
    assert.ok(!JSON.stringify(fixture.logged).includes('aaaa'));
  });

  it('lets go of the connection and its places when a client vanishes in the middle of an APPEND', async () => {
    await fixture.addUser('gone');
    const client = await fixture.signIn('gone');
    client.write('t APPEND INBOX {1000+}\r\nabc');
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.close();
    while (fixture.server.connectionCount > 0) await new Promise(setImmediate);
    const other = await fixture.signIn('gone');
    assert.match((await other.run('STATUS INBOX (MESSAGES)'))[0]!, /MESSAGES 0/);
  });
});

describe("an IMAP server's bounds", () => {
  const fixtures: ImapFixture[] = [];
  const open = async (options: Partial<ImapServerOptions>): Promise<ImapFixture> => {
    const fixture = await ImapFixture.open(options);
    fixtures.push(fixture);
    await fixture.addUser('alice');
    return fixture;
  };
  afterEach(async () => {
    for (const fixture of fixtures.splice(0)) await fixture.close();
  });

  it('refuses connections beyond the limit of an address, and takes the next one when there is room', async () => {
    const fixture = await open({ maxConnectionsPerAddress: 1 });
    const first = await fixture.connect();
    await first.line();
    const second = await fixture.connect();
    assert.match(await second.line(), /^\* BYE \[UNAVAILABLE\]/);
    await second.ended();
    first.send('t LOGOUT');
    await first.ended();
    while (fixture.server.connectionCount > 0) await new Promise(setImmediate);
    const third = await fixture.connect();
    assert.match(await third.line(), /^\* OK/);
  });

  it("refuses a user's login beyond his limit, which is no wrong password", async () => {
    const fixture = await open({ maxConnectionsPerUser: 1 });
    const first = await fixture.signIn('alice');
    const second = await fixture.connect();
    await second.line();
    assert.match((await second.run('LOGIN alice secret')).at(-1)!, /^t NO \[LIMIT\]/);
    await first.run('LOGOUT');
    assert.match((await second.run('LOGIN alice secret')).at(-1)!, /^t OK/);
  });

  it('says BYE to a client that does not sign in, whatever it sends', async () => {
    const fixture = await open({ times: { preauthMs: 100 } });
    const client = await fixture.connect();
    await client.line();
    const dribble = setInterval(() => client.write('a'), 10);
    assert.match(await client.line(), /^\* BYE Autologout/);
    clearInterval(dribble);
    await client.ended();
  });

  it('says BYE to a client that was silent too long, in IDLE as well', async () => {
    const fixture = await open({ times: { autologoutMs: 100 } });
    const [silent, idle] = [await fixture.signIn('alice'), await fixture.signIn('alice')];
    idle.send('t IDLE');
    assert.match(await idle.line(), /^\+ /);
    assert.match(await idle.line(), /^\* BYE Autologout/);
    assert.match(await silent.line(), /^\* BYE Autologout/);
  });

  it('shows a sign of life in IDLE', async () => {
    const fixture = await open({ times: { keepAliveMs: 20 } });
    const client = await fixture.signIn('alice');
    client.send('t IDLE');
    assert.match(await client.line(), /^\+ /);
    assert.equal(await client.line(), '* OK Still here');
  });

  it('cuts a client that takes nothing of a long answer', async () => {
    const fixture = await open({ times: { stallMs: 100 } });
    const client = await fixture.signIn('alice');
    client.send(`t APPEND INBOX {4000000+}\r\n${'x'.repeat(4_000_000)}`);
    await client.until('t');
    await client.run('SELECT INBOX');
    client.socket.pause();
    client.write(
      'f FETCH 1 (BODY.PEEK[] BODY.PEEK[1] BODY.PEEK[TEXT] RFC822.SIZE BODY.PEEK[]<1.3999998>)\r\n',
    );
    while (fixture.server.connectionCount > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('says BYE to everyone when it closes, in IDLE, between commands and before login', async () => {
    const fixture = await open({});
    const unsigned = await fixture.connect();
    await unsigned.line();
    const [silent, idle] = [await fixture.signIn('alice'), await fixture.signIn('alice')];
    idle.send('t IDLE');
    await idle.line();
    const closed = fixture.server.close();
    for (const client of [unsigned, silent, idle]) {
      assert.match(await client.line(), /^\* BYE The server is shutting down/);
      client.socket.end();
    }
    await closed;
    assert.equal(fixture.server.connectionCount, 0);
  });
});
