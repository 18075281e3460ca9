/** Reads what Outlook asks. MS-OXDSCLI §2.2.3: an address and the schema of the answer, in an XML document. */
import { Parser } from 'htmlparser2';

export interface AutodiscoverRequest {
  readonly address: string;
  readonly responseSchema: string;
}

const ADDRESS = /^[^\s@<>"&\p{Cc}]{1,64}@[^\s@<>"&\p{Cc}]{1,255}$/u;
const WANTED = ['emailaddress', 'acceptableresponseschema'];

/** @returns null when it is no such document. Entities other than XML's own five are left as they are. */
export function readAutodiscoverRequest(xml: string): AutodiscoverRequest | null {
  const found = new Map<string, string>();
  let current: string | null = null;
  const parser = new Parser(
    {
      onopentagname(name) {
        const localName = name.replace(/^.*:/, '').toLowerCase();
        current = WANTED.includes(localName) ? localName : null;
      },
      ontext(text) {
        if (current !== null) found.set(current, (found.get(current) ?? '') + text);
      },
      onclosetag() {
        current = null;
      },
    },
    { xmlMode: true, decodeEntities: true },
  );
  parser.end(xml);
  const address = found.get('emailaddress')?.trim() ?? '';
  const responseSchema = found.get('acceptableresponseschema')?.trim() ?? '';
  return ADDRESS.test(address) ? { address, responseSchema } : null;
}
