/**
 * Issues X.509 certificates (RFC 5280) for ECDSA P-256 keys, with the extensions that strict verifiers ask for: key
 * identifiers, key usages, subject alternative names.
 */
import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

export interface Issuer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface CertificateRequest {
  /** The subject's common name; 64 characters at most. */
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** For an authority, which may issue no further one; else for a server with these DNS names and IP addresses. */
  readonly use: 'authority' | { readonly serverNames: readonly string[] };
}

const ECDSA_WITH_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const VERSION_3 = explicit(0, integer(Buffer.of(2)));

/** @returns the certificate in PEM. */
export function issueCertificate(issuer: Issuer, request: CertificateRequest): string {
  const toBeSigned = sequence(
    VERSION_3,
    // RFC 5280 §4.1.2.2: positive, at most 20 octets.
    integer(randomBytes(16)),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer.name),
    sequence(time(request.notBefore), time(request.notAfter)),
    distinguishedName(request.name),
    publicKeyInfo(request.publicKey),
    explicit(3, sequence(...extensions(issuer, request))),
  );
  const signature = sign('sha256', toBeSigned, issuer.privateKey);
  const certificate = sequence(toBeSigned, ECDSA_WITH_SHA256, bitString(signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** RFC 5280 §4.2.1, and which of them are critical. */
function extensions(issuer: Issuer, { publicKey, use }: CertificateRequest): Buffer[] {
  const identifiers = [
    extension('2.5.29.14', false, octetString(keyIdentifier(publicKey))),
    extension('2.5.29.35', false, sequence(implicit(0, keyIdentifier(issuer.publicKey)))),
  ];
  if (use === 'authority') {
    return [
      extension('2.5.29.19', true, sequence(boolean(true), integer(Buffer.of(0)))),
      // keyCertSign (5) and cRLSign (6).
      extension('2.5.29.15', true, bitString(Buffer.of(0b0000_0110), 1)),
      ...identifiers,
    ];
  }
  return [
    extension('2.5.29.19', true, sequence()),
    // digitalSignature (0).
    extension('2.5.29.15', true, bitString(Buffer.of(0b1000_0000), 7)),
    // serverAuth.
    extension('2.5.29.37', false, sequence(objectIdentifier('1.3.6.1.5.5.7.3.1'))),
    extension('2.5.29.17', false, sequence(...use.serverNames.map(generalName))),
    ...identifiers,
  ];
}

function extension(identifier: string, isCritical: boolean, value: Uint8Array): Buffer {
  // DER leaves out what is the default.
  const critical = isCritical ? [boolean(true)] : [];
  return sequence(objectIdentifier(identifier), ...critical, octetString(value));
}

/** RFC 5280 §4.2.1.6: dNSName is [2], iPAddress is [7] with the address's octets. */
function generalName(name: string): Buffer {
  switch (isIP(name)) {
    case 4:
      return implicit(7, Buffer.from(name.split('.').map(Number)));
    case 6:
      return implicit(7, ipv6Octets(name));
    default:
      return implicit(2, Buffer.from(name, 'ascii'));
  }
}

function ipv6Octets(address: string): Buffer {
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const [head = '', tail] = address.split('::');
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  const all = [...before, ...zeros, ...after].map((group) => group.padStart(4, '0'));
  return Buffer.from(all.join(''), 'hex');
}

const distinguishedName = (commonName: string): Buffer =>
  sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(commonName))));

const publicKeyInfo = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

/** RFC 5280 §4.2.1.2 method (1): SHA-1 of the bits of the public key, which is the 65-octet point at the end. */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha1').update(publicKeyInfo(key).subarray(-65)).digest();
}
