import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type SecureContextOptions } from 'node:tls';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RefusedError } from '../../src/errors.ts';
import { Certificate } from '../../src/tls/certificate.ts';
import { type DemoCertificate, demoCertificate } from '../../src/tls/demo-authority.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

describe('the server certificate', () => {
  let scratch: string;
  let files: DemoCertificate;
  let other: DemoCertificate;
  let certificate: Certificate | null = null;
  let errors: string[];

  const log = { info: () => {}, error: (_fields: object, message: string) => void errors.push(message) };
  const open = async (pollMs?: number) => {
    certificate = await Certificate.open({ ...files, log, ...(pollMs === undefined ? {} : { pollMs }) });
    return certificate;
  };
  const serialOf = ({ cert }: SecureContextOptions) => new X509Certificate(cert as Buffer).serialNumber;
  const serialIn = async (path: string) => new X509Certificate(await readFile(path)).serialNumber;
  const replaceBoth = async () => {
    await copyFile(other.keyFile, files.keyFile);
    await copyFile(other.certificateFile, files.certificateFile);
  };

  beforeEach(async () => {
    scratch = await makeScratch('tls');
    errors = [];
    files = await demoCertificate(join(scratch, 'a'));
    other = await demoCertificate(join(scratch, 'b'));
  });
  afterEach(async () => {
    certificate?.close();
    certificate = null;
    await removeScratch(scratch);
  });

  it('is refused at the start when its files are missing, broken or of two pairs', async () => {
    const refused = (error: unknown) => error instanceof RefusedError && error.code === 'invalid';
    const withKey = (keyFile: string) => Certificate.open({ ...files, keyFile, log });
    await assert.rejects(withKey(join(scratch, 'none')), refused);
    await assert.rejects(withKey(files.certificateFile), refused);
    await assert.rejects(withKey(other.keyFile), refused);
  });

  it('is replaced on request, and those who asked are told', async () => {
    const current = await open();
    const told: string[] = [];
    current.onChange((options) => told.push(serialOf(options)));
    await replaceBoth();
    assert.equal(await current.reload(), true);
    const serial = await serialIn(other.certificateFile);
    assert.equal(serialOf(current.secureContextOptions), serial);
    assert.deepEqual(told, [serial]);
  });

  it('is replaced by itself when its files change', async () => {
    const current = await open(5);
    const changed = new Promise<SecureContextOptions>((resolve) => current.onChange(resolve));
    await replaceBoth();
    assert.equal(serialOf(await changed), await serialIn(other.certificateFile));
  });

  it('stays while the new files cannot be used, with an error in the log', async () => {
    const current = await open();
    const before = current.secureContext;
    await copyFile(other.keyFile, files.keyFile);
    assert.equal(await current.reload(), false);
    await writeFile(files.certificateFile, 'x');
    assert.equal(await current.reload(), false);
    assert.equal(current.secureContext, before);
    assert.equal(errors.length, 2);
    await replaceBoth();
    assert.equal(await current.reload(), true);
  });

  it('is not used below TLS 1.2', async () => {
    const current = await open();
    const server = createServer(current.secureContextOptions).on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const handshake = async (maxVersion: 'TLSv1.1' | 'TLSv1.2') => {
      const ciphers = 'DEFAULT@SECLEVEL=0';
      const tls = { rejectUnauthorized: false, minVersion: 'TLSv1', maxVersion, ciphers } as const;
      const socket = connect({ port, host: '127.0.0.1', ...tls });
      await once(socket, 'secureConnect');
      socket.destroy();
    };
    await handshake('TLSv1.2');
    await assert.rejects(handshake('TLSv1.1'));
    server.close();
  });
});
