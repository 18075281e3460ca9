import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type Server } from 'node:tls';
import { promisify } from 'node:util';
import { after, before, describe, it } from 'mocha';
import { type DemoCertificate, demoCertificate } from '../../src/tls/demo-authority.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const run = promisify(execFile);
const DAY_MS = 24 * 3600 * 1000;

describe('the demo certificate', () => {
  let scratch: string;
  let files: DemoCertificate;
  let server: Server;
  let port: number;

  before(async () => {
    scratch = await makeScratch('tls');
    files = await demoCertificate(join(scratch, 'tls'));
    const [cert, key] = await Promise.all([readFile(files.certificateFile), readFile(files.keyFile)]);
    server = createServer({ cert, key }, (socket) => {
      socket.on('error', () => {});
      socket.end('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(async () => {
    server.close();
    await removeScratch(scratch);
  });

  for (const host of ['localhost', '127.0.0.1']) {
    it(`is accepted for ${host} by a client that trusts the authority`, async () => {
      const ca = await readFile(files.authorityFile);
      const socket = connect({ host, port, ca });
      await once(socket, 'secureConnect');
      assert.equal(socket.authorized, true);
      socket.destroy();
    });
  }

  it('covers ::1', async () => {
    assert.ok(new X509Certificate(await readFile(files.certificateFile)).checkIP('::1'));
  });

  it('is refused for another name, and by a client that does not trust the authority', async () => {
    const ca = await readFile(files.authorityFile);
    await assert.rejects(
      once(connect({ host: '127.0.0.1', port, ca, servername: 'other.test' }), 'secureConnect'),
      {
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      },
    );
    await assert.rejects(once(connect({ host: 'localhost', port }), 'secureConnect'));
  });

  it('is accepted by curl', async () => {
    const url = `https://localhost:${port}/`;
    const { stdout } = await run('curl', ['--silent', '--show-error', '--cacert', files.authorityFile, url]);
    assert.equal(stdout, 'ok');
  });

  it("is accepted by Python's ssl under its strictest rules", async () => {
    const script = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
for name in ("localhost", "127.0.0.1"):
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname=name) as s:
        print(s.version())
`;
    const { stdout } = await run('python3', ['-c', script, files.authorityFile, String(port)]);
    assert.equal(stdout, 'TLSv1.3\nTLSv1.3\n');
  });

  it('leaves nothing in its directory that could issue another', async () => {
    assert.deepEqual((await readdir(join(scratch, 'tls'))).sort(), ['ca.pem', 'certificate.pem', 'key.pem']);
    const authority = new X509Certificate(await readFile(files.authorityFile));
    assert.equal(authority.ca, true);
    const server = new X509Certificate(await readFile(files.certificateFile));
    assert.equal(server.ca, false);
    assert.notDeepEqual(
      server.publicKey.export({ type: 'spki', format: 'der' }),
      authority.publicKey.export({ type: 'spki', format: 'der' }),
    );
    for (const file of Object.values(files) as string[]) assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  describe('at the next start', () => {
    const serial = async (path: string) => new X509Certificate(await readFile(path)).serialNumber;
    const again = async (
      change: (files: DemoCertificate) => Promise<unknown>,
      now?: Date,
      names?: string[],
    ) => {
      const directory = await makeScratch('tls');
      try {
        const made = await demoCertificate(directory);
        const old = await serial(made.certificateFile);
        await change(made);
        await demoCertificate(directory, names, now);
        const certificate = new X509Certificate(await readFile(made.certificateFile));
        assert.ok(certificate.verify(new X509Certificate(await readFile(made.authorityFile)).publicKey));
        return (await serial(made.certificateFile)) === old ? 'kept' : 'made anew';
      } finally {
        await removeScratch(directory);
      }
    };
    const nothing = async () => {};

    it('is kept', async () => {
      assert.equal(await again(nothing), 'kept');
    });
    it('is made anew in its last month', async () => {
      assert.equal(await again(nothing, new Date(Date.now() + 769 * DAY_MS)), 'kept');
      assert.equal(await again(nothing, new Date(Date.now() + 771 * DAY_MS)), 'made anew');
    });
    it('is made anew when a name is missing', async () => {
      assert.equal(await again(nothing, undefined, ['localhost', 'mail.demo.test']), 'made anew');
    });
    it('is made anew when a crash left files that do not fit together', async () => {
      const foreign = await readFile(files.keyFile);
      assert.equal(await again((made) => writeFile(made.keyFile, foreign)), 'made anew');
      assert.equal(await again((made) => writeFile(made.authorityFile, '')), 'made anew');
    });
  });
});
