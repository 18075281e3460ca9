/** The endpoint's keys in a file, so that what they wrapped opens after a restart of the endpoint. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Key, KeyTable } from './key-table.ts';

type StoredKey = Omit<Key, 'arn'> & { readonly arn: string; readonly aliases: readonly string[] };

export function readKeys(path: string): KeyTable {
  const keys = new KeyTable();
  if (!existsSync(path)) return keys;
  for (const { aliases, ...key } of JSON.parse(readFileSync(path, 'utf8')) as StoredKey[])
    keys.add(key, aliases);
  return keys;
}

export function writeKeys(path: string, keys: KeyTable): void {
  const stored = keys.all.map((key): StoredKey => ({ ...key, aliases: keys.aliasesOf(key) }));
  writeFileSync(`${path}.new`, JSON.stringify(stored), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
