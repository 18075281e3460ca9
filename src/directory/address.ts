/**
 * Addresses as the directory compares them: local part in lower case (RFC 5321 §2.4 leaves that to the receiving host)
 * and Unicode form NFC (RFC 6531, RFC 6532 §3.1), domain in A-labels. What is canonical stays as it is.
 */
import { domainToASCII } from 'node:url';
import { RefusedError } from '../errors.ts';
import { LOCAL_PART_OCTETS } from '../limits.ts';

export interface CanonicalAddress {
  readonly localPart: string;
  readonly domain: string;
  /** `localPart@domain`. */
  readonly address: string;
}

/** RFC 5321 §4.1.2 Dot-string, with RFC 6531's UTF-8. */
const DOT_STRING = /^[^\s"(),:;<>@[\]\\.\p{Cc}\p{Cs}]+(\.[^\s"(),:;<>@[\]\\.\p{Cc}\p{Cs}]+)*$/u;

/** What a domain is written in: of ASCII only letters, digits, hyphen, underscore and the dot. */
const DOMAIN_CHARACTERS = /^(?:[a-z0-9._-]|\P{ASCII})+$/iu;
const A_LABELS = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
/** RFC 1034 §3.1, in characters. */
const DOMAIN_LENGTH = 253;
const LABEL_LENGTH = 63;

/** @returns null for what is not `local-part@domain`. */
export function canonicalAddress(text: string): CanonicalAddress | null {
  const at = text.lastIndexOf('@');
  if (at < 1) return null;
  const localPart = canonicalLocalPart(text.slice(0, at));
  const domain = canonicalDomain(text.slice(at + 1));
  if (localPart === null || domain === null) return null;
  return { localPart, domain, address: `${localPart}@${domain}` };
}

/** @throws RefusedError 'invalid'. */
export function requireAddress(text: string): CanonicalAddress {
  const address = canonicalAddress(text);
  if (address === null)
    throw new RefusedError('invalid', 'That is not an address: local-part@domain is expected');
  return address;
}

/** @returns null for what is not a domain name. */
export function canonicalDomain(text: string): string | null {
  const name = text.normalize('NFC').replace(/\.$/, '');
  // domainToASCII takes a URL's host: it decodes %2e, ends at a slash and makes an IP address of 0x7f.1.
  if (!DOMAIN_CHARACTERS.test(name)) return null;
  const domain = domainToASCII(name);
  if (domain.length > DOMAIN_LENGTH || !A_LABELS.test(domain)) return null;
  const labels = domain.split('.');
  // No top-level domain is a number (RFC 3696 §2): where the last label is one, it was an IP address.
  if (/^\d+$/.test(labels.at(-1)!)) return null;
  return labels.every((label) => label.length <= LABEL_LENGTH) ? domain : null;
}

/** The local part without its sub-address (RFC 5233): `user` of `user+detail`; itself when there is none. */
export function withoutDetail(localPart: string): string {
  const plus = localPart.indexOf('+');
  return plus > 0 ? localPart.slice(0, plus) : localPart;
}

function canonicalLocalPart(text: string): string | null {
  const content = text.startsWith('"') ? unquoted(text) : text;
  if (content === null) return null;
  // Before the check, because NFC makes ASCII of some characters: U+037E becomes a semicolon. And after the change of
  // case, which may leave what can be composed.
  const localPart = content.normalize('NFC').toLowerCase().normalize('NFC');
  if (!DOT_STRING.test(localPart)) return null;
  return Buffer.byteLength(localPart) <= LOCAL_PART_OCTETS ? localPart : null;
}

/** RFC 5321 §4.1.2: a quoted string means what its content means. */
function unquoted(text: string): string | null {
  if (text.length < 2 || !text.endsWith('"')) return null;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
