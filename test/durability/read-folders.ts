/** Reads folders as they are: UIDs, flags, modseqs, sizes, and the token or all octets of the messages. */
import type { RawImap } from '../support/raw-imap.ts';
import { flagText } from './folder-state.ts';
import type { ReadFolder, Territory } from './territory.ts';

const TOKEN_FIELD = 'BODY.PEEK[HEADER.FIELDS (X-Token)]';

/** One message of a FETCH response. */
export interface Fetched {
  readonly uid: number;
  readonly flags: string;
  readonly modSeq: number;
  readonly sizeOctets: number;
  /** Of the header field X-Token, when the header was asked for. */
  readonly token: string | undefined;
  /** The literal, when there is one. */
  readonly octets: string | undefined;
}

/** `X-Token`, in a response that carries it. */
const TOKEN = /^X-Token: (.*)\r$/m;
const LITERAL = /\{(\d+)\}\r\n/;

export function parseFetched(untagged: readonly string[]): Fetched[] {
  const fetched: Fetched[] = [];
  for (const response of untagged) {
    if (!/^\d+ FETCH /.test(response)) continue;
    const literal = LITERAL.exec(response);
    const end = literal === null ? 0 : literal.index + literal[0].length + Number(literal[1]);
    const octets = literal === null ? undefined : response.slice(literal.index + literal[0].length, end);
    const items = literal === null ? response : response.slice(0, literal.index) + response.slice(end);
    const number = (item: RegExp): number => Number(item.exec(items)?.[1] ?? 0);
    fetched.push({
      uid: number(/\bUID (\d+)/),
      flags: flagText((/\bFLAGS \(([^)]*)\)/.exec(items)?.[1] ?? '').split(' ').filter(Boolean)),
      modSeq: number(/\bMODSEQ \((\d+)\)/),
      sizeOctets: number(/\bRFC822\.SIZE (\d+)/),
      token: octets === undefined ? undefined : TOKEN.exec(octets)?.[1],
      octets,
    });
  }
  return fetched;
}

/**
 * All folders of a territory. Tokens are asked for where a UID is new; `whole` asks for every octet instead.
 * @param whole Told of every message's octets.
 */
export async function readFolders(
  imap: RawImap,
  territory: Territory,
  whole?: (token: string, octets: string) => void,
): Promise<Map<string, ReadFolder>> {
  const read = new Map<string, ReadFolder>();
  for (const folder of territory.folders) {
    const { untagged } = await imap.ok(`EXAMINE ${folder}`);
    const code = (name: string): number =>
      Number(untagged.map((line) => new RegExp(`\\[${name} (\\d+)\\]`).exec(line)?.[1]).find(Boolean) ?? 0);
    const header = { uidValidity: code('UIDVALIDITY'), uidNext: code('UIDNEXT') };
    const entries = new Map<number, { token: string; flags: string; modSeq: number; sizeOctets: number }>();
    const tokens = await tokensOf(imap, folder, territory, whole);
    const summaries = await imap.ok('UID FETCH 1:* (FLAGS MODSEQ RFC822.SIZE)');
    for (const { uid, flags, modSeq, sizeOctets } of parseFetched(summaries.untagged)) {
      const token = tokens.get(uid) ?? territory.tokenOf(folder, uid) ?? 'a message without a token';
      if (entries.has(uid)) throw new Error(`${folder} lists UID ${uid} twice`);
      entries.set(uid, { token, flags, modSeq, sizeOctets });
    }
    read.set(folder, { ...header, highestModSeq: code('HIGHESTMODSEQ'), entries });
  }
  return read;
}

async function tokensOf(
  imap: RawImap,
  folder: string,
  territory: Territory,
  whole?: (token: string, octets: string) => void,
): Promise<Map<number, string>> {
  const from = whole === undefined ? territory.highestUid(folder) + 1 : 1;
  const { untagged } = await imap.ok(
    `UID FETCH ${from}:* ${whole === undefined ? TOKEN_FIELD : 'BODY.PEEK[]'}`,
  );
  const tokens = new Map<number, string>();
  for (const { uid, token, octets } of parseFetched(untagged)) {
    if (token === undefined) continue;
    tokens.set(uid, token);
    whole?.(token, octets!);
  }
  return tokens;
}
