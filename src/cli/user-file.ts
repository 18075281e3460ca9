/** The CSV file of `user import`. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { canonicalAddress } from '../directory/address.ts';
import { ADMIN_REQUEST_OCTETS, IMPORT_USERS } from '../limits.ts';
import { FailedError } from './command.ts';
import { CsvError, type CsvRow, parseCsv } from './csv.ts';
import { readAll } from './read-all.ts';
import { parseSize } from './size.ts';

export interface UserRow {
  readonly line: number;
  readonly address: string;
  /** null when empty: cannot log in yet. */
  readonly password: string | null;
  readonly displayName: string;
  /** Absent when empty: the default. */
  readonly quotaOctets?: number | null;
}

const COLUMNS = ['address', 'password', 'display name', 'quota'] as const;
type Column = (typeof COLUMNS)[number];

/** @param file A path, or `-` for `stdin`. @throws FailedError that names the line. */
export async function readUserFile(file: string, stdin: Readable): Promise<UserRow[]> {
  const stream = file === '-' ? stdin : createReadStream(file);
  return parseUsers(await readAll(stream, ADMIN_REQUEST_OCTETS, 'The file of users'));
}

/** @throws FailedError that names the line. */
export function parseUsers(text: string): UserRow[] {
  try {
    const [header, ...rows] = parseCsv(text);
    if (header === undefined) throw new FailedError('The file of users is empty.');
    const columns = columnsOf(header);
    if (rows.length > IMPORT_USERS) throw new FailedError(`One import takes at most ${IMPORT_USERS} users.`);
    const users = rows.map((row) => userOf(row, columns));
    refuseRepeated(users);
    return users;
  } catch (error) {
    if (error instanceof CsvError) throw new FailedError(`Line ${error.line}: ${error.message}.`);
    throw error;
  }
}

/** Which column stands where. */
function columnsOf({ line, fields }: CsvRow): readonly Column[] {
  const names = fields.map((field) => field.trim().toLowerCase());
  const stranger = names.find((name) => !COLUMNS.includes(name as Column));
  if (stranger !== undefined || !names.includes('address')) {
    throw new CsvError(line, `the first line must name the columns: ${COLUMNS.join(',')}`);
  }
  if (new Set(names).size < names.length) throw new CsvError(line, 'a column is named twice');
  return names as Column[];
}

function userOf({ line, fields }: CsvRow, columns: readonly Column[]): UserRow {
  if (fields.length !== columns.length) {
    throw new CsvError(line, `${columns.length} columns are expected, ${fields.length} are there`);
  }
  const field = (column: Column): string => fields[columns.indexOf(column)] ?? '';
  const address = field('address').trim();
  if (canonicalAddress(address) === null) {
    throw new CsvError(line, 'that is not an address: local-part@domain is expected');
  }
  const quotaOctets = field('quota').trim() === '' ? undefined : parseSize(field('quota').trim());
  if (quotaOctets === undefined && field('quota').trim() !== '') {
    throw new CsvError(line, 'the quota is not a size such as 500M or 5G, or none');
  }
  return {
    line,
    address,
    password: field('password') === '' ? null : field('password'),
    displayName: field('display name').trim(),
    ...(quotaOctets === undefined ? {} : { quotaOctets }),
  };
}

function refuseRepeated(users: readonly UserRow[]): void {
  const lines = new Map<string, number>();
  for (const { line, address } of users) {
    const canonical = canonicalAddress(address)!.address;
    const earlier = lines.get(canonical);
    if (earlier !== undefined) throw new CsvError(line, `the address is that of line ${earlier}`);
    lines.set(canonical, line);
  }
}
