/** Addresses of the SMTP envelope, as the package hands them over and as the directory wants them. */
import { domainToASCII } from 'node:url';
import { ProtocolError } from '../errors.ts';
import { isAscii } from '../message/ascii.ts';

/**
 * The address with its domain in A-labels (RFC 5890): the package turns them into Unicode, the directory and trace fields
 * want them as DNS does. Local part and case stay as they came.
 * @throws ProtocolError 'address-not-ascii' when the local part needs SMTPUTF8 and the client did not ask for it
 *   (RFC 6531 §3.5).
 */
export function envelopeAddress(address: string, isUtf8: boolean): string {
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  if (!isUtf8 && !isAscii(local)) {
    throw new ProtocolError('The address needs SMTPUTF8', 'address-not-ascii');
  }
  const domain = address.slice(at + 1);
  if (at < 0 || isAscii(domain)) return address;
  const ascii = domainToASCII(domain);
  return ascii === '' ? address : `${local}@${ascii}`;
}
