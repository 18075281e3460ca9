/** Words that are nowhere but where a test puts them. */
import { randomBytes, randomInt } from 'node:crypto';

const KINDS = [
  // A message, and its envelope.
  'body',
  'header',
  'subject',
  'sender',
  'sendername',
  'mailfrom',
  'filename',
  'attachment',
  'quoted',
  'html',
  'helo',
  // Whom it goes on to, and what they say.
  'abroad',
  'recipient',
  'reply',
  // What IMAP names.
  'folder',
  'child',
  'renamed',
  'subscription',
  'keyword',
  'searched',
  'client',
  // Who was refused.
  'nobody',
  'relay',
  'stranger',
  'wrongpassword',
  'command',
  'path',
  // The directory: the leak budget lists it.
  'user',
  'displayname',
  'group',
  'password',
] as const;

export type CanaryKind = (typeof KINDS)[number];

export interface Canaries {
  readonly stem: string;
  readonly word: Readonly<Record<CanaryKind, string>>;
}

export function newCanaries(): Canaries {
  const stem = `zq${randomInt(36 ** 8)
    .toString(36)
    .padStart(8, '0')}kx`;
  const word = Object.fromEntries(KINDS.map((kind) => [kind, `${stem}${kind}q`]));
  return { stem, word: word as Record<CanaryKind, string> };
}

/**
 * A message with a word in every corner. CRLF lines.
 * @param from Default: an outsider.
 * @param filling Octets of lines that all hold the body's word, and otherwise do not shrink.
 */
export function canaryMessage(
  { word }: Canaries,
  {
    from = `${word.sender}@${word.sender}.test`,
    to,
    filling = 0,
  }: { from?: string; to: string; filling?: number },
): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const line = (): string =>
    `Lunch with ${word.body} and ${word.body.toUpperCase()} ${randomBytes(300).toString('base64')}.\r\n`;
  const lines = Array.from({ length: 1 + Math.ceil(filling / line().length) }, line);
  return [
    `From: "${word.sendername}" <${from}>`,
    `To: <${to}>`,
    `Subject: ${word.subject} =?utf-8?B?${base64(`Grüße ${word.subject}`)}?=`,
    `X-Custom: ${word.header}`,
    `Message-ID: <${word.header}@${word.sender}.test>`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="edge"',
    '',
    '--edge',
    'Content-Type: text/plain; charset=utf-8',
    '',
    lines.join(''),
    '--edge',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    `Caf=C3=A9 ${word.quoted.slice(0, 9)}=\r\n${word.quoted.slice(9)}`,
    '--edge',
    'Content-Type: text/html',
    '',
    `<p>&#${word.html.charCodeAt(0)};${word.html.slice(1)} <b>${word.html}</b></p>`,
    '--edge',
    `Content-Type: application/octet-stream; name*=utf-8''${word.filename}%20caf%C3%A9.txt`,
    `Content-Disposition: attachment; filename="${word.filename}.txt"`,
    'Content-Transfer-Encoding: base64',
    '',
    base64(`${word.attachment} `.repeat(20)).replace(/.{76}/g, '$&\r\n'),
    '--edge--',
    '',
  ].join('\r\n');
}
