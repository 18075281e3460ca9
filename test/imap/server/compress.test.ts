import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { constants, createDeflateRaw, deflateRawSync, inflateRawSync } from 'node:zlib';
import { after, afterEach, before, describe, it } from 'mocha';
import type { ImapServerOptions } from '../../../src/imap/server.ts';
import { IMAP_DEFLATE_REST_MS } from '../../../src/limits.ts';
import { message } from '../../store/support.ts';
import { ca, cert, key } from '../../support/certificate.ts';
import { deflated } from '../../support/deflated.ts';
import { Client, ImapFixture } from '../support.ts';

const MIB = 1024 * 1024;
const syncFlushed = (text: string): Buffer =>
  deflateRawSync(Buffer.from(text, 'latin1'), { finishFlush: constants.Z_SYNC_FLUSH });

/** So many MiB of one line that never ends, compressed. */
async function bombOf(mebibytes: number): Promise<Buffer> {
  const deflate = createDeflateRaw({ level: 9 });
  const whole = buffer(deflate);
  const one = Buffer.alloc(MIB, 'a');
  for (let i = 0; i < mebibytes; i += 1) await new Promise<unknown>((done) => deflate.write(one, done));
  deflate.end();
  return whole;
}

describe('COMPRESS=DEFLATE', () => {
  let fixture: ImapFixture;
  before(async () => {
    const context = createSecureContext({ cert, key });
    fixture = await ImapFixture.open({
      listeners: [
        { host: '127.0.0.1', port: 0, isImplicitTls: false },
        { host: '127.0.0.1', port: 0, isImplicitTls: true },
      ],
      secureContext: () => context,
      appendLimitOctets: 8 * MIB,
    });
    await fixture.addUser('alice');
  });
  after(() => fixture.close());
  afterEach(() => fixture.disconnectAll());

  /** A client that has signed in and been answered OK; it does not compress yet. */
  const asked = async (user = 'alice'): Promise<Client> => {
    const client = await fixture.signIn(user);
    assert.match((await client.run('COMPRESS DEFLATE')).at(-1)!, /^t OK/);
    return client;
  };
  const compressed = async (user?: string): Promise<{ client: Client; below: Duplex }> => {
    const client = await asked(user);
    return { client, below: client.compress() };
  };
  const appended = async (client: Client, body: string): Promise<void> => {
    client.send(`t APPEND INBOX {${body.length}+}\r\n${body}`);
    assert.match((await client.until('t')).at(-1)!, /^t OK/);
  };
  const fetched = async (client: Client): Promise<string> => {
    await client.run('EXAMINE INBOX');
    const lines = await client.run('FETCH * BODY.PEEK[]');
    const text = lines.slice(0, -1).join('\r\n');
    return text.slice(text.indexOf('}\r\n') + 3, -1);
  };

  it('keeps the octets of 5 MB, whether they shrink or not, between APPEND and FETCH', async () => {
    await fixture.addUser('octets');
    const { client } = await compressed('octets');
    const header = 'Subject: x\r\n\r\n';
    for (const body of ['y\r\n'.repeat((5 * MIB) / 3), randomBytes(5 * MIB).toString('latin1')]) {
      await appended(client, header + body);
      assert.ok((await fetched(client)) === header + body);
    }
  });

  it('works over TLS, and keeps the octets there too', async () => {
    await fixture.addUser('tls');
    const socket = connectTls({ port: fixture.ports[1]!, host: '127.0.0.1', servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    const client = new Client(socket);
    await client.line();
    assert.match((await client.run('LOGIN tls secret')).at(-1)!, /COMPRESS=DEFLATE/);
    await client.run('COMPRESS DEFLATE');
    client.compress();
    const body = `Subject: x\r\n\r\n${randomBytes(MIB).toString('base64')}`;
    await appended(client, body);
    assert.ok((await fetched(client)) === body);
    assert.match((await client.run('LOGOUT')).at(-1)!, /^t OK/);
    await client.ended();
  });

  it('sends far fewer octets than it says', async () => {
    const mailbox = await fixture.addUser('fewer');
    for (let i = 0; i < 50; i += 1) {
      await fixture.store.deliver(await fixture.store.sealed(message('All the same')), [mailbox]);
    }
    const { client, below } = await compressed('fewer');
    let sent = 0;
    below.on('data', (chunk: Buffer) => {
      sent += chunk.length;
    });
    await client.run('SELECT INBOX');
    const said = (await client.run('FETCH 1:* (ENVELOPE BODY.PEEK[])')).join('\r\n').length;
    assert.ok(sent < said / 4, `${sent} octets for ${said}`);
  });

  it('ends what it sends with a last block, so that the client can tell it from a cut', async () => {
    const client = await asked();
    const chunks: Buffer[] = [];
    client.socket.removeAllListeners('data');
    client.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.socket.write(syncFlushed('t LOGOUT\r\n'));
    await once(client.socket, 'end');
    // inflateRawSync without options refuses a stream that has no last block.
    assert.match(inflateRawSync(Buffer.concat(chunks)).toString(), /^\* BYE .*\r\nt OK .*\r\n$/);
  });

  it('takes commands however the client flushes and the network cuts', async () => {
    for (const flush of [constants.Z_SYNC_FLUSH, constants.Z_PARTIAL_FLUSH, constants.Z_FULL_FLUSH]) {
      const client = await asked();
      const below = client.socket;
      below.removeAllListeners('data');
      const other = new Client(deflated(below, flush));
      other.write('a1 NO');
      other.write('OP\r\na2 NOOP\r\na3 STAT');
      other.write('US INBOX (MESSAGES)\r\n');
      assert.match((await other.until('a3')).at(-1)!, /^a3 OK/);
      other.close();
    }
    const client = await asked();
    const below = client.compress();
    for (const octet of syncFlushed('b1 NOOP\r\nb2 NOOP\r\n')) {
      below.write(Buffer.of(octet));
      await new Promise(setImmediate);
    }
    assert.match((await client.until('b2')).at(-1)!, /^b2 OK/);
  });

  it('answers pipelined commands in their order', async () => {
    const { client } = await compressed();
    client.write(Array.from({ length: 500 }, (_, i) => `p${i} NOOP\r\n`).join(''));
    for (let i = 0; i < 500; i += 1) assert.equal(await client.line(), `p${i} OK Nothing done.`);
  });

  it('goes on after a rest, in which it gives up its deflater', async function () {
    this.timeout(20_000);
    const mailbox = await fixture.addUser('rest');
    await fixture.store.deliver(await fixture.store.sealed(message('One', 'x'.repeat(5_000))), [mailbox]);
    const { client } = await compressed('rest');
    await client.run('SELECT INBOX');
    const first = await client.run('FETCH 1 BODY.PEEK[]');
    await new Promise((resolve) => setTimeout(resolve, IMAP_DEFLATE_REST_MS + 500));
    assert.deepEqual(await client.run('FETCH 1 BODY.PEEK[]'), first);
    assert.deepEqual(await client.run('FETCH 1 BODY.PEEK[]'), first);
  });

  it('takes what comes compressed right behind COMPRESS, too early as it is', async () => {
    const client = await fixture.signIn('alice');
    client.socket.write(Buffer.concat([Buffer.from('t COMPRESS DEFLATE\r\n'), syncFlushed('e1 NOOP\r\n')]));
    await client.until('t');
    client.compress();
    assert.match(await client.line(), /^e1 OK/);
  });

  it('never runs a command that came in clear behind COMPRESS, and says BYE', async () => {
    const client = await fixture.signIn('alice');
    client.write('t COMPRESS DEFLATE\r\nx CREATE Early\r\n');
    await client.until('t');
    client.compress();
    assert.match(await client.line(), /^\* BYE .*damaged/);
    const other = await fixture.signIn('alice');
    assert.deepEqual((await other.run('LIST "" Early')).length, 1);
  });

  it('says BYE to garbage, between commands and in the middle of a literal', async () => {
    const between = await compressed();
    between.below.write(Buffer.alloc(100, 0xff));
    assert.match(await between.client.line(), /^\* BYE .*damaged/);
    await between.client.ended();

    const within = await compressed();
    within.client.send('t APPEND INBOX {1000000+}');
    within.client.write('abc');
    within.below.write(Buffer.alloc(100, 0xff));
    assert.match(await within.client.line(), /^\* BYE .*damaged/);
    await within.client.ended();
  });

  it('lets a client that ends in the middle of a block go', async () => {
    const { below } = await compressed();
    below.end(syncFlushed('t NOOP\r\n').subarray(0, 4));
    await once(below, 'close');
    while (fixture.server.connectionCount > 0) await new Promise(setImmediate);
  });

  it('inflates no faster than it reads: 200 MB in 200 KB neither fill memory nor stop other clients', async function () {
    this.timeout(60_000);
    const bomb = await bombOf(200);
    assert.ok(bomb.length < 250_000);
    const attacker = await asked();
    attacker.socket.write(bomb);
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss - before);
    }, 5);
    const other = await fixture.signIn('alice');
    const start = performance.now();
    for (let i = 0; i < 20; i += 1) assert.match((await other.run('NOOP')).at(-1)!, /^t OK/);
    assert.ok(performance.now() - start < 5_000);
    await attacker.ended();
    clearInterval(watch);
    assert.ok(most < 50 * MIB, `${most} octets more`);
  });

  it('holds back a long answer from a client that does not read', async () => {
    await fixture.addUser('slow');
    const { client, below } = await compressed('slow');
    const body = randomBytes(4 * MIB).toString('latin1');
    await appended(client, body);
    await client.run('SELECT INBOX');
    below.unpipe();
    below.pause();
    client.write('f FETCH 1 BODY.PEEK[]\r\ng FETCH 1 BODY.PEEK[]\r\nh FETCH 1 BODY.PEEK[]\r\n');
    const other = await fixture.signIn('slow');
    assert.match((await other.run('STATUS INBOX (MESSAGES)'))[0]!, /MESSAGES 1/);
    client.close();
    while (fixture.server.connectionCount > 1) await new Promise(setImmediate);
  });
});

