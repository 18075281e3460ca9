/** What a demo remembers between its starts, in its data directory: the password in clear, because it is a demo. */
import { randomInt } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FailedError } from './command.ts';

const demoState = z.strictObject({
  domain: z.string(),
  password: z.string(),
  /** How many of u0001@ ... were made; null until the first start has made everything. */
  users: z.int().nonnegative().nullable(),
});

export type DemoState = Readonly<z.infer<typeof demoState>>;

const fileOf = (data: string): string => join(data, 'demo.json');

/** @returns null before the first start. @throws FailedError when the file is not one of ours. */
export async function readDemoState(data: string): Promise<DemoState | null> {
  let text: string;
  try {
    text = await readFile(fileOf(data), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return demoState.parse(JSON.parse(text));
  } catch (error) {
    throw new FailedError(`${fileOf(data)} cannot be read; it is not what a demo writes.`, { cause: error });
  }
}

export async function writeDemoState(data: string, state: DemoState): Promise<void> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  const file = fileOf(data);
  await writeFile(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

/** No letter or digit that looks like another, and nothing that a shell or an URL would take for its own. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
/** 79 bits. */
const CHARACTERS = 16;

export const generatePassword = (): string =>
  Array.from({ length: CHARACTERS }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
