/**
 * The root key of the local key service: 32 octets as 64 hex digits and LF. docs/format.md, "Keys".
 *
 * Losing this file loses all mail, and who reads it can unwrap every identity. So it is never overwritten, it is on
 * stable storage before anything is wrapped with it, and a file that others may read is refused rather than repaired.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { constants, type FileHandle, link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { IntegrityError, RefusedError, UnavailableError } from '../errors.ts';

const KEY_OCTETS = 32;
const FILE_OCTETS = 2 * KEY_OCTETS + 1;
const CONTENT = /^[0-9a-f]{64}\n$/;
const OTHERS = 0o077;

const ROOT_KEY = 'root key file of the local key service';

/**
 * @param name What the errors call it: the checkpoint key (checkpoint-writer.ts) is kept in the same way.
 * @throws IntegrityError 'missing-key' when there is no such file, 'format' when it is not a root key;
 *   RefusedError 'not-permitted' when group or others have any right to it; UnavailableError when it cannot be read.
 */
export async function readRootKey(path: string, name = ROOT_KEY): Promise<KeyObject> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) {
      throw new IntegrityError('missing-key', `The ${name} is missing.`, cause);
    }
    throw new UnavailableError('key-service-down', `The ${name} cannot be opened.`, cause);
  }
  try {
    // Of the open file, not of the path: nobody can exchange it between the check and the reading.
    const { mode, size } = await file.stat();
    if ((mode & OTHERS) !== 0) {
      throw new RefusedError(
        'not-permitted',
        `The ${name} is open to group or others: its mode must be 0600.`,
      );
    }
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size !== FILE_OCTETS) throw notAKey(name);
    const octets = Buffer.alloc(FILE_OCTETS);
    await file.read(octets, 0, FILE_OCTETS, 0);
    const text = octets.toString('latin1');
    octets.fill(0);
    if (!CONTENT.test(text)) throw notAKey(name);
    const key = Buffer.from(text.trimEnd(), 'hex');
    const rootKey = createSecretKey(key);
    key.fill(0);
    return rootKey;
  } finally {
    await file.close();
  }
}

/**
 * Makes a new root key at `path`, durable when this resolves.
 * @throws RefusedError 'already-exists': the file there is left as it is.
 */
export async function createRootKey(path: string, name = ROOT_KEY): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.new`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    const key = randomBytes(KEY_OCTETS);
    await file.writeFile(`${key.toString('hex')}\n`);
    key.fill(0);
    await file.sync();
    // A link, not a rename: it fails when the name exists.
    await link(temporary, path);
  } catch (cause) {
    if (isErrno(cause, 'EEXIST')) {
      throw new RefusedError('already-exists', `There is a ${name} already.`, cause);
    }
    throw cause;
  } finally {
    await file.close();
    await unlink(temporary);
  }
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

const notAKey = (name: string): IntegrityError =>
  new IntegrityError('format', `The ${name} does not hold 64 hex digits and a line feed.`);
