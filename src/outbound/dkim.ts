/**
 * DKIM signatures: RFC 6376, relaxed/relaxed, rsa-sha256 and ed25519-sha256 (RFC 8463). What is signed is what goes out: the
 * fields that readers see and the whole body. No library signs with both and streams; test/outbound/dkim.test.ts has
 * mailauth verify what this makes.
 */
import { createHash, type Hash, sign } from 'node:crypto';
import type { DkimSigner } from '../keys/dkim-keys.ts';
import { type HeaderField, parseHeader } from '../message/header.ts';

/** RFC 6376 §5.4.1: the content that readers see, and what makes it. */
const SIGNED = [
  ...['from', 'to', 'cc', 'subject', 'date', 'message-id', 'reply-to', 'sender', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding', 'content-disposition'],
  ...['list-id', 'list-unsubscribe', 'list-unsubscribe-post', 'list-post', 'auto-submitted'],
];
/** Named once more than they are there, so that none can be added: RFC 6376 §8.15. */
const OVERSIGNED = new Set(['from', 'to', 'cc', 'subject', 'date', 'message-id', 'reply-to', 'content-type']);

const ALGORITHMS = { rsa: 'rsa-sha256', ed25519: 'ed25519-sha256' } as const;
const FOLD_AT = 72;

/**
 * @param header The header section as it goes out.
 * @param bodyHash Of `bodyHashOf`.
 * @returns Fields to put in front of the message, each with its CRLF; '' without a From field.
 */
export function signatureFields(
  header: Buffer,
  bodyHash: Buffer,
  signers: readonly DkimSigner[],
  at: Date,
): string {
  const fields = parseHeader(header);
  const { names, text } = signedFields(header, fields);
  if (!names.includes('from')) return '';
  return signers.map((signer) => signatureField(signer, names, text, bodyHash, at)).join('');
}

/** RFC 6376 §3.4.4 and §3.7, of the octets behind the header section. */
export async function bodyHashOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const relaxed = new RelaxedBody(createHash('sha256'));
  for await (const chunk of body) relaxed.push(chunk);
  return relaxed.end();
}

function signatureField(
  { domain, selector, algorithm, key }: DkimSigner,
  names: readonly string[],
  text: string,
  bodyHash: Buffer,
  at: Date,
): string {
  const tags = [
    ...['v=1', `a=${ALGORITHMS[algorithm]}`, 'c=relaxed/relaxed', `d=${domain}`, `s=${selector}`],
    `t=${Math.floor(at.getTime() / 1000)}`,
    `h=${names.join(':')}`,
    `bh=${bodyHash.toString('base64')}`,
    'b=',
  ];
  const unsigned = `DKIM-Signature: ${folded(tags.join('; '))}`;
  const data = Buffer.from(`${text}${relaxedField(unsigned)}`, 'latin1');
  // RFC 8463 §3: the hash is signed, by PureEdDSA.
  const signature =
    algorithm === 'rsa'
      ? sign('sha256', data, key)
      : sign(null, createHash('sha256').update(data).digest(), key);
  return `${unsigned}${signature.toString('base64').replace(/.{1,72}/g, '\r\n\t$&')}\r\n`;
}

/** RFC 6376 §5.4.2: several fields of a name are taken from the bottom up. */
function signedFields(
  header: Buffer,
  fields: readonly HeaderField[],
): { names: readonly string[]; text: string } {
  const byName = Map.groupBy(fields, ({ name }) => name.toLowerCase());
  const names: string[] = [];
  let text = '';
  for (const name of SIGNED) {
    const found = byName.get(name) ?? [];
    for (const { start, end } of found.toReversed()) {
      names.push(name);
      text += `${relaxedField(header.toString('latin1', start, end))}\r\n`;
    }
    if (OVERSIGNED.has(name)) names.push(name);
  }
  return { names, text };
}

/** RFC 6376 §3.4.2. Latin1 text, octet for octet. */
function relaxedField(field: string): string {
  const colon = field.indexOf(':');
  const name = field.slice(0, colon).trim().toLowerCase();
  const value = field
    .slice(colon + 1)
    .replace(/\r?\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '');
  return `${name}:${value}`;
}

function folded(text: string): string {
  let lines = '';
  let line = '';
  // Within h= a colon is where white space may stand (RFC 6376 §3.5).
  for (const word of text.split(/(?<=; |:)/)) {
    if (line !== '' && line.length + word.length > FOLD_AT) {
      lines += `${line.trimEnd()}\r\n\t`;
      line = '';
    }
    line += word;
  }
  return lines + line;
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

/** RFC 6376 §3.4.4, octet by octet, in any chunking. */
class RelaxedBody {
  readonly #hash: Hash;
  #isAfterCr = false;
  #hasSpace = false;
  /** Line ends that count only when something follows. */
  #lineEnds = 0;
  #isEmpty = true;

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  push(chunk: Buffer): void {
    // At worst a space and a line end before each octet; the line ends held back come before the first.
    const out = Buffer.allocUnsafe(3 * chunk.length + 2);
    let length = 0;
    for (const octet of chunk) {
      if (octet === LF) {
        this.#isAfterCr = false;
        this.#endLine();
        continue;
      }
      // What is sent has CRLF for a CR alone too.
      if (this.#isAfterCr) this.#endLine();
      this.#isAfterCr = octet === CR;
      if (octet === CR) continue;
      if (octet === SPACE || octet === TAB) {
        this.#hasSpace = true;
        continue;
      }
      if (this.#lineEnds > 0) {
        this.#hash.update(out.subarray(0, length));
        length = 0;
        this.#hash.update('\r\n'.repeat(this.#lineEnds));
        this.#lineEnds = 0;
      }
      if (this.#hasSpace) out[length++] = SPACE;
      this.#hasSpace = false;
      out[length++] = octet;
      this.#isEmpty = false;
    }
    this.#hash.update(out.subarray(0, length));
  }

  /** An empty body has no line at all. */
  end(): Buffer {
    if (!this.#isEmpty) this.#hash.update('\r\n');
    return this.#hash.digest();
  }

  #endLine(): void {
    this.#hasSpace = false;
    this.#lineEnds++;
  }
}
