/**
 * A certificate for trying Letterlock on one's own machine: made with an authority of its own, whose certificate a
 * client is told to trust. The authority's private key is never stored: it signs one certificate and is forgotten, so
 * that trusting it gives nobody who finds the directory the power to issue another.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { issueCertificate } from './issue.ts';

export interface DemoCertificate {
  /** PEM: what clients are to trust. */
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

export const DEMO_NAMES: readonly string[] = ['localhost', '127.0.0.1', '::1'];

const DAY_MS = 24 * 3600 * 1000;
/** Apple's systems refuse server certificates that are valid for more than 825 days, whoever issued them. */
const VALID_DAYS = 800;
const RENEW_DAYS = 30;

/**
 * Makes the three files in the directory (0700, files 0600), or keeps those there while they fit together, cover the
 * names and are good for another month. Call it again when the certificate is replaced: the authority is another then.
 */
export async function demoCertificate(
  directory: string,
  names: readonly string[] = DEMO_NAMES,
  now = new Date(),
): Promise<DemoCertificate> {
  const files: DemoCertificate = {
    authorityFile: join(directory, 'ca.pem'),
    certificateFile: join(directory, 'certificate.pem'),
    keyFile: join(directory, 'key.pem'),
  };
  if (await isGood(files, names, now)) return files;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { authority, certificate, key } = makeCertificate(names, now);
  // A crash in between leaves files that do not fit together, which the next start replaces.
  await replace(files.keyFile, key);
  await replace(files.certificateFile, certificate);
  await replace(files.authorityFile, authority);
  return files;
}

function makeCertificate(names: readonly string[], now: Date) {
  // An hour back, for clients whose clock is slow.
  const notBefore = new Date(now.getTime() - DAY_MS / 24);
  const notAfter = new Date(notBefore.getTime() + VALID_DAYS * DAY_MS);
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  // Each its own name: clients that trust an older one would else try its key on this signature.
  const issuer = { ...authority, name: `Letterlock demo authority ${now.toISOString()}` };
  return {
    authority: issueCertificate(issuer, {
      name: issuer.name,
      publicKey: issuer.publicKey,
      notBefore,
      notAfter,
      use: 'authority',
    }),
    certificate: issueCertificate(issuer, {
      name: 'Letterlock demo',
      publicKey: server.publicKey,
      notBefore,
      notAfter,
      use: { serverNames: names },
    }),
    key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

async function isGood(files: DemoCertificate, names: readonly string[], now: Date): Promise<boolean> {
  try {
    const authority = new X509Certificate(await readFile(files.authorityFile));
    const certificate = new X509Certificate(await readFile(files.certificateFile));
    const key = createPrivateKey(await readFile(files.keyFile));
    return (
      certificate.checkPrivateKey(key) &&
      certificate.verify(authority.publicKey) &&
      names.every((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name))) &&
      new Date(certificate.validTo).getTime() > now.getTime() + RENEW_DAYS * DAY_MS
    );
  } catch {
    return false;
  }
}

async function replace(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, content, { mode: 0o600, flush: true });
  await rename(temporary, path);
}
