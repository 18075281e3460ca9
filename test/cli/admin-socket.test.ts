import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'mocha';
import {
  type AdminHandler,
  type AdminSocket,
  adminSocketPath,
  askServer,
  startAdminSocket,
} from '../../src/cli/admin-socket.ts';
import { IntegrityError, ProtocolError, RefusedError, UnavailableError } from '../../src/errors.ts';
import { ADMIN_REQUEST_OCTETS } from '../../src/limits.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('the admin socket', () => {
  let directory: string;
  let path: string;
  let servers: AdminSocket[];
  beforeEach(async () => {
    directory = await makeScratch('admin');
    path = adminSocketPath(directory);
    servers = [];
  });
  afterEach(async () => {
    for (const server of servers) await server.close();
    await removeScratch(directory);
  });

  const start = async (handler: AdminHandler, onBug?: (error: unknown) => void): Promise<AdminSocket> => {
    const server = await startAdminSocket(path, handler, onBug === undefined ? {} : { onBug });
    servers.push(server);
    return server;
  };
  const echo: AdminHandler = async (request) => [request];

  /** Says `octets` as a client that is none of ours, and hears all that comes back. */
  const say = async (octets: string | Buffer): Promise<string> => {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.end(octets);
    return (await buffer(socket)).toString();
  };

  it('carries a request to the handler and its records back', async () => {
    await start(echo);
    const request = { name: 'user list', args: { domain: 'exämple.test', words: ['a\nb', ''] } };
    assert.deepEqual(await askServer(path, request), [request]);
  });

  it('carries many records, and none', async () => {
    const records = Array.from({ length: 20_000 }, (_, n) => ({ n, text: 'x'.repeat(100) }));
    await start(async ({ name }) => (name === 'many' ? records : []));
    assert.deepEqual(await askServer(path, { name: 'many', args: null }), records);
    assert.deepEqual(await askServer(path, { name: 'none', args: null }), []);
  });

  it('throws in the client what the operation threw in the server', async () => {
    const thrown = {
      refused: new RefusedError('already-exists', 'It is there.', new Error('private')),
      unavailable: new UnavailableError('key-service-down', 'Later.'),
      integrity: new IntegrityError('seal-broken', 'Broken.'),
      protocol: new ProtocolError('What?'),
    };
    await start(async ({ name }) => Promise.reject(thrown[name as keyof typeof thrown]));
    for (const [name, error] of Object.entries(thrown)) {
      await assert.rejects(askServer(path, { name, args: null }), {
        name: error.name,
        kind: error.kind,
        code: error.code,
        message: error.message,
      });
    }
  });

  it('tells the server of a bug, and the client no word of it', async () => {
    const bugs: unknown[] = [];
    const bug = new TypeError('secret of alice@example.test');
    await start(
      () => Promise.reject(bug),
      (error) => bugs.push(error),
    );
    await assert.rejects(askServer(path, { name: 'x', args: null }), (error: Error) => {
      assert.doesNotMatch(error.message, /secret|alice/);
      return true;
    });
    assert.deepEqual(bugs, [bug]);
  });

  it('is open to its owner alone, with nothing left beside it', async () => {
    await start(echo);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(directory), ['admin.sock']);
  });

  it('goes away when it is closed, after the requests at work were answered', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: began, resolve: begin } = Promise.withResolvers<void>();
    const server = await start(async (request) => {
      begin();
      await gate;
      return [request];
    });
    const idle = connect(path);
    await once(idle, 'connect');
    const idleEnd = once(idle.resume(), 'close');
    const answer = askServer(path, { name: 'slow', args: null });
    await began;
    const closed = server.close();
    open();
    assert.deepEqual(await answer, [{ name: 'slow', args: null }]);
    await closed;
    await idleEnd;
    servers = [];
    assert.deepEqual(await readdir(directory), []);
    assert.equal(await askServer(path, { name: 'x', args: null }), null);
  });

  it('takes the place of one that a killed server left', async () => {
    await writeFile(path, '');
    await start(echo);
    assert.deepEqual(await askServer(path, { name: 'x', args: null }), [{ name: 'x', args: null }]);
  });

  it('works under a path that is too long for a socket address', async () => {
    directory = join(directory, 'd'.repeat(120));
    await mkdir(directory);
    path = adminSocketPath(directory);
    await start(echo);
    assert.deepEqual(await askServer(path, { name: 'x', args: null }), [{ name: 'x', args: null }]);
  });

  it('answers that nobody listens where there is no socket, and where there is no directory', async () => {
    assert.equal(await askServer(path, { name: 'x', args: null }), null);
    assert.equal(await askServer(join(directory, 'none', 'admin.sock'), { name: 'x', args: null }), null);
  });

  for (const [what, octets] of [
    ['no JSON', 'HELP\n'],
    ['an array', '[]\n'],
    ['null', 'null\n'],
    ['a name that is no text', '{"name":1,"args":{}}\n'],
    ['octets that are not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x0a])],
    ['an empty line', '\n'],
  ] as const) {
    it(`refuses ${what} without asking the handler`, async () => {
      await start(() => assert.fail('the handler was asked'));
      const answer = JSON.parse(await say(octets));
      assert.equal(answer.error.kind, 'protocol');
    });
  }

  it('refuses a request of more octets than the bound, and goes on serving', async () => {
    await start(async () => []);
    const bound = 'x'.repeat(ADMIN_REQUEST_OCTETS + 1);
    assert.match(await say(bound), /"kind":"protocol"/);
    await assert.rejects(askServer(path, { name: bound, args: null }), { code: 'too-big' });
    assert.deepEqual(await askServer(path, { name: 'x', args: null }), []);
  });

  it('says nothing to a client that leaves in the middle of its request', async () => {
    await start(() => assert.fail('the handler was asked'));
    assert.equal(await say('{"name":"user list",'), '');
  });

  it('reads a request that comes in pieces', async () => {
    await start(echo);
    const socket = connect(path);
    const line = Buffer.from('{"name":"ü","args":[]}\n');
    for (const octet of line) socket.write(Buffer.of(octet));
    socket.end();
    assert.equal((await buffer(socket)).toString(), '{"record":{"name":"ü","args":[]}}\n{"end":true}\n');
  });

  it('does not take an answer that broke off for a whole one', async () => {
    const server = createServer((socket) => socket.end('{"record":{}}\n')).listen(path);
    await once(server, 'listening');
    await assert.rejects(askServer(path, { name: 'x', args: null }), UnavailableError);
    server.close();
  });

  it('does not believe an answer of another protocol', async () => {
    const server = createServer((socket) => socket.end('220 localhost ESMTP\n')).listen(path);
    await once(server, 'listening');
    await assert.rejects(askServer(path, { name: 'x', args: null }), ProtocolError);
    server.close();
  });
});
