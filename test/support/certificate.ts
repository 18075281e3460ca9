/** A certificate for localhost and its authority, made anew for each run of the tests: no private key lies in the tree. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoCertificate } from '../../src/tls/demo-authority.ts';

const directory = mkdtempSync(join(tmpdir(), 'letterlock-certificate-'));
const files = await demoCertificate(directory);

export const ca = readFileSync(files.authorityFile);
export const cert = readFileSync(files.certificateFile);
export const key = readFileSync(files.keyFile);

rmSync(directory, { recursive: true });