describe('COMPRESS=DEFLATE on a server of other settings', () => {
  const fixtures: ImapFixture[] = [];
  afterEach(async () => {
    for (const fixture of fixtures.splice(0)) await fixture.close();
  });
  const open = async (times: object, options: Partial<ImapServerOptions> = {}): Promise<ImapFixture> => {
    const fixture = await ImapFixture.open({ times, ...options });
    fixtures.push(fixture);
    await fixture.addUser('alice');
    return fixture;
  };
  const compressed = async (fixture: ImapFixture): Promise<Client> => {
    const client = await fixture.signIn('alice');
    await client.run('COMPRESS DEFLATE');
    client.compress();
    return client;
  };

  it('is neither offered nor taken when the operator does not want it', async () => {
    const fixture = await open({}, { isCompressionOffered: false });
    const client = await fixture.signIn('alice');
    assert.ok(!(await client.run('CAPABILITY'))[0]!.includes('COMPRESS'));
    assert.match((await client.run('COMPRESS DEFLATE')).at(-1)!, /^t NO \[CANNOT\]/);
  });

  it('cuts a client that takes nothing of a long answer', async () => {
    const fixture = await open({ stallMs: 200 });
    const client = await compressed(fixture);
    const body = randomBytes(6 * MIB).toString('latin1');
    client.send(`t APPEND INBOX {${body.length}+}\r\n${body}`);
    await client.until('t');
    await client.run('SELECT INBOX');
    client.socket.pause();
    client.write('f FETCH 1 (BODY.PEEK[] BODY.PEEK[]<1.6291455> BODY.PEEK[]<2.6291454>)\r\n');
    while (fixture.server.connectionCount > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('says BYE within the stream when it closes, and to a client that was silent too long', async () => {
    const silent = await open({ autologoutMs: 100 });
    const first = await compressed(silent);
    assert.match(await first.line(), /^\* BYE Autologout/);
    await first.ended();

    const fixture = await open({});
    const [idle, between] = [await compressed(fixture), await compressed(fixture)];
    idle.send('t IDLE');
    await idle.line();
    const closed = fixture.server.close();
    for (const client of [idle, between]) {
      assert.match(await client.line(), /^\* BYE The server is shutting down/);
      client.close();
    }
    await closed;
  });

  it('shows a sign of life in IDLE', async () => {
    const fixture = await open({ keepAliveMs: 20 });
    const client = await compressed(fixture);
    client.send('t IDLE');
    assert.match(await client.line(), /^\+ /);
    assert.equal(await client.line(), '* OK Still here');
  });
});
