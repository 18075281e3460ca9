/** Parameters of MAIL and RCPT by which another server learns what the sender wants to be told: RFC 3461 §4 and §5.2.1. */
import type { OnwardFacts, OnwardRecipient } from '../delivery/onward.ts';

/** With a space in front, or ''. */
export function dsnMailParameters({
  returns,
  envelopeId,
}: Pick<OnwardFacts, 'returns' | 'envelopeId'>): string {
  return `${returns === null ? '' : ` RET=${returns}`}${envelopeId === null ? '' : ` ENVID=${toXtext(envelopeId)}`}`;
}

/** With a space in front, or ''. */
export function dsnRecipientParameters({ notify, originalRecipient }: OnwardRecipient): string {
  return [
    notify === null ? '' : ` NOTIFY=${notify.join(',')}`,
    originalRecipient === null ? '' : ` ORCPT=${originalParameter(originalRecipient)}`,
  ].join('');
}

function originalParameter(original: string): string {
  const end = original.indexOf(';') + 1;
  return original.slice(0, end) + toXtext(original.slice(end));
}

/** RFC 3461 §4: printable ASCII but `+` and `=`, all else as `+` and two hex digits. */
export function toXtext(text: string): string {
  return [...Buffer.from(text)]
    .map((octet) =>
      octet > 0x20 && octet < 0x7f && octet !== 0x2b && octet !== 0x3d
        ? String.fromCharCode(octet)
        : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** @returns null for what is no xtext, or decodes to controls. */
export function fromXtext(xtext: string): string | null {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(xtext)) return null;
  const octets: number[] = [];
  for (let at = 0; at < xtext.length; at++) {
    if (xtext[at] !== '+') octets.push(xtext.charCodeAt(at));
    else {
      octets.push(Number.parseInt(xtext.slice(at + 1, at + 3), 16));
      at += 2;
    }
  }
  const text = Buffer.from(octets).toString('utf8');
  return /\p{Cc}/u.test(text) ? null : text;
}
