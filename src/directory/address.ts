/**
 * Addresses as the directory compares them: local part in lower case (RFC 5321 §2.4 leaves that to the receiving host)
 * and Unicode form NFC (RFC 6531, RFC 6532 §3.1), domain in A-labels.
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

/** RFC 5321 §4.1.2 Dot-string, with RFC 6531's UTF-8; a plus sign has a meaning of its own and may not be in a name. */
const DOT_STRING = /^[^\s"(),:;<>@[\]\\.\p{Cc}]+(\.[^\s"(),:;<>@[\]\\.\p{Cc}]+)*$/u;

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
  const domain = domainToASCII(text.replace(/\.$/, ''));
  const isName =
    domain.length <= 253 &&
    /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(domain);
  return isName && domain.split('.').every((label) => label.length <= 63) ? domain : null;
}

/** The local part without its sub-address (RFC 5233): `user` of `user+detail`; itself when there is none. */
export function withoutDetail(localPart: string): string {
  const plus = localPart.indexOf('+');
  return plus > 0 ? localPart.slice(0, plus) : localPart;
}

function canonicalLocalPart(text: string): string | null {
  const content = text.startsWith('"') ? unquoted(text) : text;
  if (content === null || !DOT_STRING.test(content)) return null;
  const localPart = content.normalize('NFC').toLowerCase();
  return Buffer.byteLength(localPart) <= LOCAL_PART_OCTETS ? localPart : null;
}

/** RFC 5321 §4.1.2: a quoted string means what its content means. */
function unquoted(text: string): string | null {
  if (text.length < 2 || !text.endsWith('"')) return null;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}
